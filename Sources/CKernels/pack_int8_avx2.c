// Activations as int8 blocks, and what AVX2 can do with them at most.
#if defined(__x86_64__)

#include <immintrin.h>
#include <string.h>

#include "dispatch.h"
#include "int8.h"

#pragma STDC FP_CONTRACT OFF

#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)

#include "vectors256.inc"

#include "int8_block.inc"

// The largest |x| of 32 numbers in each of eight lanes: which of several NaN counts is as in matmul_int8_avx512.c.
INLINE __m256 largest(const __m256 x[4]) {
    return _mm256_max_ps(_mm256_max_ps(magnitude(x[0]), magnitude(x[2])),
                         _mm256_max_ps(magnitude(x[1]), magnitude(x[3])));
}

// The largest lane of a in the first half of the result, of b in the second.
INLINE __m256 largest_lanes(__m256 a, __m256 b) {
    __m256 m = _mm256_max_ps(_mm256_permute2f128_ps(a, b, 0x20), _mm256_permute2f128_ps(a, b, 0x31));
    m = _mm256_max_ps(m, _mm256_permute_ps(m, 0x4e));
    return _mm256_max_ps(m, _mm256_permute_ps(m, 0xb1));
}

// 32 levels: rounded to nearest, ties to even; of what doesn't fit, the low byte.
INLINE __m256i levels_of(const __m256 x[4], float inverse) {
    const __m256 factor = _mm256_set1_ps(inverse);
    const __m256i low_byte = _mm256_set1_epi32(255);
    __m256i whole[4];
    UNROLL for (int i = 0; i < 4; i++) {
        whole[i] = _mm256_and_si256(_mm256_cvtps_epi32(_mm256_mul_ps(x[i], factor)), low_byte);
    }
    // Packing works within halves of vectors; the dwords are put in order at the end.
    __m256i bytes = _mm256_packus_epi16(_mm256_packus_epi32(whole[0], whole[1]),
                                        _mm256_packus_epi32(whole[2], whole[3]));
    return _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

// Four blocks: scale = max |x| / 127. Sums of four levels each go to `sums`.
INLINE __m128 quantize_blocks(const float *const blocks[4], __m256i levels[4], __m256i sums[4]) {
    __m256 x[4][4], top[4];
    UNROLL for (int b = 0; b < 4; b++) {
        UNROLL for (int i = 0; i < 4; i++) { x[b][i] = _mm256_loadu_ps(blocks[b] + 8 * i); }
        top[b] = largest(x[b]);
    }
    __m256 ab = largest_lanes(top[0], top[1]), cd = largest_lanes(top[2], top[3]);
    __m256 pairs = _mm256_unpacklo_ps(ab, cd);  // a, c, … | b, d, …
    __m128 tops = _mm_unpacklo_ps(_mm256_castps256_ps128(pairs), _mm256_extractf128_ps(pairs, 1));
    __m128 some = _mm_cmpgt_ps(tops, _mm_setzero_ps());
    _Alignas(16) float inverse[4];
    _mm_store_ps(inverse, _mm_and_ps(some, _mm_div_ps(_mm_set1_ps(127.0f), tops)));

    UNROLL for (int b = 0; b < 4; b++) {
        levels[b] = levels_of(x[b], inverse[b]);
        __m256i twos = _mm256_maddubs_epi16(_mm256_set1_epi8(1), levels[b]);
        sums[b] = _mm256_madd_epi16(twos, _mm256_set1_epi16(1));
    }
    return _mm_div_ps(tops, _mm_set1_ps(127.0f));
}

#include "int8_pack.inc"

void ck_pack_int8_avx2(const float *x, int64_t x_stride, const int32_t *rows, int64_t n, int64_t k, int64_t row_begin,
                       int64_t row_end, void *packed) {
    pack_rows(CK_INT8_FEW_AVX2, x, x_stride, rows, n, k, row_begin, row_end, packed);
}

// What the products of four-bit weights do most: eight products of bytes, each added in 16 bits, and one widening.
int64_t ck_peak_int8_avx2(int64_t rounds) {
    enum { CHAINS = 4, STEPS = 8 };
    __m256i acc[CHAINS], a = _mm256_set1_epi8((char)(rounds & 1)), b = _mm256_set1_epi8(1);
    UNROLL for (int i = 0; i < CHAINS; i++) { acc[i] = _mm256_set1_epi32(i + 1); }
    for (int64_t r = 0; r < rounds; r++) {
        __m256i sums[CHAINS];
        UNROLL for (int s = 0; s < STEPS; s++) {
            UNROLL for (int i = 0; i < CHAINS; i++) {
                // Nothing is known about a and b any more, so that the product is made each time.
                __asm__("" : "+x"(a), "+x"(b));
                __m256i products = _mm256_maddubs_epi16(a, b);
                sums[i] = s == 0 ? products : _mm256_add_epi16(sums[i], products);
            }
        }
        UNROLL for (int i = 0; i < CHAINS; i++) {
            acc[i] = _mm256_add_epi32(acc[i], _mm256_madd_epi16(sums[i], _mm256_set1_epi16(1)));
        }
    }
    __m256i total = acc[0];
    UNROLL for (int i = 1; i < CHAINS; i++) { total = _mm256_or_si256(total, acc[i]); }
    return _mm256_testz_si256(total, total) ? 0 : rounds * CHAINS * STEPS * 32 * 2;
}

#pragma clang attribute pop
#endif
