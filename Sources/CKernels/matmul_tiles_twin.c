// The tile product with tiles in plain C: the arithmetic of TDPBF16PS as the Intel 64 and IA-32 Architectures Software
// Developer's Manual (volume 2, "TDPBF16PS", Operation) gives it. For every weight row m and activation row n:
//
//   even, odd := 0
//   for each of the 16 pairs of inputs: even += a.even · b.even, odd += a.odd · b.odd   (fused, each rounded once)
//   c := c + (even + odd)
//
// all in f32, rounded to nearest even; what is smaller than the smallest normal number is taken for 0, as an operand and as
// a result (DAZ, FTZ); MXCSR is neither read nor written.
#include <string.h>

#include "blocks.h"
#include "half.h"
#include "tiles.h"
#include "upcoming.h"

#pragma clang diagnostic ignored "-Wpsabi"
#pragma STDC FP_CONTRACT OFF

// Any processor computes this; a fused multiply-add in hardware makes it bearable.
#if defined(__x86_64__)
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#endif

typedef struct {
    uint32_t rows[16][16];
} tile;

#define SMALLEST_NORMAL 0x00800000u

static inline float flushed(float value) {
    uint32_t bits = ck_float_to_bits(value);
    return (bits & 0x7fffffffu) < SMALLEST_NORMAL ? ck_bits_to_float(bits & 0x80000000u) : value;
}

// a · b + c, whose rounded value `sum` is as small as the smallest normal number or smaller. It is flushed when it would
// be smaller with as wide an exponent as it likes: rounded to 24 bits, not to those a denormal has. f64 holds the exact sum
// of such operands (c is 0 or a multiple of 2⁻¹⁴⁹, the product has sixteen bits) wherever the comparison needs it.
static float flushed_sum(float a, float b, float c, float sum) {
    double exact = (double)a * (double)b + (double)c;
    return __builtin_fabs(exact) < 0x1p-126 - 0x1p-151 ? __builtin_copysignf(0.0f, sum) : sum;
}

// The operand's bf16 as f32, sixteen rows of 32.
static void widen(const tile *from, float to[16][32]) {
    for (int i = 0; i < 16; i++) {
        for (int j = 0; j < 16; j++) {
            to[i][2 * j] = flushed(ck_bits_to_float(from->rows[i][j] << 16));
            to[i][2 * j + 1] = flushed(ck_bits_to_float(from->rows[i][j] & 0xffff0000u));
        }
    }
}

static void tile_dot(tile *c, const tile *a, const tile *b) {
    float left[16][32], right[16][32];
    widen(a, left);
    widen(b, right);
    for (int m = 0; m < 16; m++) {
        float sums[32] = {0};
        for (int k = 0; k < 16; k++) {
            float pair[32], next[32];
            uint32_t small = 0;
            for (int i = 0; i < 32; i++) { pair[i] = left[m][2 * k + i % 2]; }
            for (int i = 0; i < 32; i++) {
                next[i] = __builtin_fmaf(pair[i], right[k][i], sums[i]);
                // True of the denormals and the smallest normal number, not of 0.
                small |= (ck_float_to_bits(next[i]) & 0x7fffffffu) - 1 < SMALLEST_NORMAL;
            }
            if (small) {
                for (int i = 0; i < 32; i++) {
                    if ((ck_float_to_bits(next[i]) & 0x7fffffffu) - 1 < SMALLEST_NORMAL) {
                        next[i] = flushed_sum(pair[i], right[k][i], sums[i], next[i]);
                    }
                }
            }
            memcpy(sums, next, sizeof sums);
        }
        for (int n = 0; n < 16; n++) {
            float both = flushed(sums[2 * n] + sums[2 * n + 1]);
            c->rows[m][n] = ck_float_to_bits(flushed(flushed(ck_bits_to_float(c->rows[m][n])) + both));
        }
    }
}

static void tile_load(tile *t, const void *from, size_t stride) {
    for (int i = 0; i < 16; i++) { memcpy(t->rows[i], (const uint8_t *)from + stride * (size_t)i, 64); }
}

static void tile_store(const tile *t, void *to, size_t stride) {
    for (int i = 0; i < 16; i++) { memcpy((uint8_t *)to + stride * (size_t)i, t->rows[i], 64); }
}

#define TILES tile tiles[8];
#define TILES_BEGIN
#define TILES_END
#define TILE_ZERO(t) memset(&tiles[t], 0, sizeof(tile))
#define TILE_LOAD(t, from, stride) tile_load(&tiles[t], from, stride)
#define TILE_STORE(t, to, stride) tile_store(&tiles[t], to, stride)
#define TILE_DOT(c, a, b) tile_dot(&tiles[c], &tiles[a], &tiles[b])
#define TILE_NAME(name) ck_##name##_twin
#include "matmul_tiles.inc"

size_t ck_tile_activation_bytes(int64_t n, int64_t k) { return ck_tile_plane_bytes(n, k); }
size_t ck_tile_activation_bytes_fine(int64_t n, int64_t k) { return CK_TILE_FINE_PLANES * ck_tile_plane_bytes(n, k); }
size_t ck_tile_activation_bytes_precise(int64_t n, int64_t k) { return CK_TILE_PLANES * ck_tile_plane_bytes(n, k); }

static size_t scratch(int64_t n, size_t planes) {
    size_t sums = (size_t)ck_tile_count(n) * CK_TILE_BLOCK_ROWS * CK_TILE_ROWS * sizeof(float);
    return ck_tile_line_bytes + 2 * planes * ck_tile_panel_bytes + sums;
}

size_t ck_tile_scratch(int64_t n, int64_t k) {
    (void)k;
    return scratch(n, 1);
}

size_t ck_tile_scratch_precise(int64_t n, int64_t k) {
    (void)k;
    return scratch(n, CK_TILE_PLANES);
}

#if defined(__x86_64__)
#pragma clang attribute pop
#endif
