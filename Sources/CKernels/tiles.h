#ifndef CK_TILES_H
#define CK_TILES_H

#include "dispatch.h"

// The bf16 product of CK_AMX, on tiles: a tile of weights has 16 rows of 32 inputs (A), a tile of activations 16 pairs of
// inputs for 16 rows (B), and one instruction adds their product to 16 × 16 sums in f32 (C: weight rows by activation rows).
//
// One y is a chain over k in steps of 32 inputs, whatever else is computed beside it: each step adds its own sum, which the
// instruction makes of an even and an odd half. The sums wait in memory between chunks of k, where they lose nothing.
enum {
    CK_TILE_ROWS = 16,
    CK_TILE_INPUTS = 32,
    CK_TILE_BYTES = 1024,
    CK_TILE_FINE_PLANES = 2,
    CK_TILE_PLANES = 3,
    CK_TILE_PARTS = CK_TILE_PLANES * (CK_TILE_PLANES + 1) / 2,
    // A panel of weights, 128 rows by 1,024 inputs, is 256 KiB, so that it and the next one stay in the second cache.
    CK_TILE_PANEL_ROWS = 128,
    CK_TILE_CHUNK_STEPS = 32,
    // Rows of weights whose panels meet a chunk of the inputs of the activations one after the other, while it stays in the caches.
    CK_TILE_BLOCK_ROWS = 512,
    // Rows of weights that are made bf16 together.
    CK_TILE_GROUP_ROWS = 8,
    // Inputs of a weight row that are made bf16 at a time: a superblock, where there are such.
    CK_TILE_LINE_INPUTS = 256,
    // Rows that one packed chunk has at most: weights that are not bf16 are made so once for all of them, and the sums of a panel
    // stay in the second cache.
    CK_TILE_CHUNK_ROWS = 512,
    // Up to so many rows of activations weights meet no second pair of their tiles: those in bf16 need no panel, and a panel of
    // others is smaller, so that it stays in the first cache.
    CK_TILE_FEW_ROWS = 32,
    CK_TILE_FEW_PANEL_ROWS = 32
};

// Of inputs of a weight row that are dequantized together, and of a panel.
static const size_t ck_tile_line_bytes = CK_TILE_LINE_INPUTS * sizeof(float);
static const size_t ck_tile_panel_bytes = (size_t)CK_TILE_PANEL_ROWS * CK_TILE_CHUNK_STEPS * 64;

// Activations: a plane of bf16, [tile][step][16 pairs][16 rows][2], zeros past the ends; for CK_FINE a second plane of
// what the first leaves, rounded to bf16 too, and for CK_PRECISE a third. A step of CK_FINE meets the first and then the second.
// Weights of CK_PRECISE have three planes, of which bf16 weights need the first only. Its products are those of planes i and j with
// i + j < 3: six, or three for weights in bf16.
static inline int64_t ck_tile_count(int64_t rows) { return (rows + CK_TILE_ROWS - 1) / CK_TILE_ROWS; }
static inline int64_t ck_tile_steps(int64_t k) { return (k + CK_TILE_INPUTS - 1) / CK_TILE_INPUTS; }
static inline size_t ck_tile_plane_bytes(int64_t n, int64_t k) {
    return (size_t)(ck_tile_count(n) * ck_tile_steps(k)) * CK_TILE_BYTES;
}

// One or more tiles of A (weights) times one or more of B (activations).
typedef struct {
    const uint8_t *a, *b;
    size_t a_row, a_step, a_tile, b_tile;  // bytes from one row, step and tile to the next; a step of B follows the other
    size_t b_plane;                        // bytes to the second plane of B; 0: there is none
    uint8_t *copy;                         // where A is left for later products, a step after the other; NULL: nowhere
    size_t copy_tile;                      // bytes from one tile of the copy to the next
} ck_tile_operands;

// Scales and biases of a superblock of eight rows, of eight parts or, where they are fine, sixteen. In memory, whence they are taken
// one by one.
struct ck_tile_scales {
    float scale[16][CK_TILE_GROUP_ROWS], bias[16][CK_TILE_GROUP_ROWS];
};

// What attention multiplies on tiles (attention_tiles.inc), between `begin` and `end` of one thread.
struct ck_tile_products {
    void (*begin)(void);
    // The sums of `rows` tiles of A by `columns` of B over `steps` steps, to tiles of 16 × 16 that lie row_stride and
    // column_stride floats apart. `resume`: added to what is there.
    void (*product)(int64_t rows, int64_t columns, const ck_tile_operands *both, int64_t steps, bool resume, float *sums,
                    size_t row_stride, size_t column_stride);
    void (*end)(void);
};

size_t ck_tile_activation_bytes(int64_t n, int64_t k);
size_t ck_tile_activation_bytes_fine(int64_t n, int64_t k);
size_t ck_tile_activation_bytes_precise(int64_t n, int64_t k);
size_t ck_tile_scratch(int64_t n, int64_t k);
size_t ck_tile_scratch_precise(int64_t n, int64_t k);

// The same source compiled twice: with the tile instructions, and with their arithmetic in plain C.
#define CK_TILE_PRODUCT(name, of)                                                                                   \
    void ck_pack_##name##_##of(const float *x, int64_t x_stride, const int32_t *rows, int64_t n, int64_t k,         \
                               int64_t row_begin, int64_t row_end, void *packed);                                   \
    void ck_matmul_##name##_##of(ck_type type, const void *weights, size_t row_bytes, int64_t m_begin,              \
                                 int64_t m_end, int64_t k, const void *packed, int64_t n, float *y,                 \
                                 int64_t y_stride, void *scratch);
#define CK_TILE_FUNCTIONS(of)                                                                                       \
    extern const ck_tile_products ck_tile_products_##of;                                                            \
    CK_TILE_PRODUCT(tiles, of)                                                                                      \
    CK_TILE_PRODUCT(tiles_fine, of)                                                                                 \
    CK_TILE_PRODUCT(tiles_precise, of)
#define CK_TILE_ROW(of)                                                                                             \
    .dense = {ck_pack_tiles_##of, ck_matmul_tiles_##of, ck_tile_activation_bytes, ck_tile_scratch,                  \
              CK_TILE_CHUNK_ROWS},                                                                                  \
    .quantized = {ck_pack_tiles_##of, ck_matmul_tiles_##of, ck_tile_activation_bytes, ck_tile_scratch,              \
                  CK_TILE_CHUNK_ROWS},                                                                              \
    .fine = {ck_pack_tiles_fine_##of, ck_matmul_tiles_fine_##of, ck_tile_activation_bytes_fine, ck_tile_scratch,    \
             CK_TILE_CHUNK_ROWS},                                                                                   \
    .precise = {ck_pack_tiles_precise_##of, ck_matmul_tiles_precise_##of, ck_tile_activation_bytes_precise,         \
                ck_tile_scratch_precise, CK_TILE_CHUNK_ROWS},                                                       \
    .tiles = &ck_tile_products_##of

CK_TILE_FUNCTIONS(twin)
#if defined(__x86_64__)
CK_TILE_FUNCTIONS(amx)
int64_t ck_peak_amx(int64_t rounds);
void ck_tile_scales_avx512(ck_type type, const uint8_t *const rows[CK_TILE_GROUP_ROWS], ck_tile_scales *scales);
void ck_pack_tile_row_avx512(ck_type type, const uint8_t *row, const ck_tile_scales *scales, int r, uint8_t *out);
void ck_pack_tile_step_avx512(const float *const x[CK_TILE_ROWS], uint8_t *out, size_t plane_bytes, int planes);
#endif

#endif
