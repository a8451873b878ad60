// Matrix product of dense weights (F32, F16, BF16) as 16-bit integers (int16.h) on AVX2, which multiplies and adds
// twice as many of them at a time as it does f32 (vpmaddwd).
#if defined(__x86_64__)

#include <immintrin.h>
#include <string.h>

#include "dispatch.h"
#include "int16.h"
#include "upcoming.h"

#pragma STDC FP_CONTRACT OFF

#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)

#include "vectors256.inc"

// A block of a strip is 8 KiB, for the first cache beside TILE_ROWS activation rows of half a KiB; for the second are a
// panel of PANEL_STRIPS of them, a block of activation rows (128 KiB) and the sums of both (96 KiB).
enum { LANES = 8, TILE_ROWS = 6, PANEL_STRIPS = 6 };

#define VECTOR(op) _mm256_##op
typedef __m256i ints;
typedef __m256 floats;

INLINE ints dot(ints sums, ints a, ints b) { return _mm256_add_epi32(sums, _mm256_madd_epi16(a, b)); }
INLINE ints in_order(ints packed) { return _mm256_permute4x64_epi64(packed, 0xd8); }
INLINE ints odd_from(ints low, ints high) { return _mm256_blend_epi16(low, _mm256_slli_epi32(high, 16), 0xaa); }
INLINE __m256i halves_added(ints v) { return v; }
INLINE __m256i larger_half(ints v) { return v; }
INLINE floats load_f16(const uint8_t *p) { return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p)); }

INLINE void transpose(ints rows[LANES]) {
    __m256 lanes[LANES];
    UNROLL for (int i = 0; i < LANES; i++) { lanes[i] = _mm256_castsi256_ps(rows[i]); }
    transpose8(lanes);
    UNROLL for (int i = 0; i < LANES; i++) { rows[i] = _mm256_castps_si256(lanes[i]); }
}

#include "matmul_int16.inc"

size_t ck_int16_scratch_avx2(int64_t n, int64_t k) {
    (void)n;
    (void)k;
    return sizeof(panel);
}

size_t ck_int16_activation_bytes(int64_t n, int64_t k) {
    return (size_t)(ck_int16_blocks(k) * n) * (BLOCK * sizeof(int16_t) + sizeof(float));
}

void ck_matmul_int16_avx2(ck_type type, const void *weights, size_t row_bytes, int64_t m_begin, int64_t m_end,
                          int64_t k, const void *packed, int64_t n, float *y, int64_t y_stride, void *scratch) {
    multiply_dense(type, weights, row_bytes, m_begin, m_end, k, packed, n, y, y_stride, scratch);
}

// Levels of 256 activations; returns their scale.
INLINE float pack_block(const float *x, int16_t *levels) {
    __m256 sum = _mm256_setzero_ps(), top = sum;
    for (int i = 0; i < BLOCK; i += 8) {
        __m256 v = magnitude(_mm256_loadu_ps(x + i));
        sum = _mm256_add_ps(sum, v);
        top = _mm256_max_ps(top, v);
    }
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(sum), _mm256_extractf128_ps(sum, 1));
    __m128 t = _mm_max_ps(_mm256_castps256_ps128(top), _mm256_extractf128_ps(top, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    t = _mm_max_ps(t, _mm_movehl_ps(t, t));
    const float total = _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s))) / CK_INT16_SUM;
    const float largest = _mm_cvtss_f32(_mm_max_ss(t, _mm_movehdup_ps(t))) / CK_INT16_LARGEST;
    const float scale = largest > total ? largest : total;
    const bool zero = scale < CK_INT16_SMALLEST;
    const __m256 inverse = _mm256_set1_ps(zero ? 0.0f : 1.0f / scale);
    for (int i = 0; i < BLOCK; i += 16) {
        __m256i both = whole_numbers(_mm256_loadu_ps(x + i), _mm256_loadu_ps(x + i + 8), inverse);
        _mm256_store_si256((__m256i *)(levels + i), both);
    }
    // A sum that is not finite makes every product NaN.
    return zero ? 0.0f : total < __builtin_inff() ? scale : __builtin_nanf("");
}

void ck_pack_int16_avx2(const float *x, int64_t x_stride, const int32_t *rows, int64_t n, int64_t k, int64_t row_begin,
                        int64_t row_end, void *packed) {
    int16_t *levels = packed;
    float *scales = (float *)(levels + ck_int16_blocks(k) * n * BLOCK);
    for (int64_t i = row_begin; i < row_end; i++) {
        const float *row = x + (rows ? rows[i] : i) * x_stride;
        for (int64_t b = 0; b < ck_int16_blocks(k); b++) {
            const float *source = row + BLOCK * b;
            float rest[BLOCK] = {0};
            if (k - BLOCK * b < BLOCK) {
                memcpy(rest, source, (size_t)(k - BLOCK * b) * sizeof(float));
                source = rest;
            }
            scales[n * b + i] = pack_block(source, levels + BLOCK * (n * b + i));
        }
    }
}

// What such products do at most: two 16-bit numbers times two others a lane, added to a sum of 32 bits.
int64_t ck_peak_int16_avx2(int64_t rounds) {
    enum { CHAINS = 12 };
    __m256i acc[CHAINS], a = _mm256_set1_epi16((int16_t)(rounds & 1)), b = _mm256_set1_epi16(1);
    UNROLL for (int i = 0; i < CHAINS; i++) { acc[i] = _mm256_set1_epi32(i + 1); }
    for (int64_t r = 0; r < rounds; r++) {
        UNROLL for (int i = 0; i < CHAINS; i++) {
            // Nothing is known about a and b any more, so that the product is made each time.
            __asm__("" : "+x"(a), "+x"(b));
            acc[i] = _mm256_add_epi32(acc[i], _mm256_madd_epi16(a, b));
        }
    }
    __m256i total = acc[0];
    UNROLL for (int i = 1; i < CHAINS; i++) { total = _mm256_or_si256(total, acc[i]); }
    return _mm256_testz_si256(total, total) ? 0 : rounds * CHAINS * 16 * 2;
}

#pragma clang attribute pop
#endif
