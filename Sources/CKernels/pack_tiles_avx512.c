// Quantized weights as bf16 for the tile product: dequantized, rounded and laid out in one step.
#if defined(__x86_64__)

#include <immintrin.h>
#include <string.h>

#include "int8.h"
#include "tiles.h"

#pragma STDC FP_CONTRACT OFF

#pragma clang attribute push(                                                                                       \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,avx512bf16,fma,f16c"))),        \
    apply_to = function)
#define CK_HAS_AVX512_BYTES 1
#include "levels.h"

#include "int8_loaders.inc"

enum { ROWS = CK_TILE_GROUP_ROWS };

// The products and sums are those of levels.h.
INLINE void pack_super(const ck_type type, const uint8_t *const rows[ROWS], uint8_t *out) {
    const bool fine = ck_has_fine_scales(type), bias = ck_has_bias(type);
    const __m512i offset = _mm512_set1_epi8((char)offset_of(type));
    __m256 scales[2][ROWS], biases[2][ROWS];
    load_row_scales(type, rows, scales, biases);
    for (int r = 0; r < ROWS; r++) {
        UNROLL for (int pair = 0; pair < 4; pair++) {
            const __m512i levels = _mm512_sub_epi8(load_pair(type, rows[r], pair), offset);
            const __m128i quarters[4] = {_mm512_castsi512_si128(levels), _mm512_extracti32x4_epi32(levels, 1),
                                         _mm512_extracti32x4_epi32(levels, 2), _mm512_extracti32x4_epi32(levels, 3)};
            __m512 values[4];
            UNROLL for (int i = 0; i < 4; i++) {
                const int block = block_of(pair, i / 2), part = fine ? 2 * block + i % 2 : block;
                values[i] = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(quarters[i]));
                values[i] = _mm512_mul_ps(values[i], _mm512_set1_ps(scales[part / 8][part % 8][r]));
                if (bias) { values[i] = _mm512_add_ps(values[i], _mm512_set1_ps(biases[part / 8][part % 8][r])); }
            }
            UNROLL for (int step = 0; step < 2; step++) {
                __m512bh both = _mm512_cvtne2ps_pbh(values[2 * step + 1], values[2 * step]);
                _mm512_storeu_si512(out + block_of(pair, step) * CK_TILE_BYTES + 64 * r, (__m512i)both);
            }
        }
    }
}

#define CASE(type)                                                                                                  \
    case type: pack_super(type, rows, out); return;

void ck_pack_tile_rows_avx512(ck_type type, const uint8_t *const rows[ROWS], uint8_t *out) {
    switch (type) {
        CK_EACH_QUANTIZED(CASE)
        default: return;
    }
}

#pragma clang attribute pop
#endif
