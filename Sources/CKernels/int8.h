#ifndef CK_INT8_H
#define CK_INT8_H

#include <stddef.h>
#include <stdint.h>

// The product of CK_FAST for quantized weights. Integer dot products of blocks of 32 inputs (of sixteen, where scales are so fine)
// are exact. In f32, the blocks of a superblock of 256 inputs are added one after the other from zero, and so are superblocks.
//
// Activations: groups of four rows, [group][k/32] of these, an even number of blocks. As few rows as
// meet weights as they come from memory are packed one by one: ck_int8_row.
enum { CK_INT8_ROWS = 4, CK_INT8_FEW_AVX2 = 4, CK_INT8_FEW_AVX512 = 1 };

typedef struct {
    int8_t levels[8][CK_INT8_ROWS][4];  // four inputs of each row at a time, as the dot-product instruction takes them
    float scale[CK_INT8_ROWS];          // x ≈ scale · level
    // For inputs 0…15, 16…31 and all: -128 · Σ level, where a dot product with levels + 128 starts, and
    // scale · Σ level.
    int32_t start[3][CK_INT8_ROWS];
    float sum[3][CK_INT8_ROWS];
    int32_t unused[4];
} ck_int8_block;

_Static_assert(sizeof(ck_int8_block) == 256, "a block is four cache lines");

// A row that is packed by itself, S superblocks of 256 inputs: k rounded up, with zeros past its end. After the last superblock
// come the first ones again, so that eight can be read from any of them on.
typedef struct {
    int64_t supers;       // S
    int64_t stride;       // S + 7
    int8_t *levels;       // [stride][256], blocks in the order of ck_int8_place
    // As in ck_int8_block; of block b of superblock s at [b·stride + s].
    float *scale;         // [8·stride]
    int32_t *start[3];    // [8·stride] each
    float *sum[3];        // [8·stride] each
    // scale and start[2] once more, of block b of superblock s at [8·s + b].
    float *row_scale;     // [8·S]
    int32_t *row_start;   // [8·S]
} ck_int8_row;

enum { CK_INT8_AGAIN = 7 };

static inline int64_t ck_int8_supers(int64_t k) { return (k + 255) / 256; }

static inline size_t ck_int8_row_bytes(int64_t k) {
    const int64_t supers = ck_int8_supers(k);
    return (size_t)((supers + CK_INT8_AGAIN) * (256 + 7 * 32) + supers * 64 + 63) / 64 * 64;
}

static inline ck_int8_row ck_int8_row_at(const void *packed, int64_t k, int64_t row) {
    ck_int8_row x = {.supers = ck_int8_supers(k), .stride = ck_int8_supers(k) + CK_INT8_AGAIN};
    x.levels = (int8_t *)packed + ck_int8_row_bytes(k) * (size_t)row;
    x.row_scale = (float *)(x.levels + 256 * x.stride);
    x.row_start = (int32_t *)(x.row_scale + 8 * x.supers);
    x.scale = (float *)(x.row_start + 8 * x.supers);
    for (int i = 0; i < 3; i++) {
        x.start[i] = (int32_t *)x.scale + 8 * x.stride * (1 + i);
        x.sum[i] = x.scale + 8 * x.stride * (4 + i);
    }
    return x;
}

// Where block b of eight is in `levels`: 0, 2, 1, 3, 4, 6, 5, 7. Two that follow one another lie in the same bytes of K types.
static inline int ck_int8_place(int b) { return (b & 4) | (b & 1) << 1 | (b & 2) >> 1; }

static inline int64_t ck_int8_blocks(int64_t k) { return (k / 32 + 1) / 2 * 2; }

#endif
