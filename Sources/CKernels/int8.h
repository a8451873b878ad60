#ifndef CK_INT8_H
#define CK_INT8_H

#include <stdint.h>

// Activations of CK_FAST for quantized weights: groups of four rows, [group][k/32] of these, an even number of blocks.
enum { CK_INT8_ROWS = 4 };

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

static inline int64_t ck_int8_blocks(int64_t k) { return (k / 32 + 1) / 2 * 2; }

#endif
