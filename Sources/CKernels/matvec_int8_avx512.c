// One activation row times quantized weights with AVX-512.
#if defined(__x86_64__)

#include <immintrin.h>
#include <string.h>

#include "dispatch.h"
#include "int8.h"

#pragma STDC FP_CONTRACT OFF

#pragma clang attribute push(                                                                            \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,fma,f16c"))), \
    apply_to = function)
#define CK_HAS_AVX512_BYTES 1
#include "levels.h"

#include "int8_loaders.inc"

// Quarter q of the result: the sums of quarter q of four rows. A lane has the sum of four products: for as long as they fit,
// neighbours are added as 16-bit numbers, which takes one instruction less than adding two vectors of them.
INLINE __m512i sum_quarters(const ck_type type, __m512i a, __m512i b, __m512i c, __m512i d) {
    const int fit = sums_in_16_bits(type);
    const __m512i ones = _mm512_set1_epi16(1);
    __m512i ab, cd;
    if (fit >= 2) {
        ab = _mm512_madd_epi16(_mm512_packs_epi32(a, b), ones);
        cd = _mm512_madd_epi16(_mm512_packs_epi32(c, d), ones);
        if (fit >= 4) { return _mm512_madd_epi16(_mm512_packs_epi32(ab, cd), ones); }
        __m512 x = _mm512_castsi512_ps(ab), y = _mm512_castsi512_ps(cd);
        return _mm512_add_epi32(_mm512_castps_si512(_mm512_shuffle_ps(x, y, 0x88)),
                                _mm512_castps_si512(_mm512_shuffle_ps(x, y, 0xdd)));
    }
    ab = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    cd = _mm512_add_epi32(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
    return _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
}

INLINE bool needs_start(const ck_type type) { return offset_of(type) != 0; }

// The dot products of four blocks (two pairs) of eight superblocks with their inputs: of each block, its parts.
INLINE void dots_of_blocks(const ck_type type, const uint8_t *const at[8], const int first, const uint8_t *ahead,
                           const int8_t *x, const size_t apart, const int n, __m256i dots[CK_INT8_ROWS][4][2]) {
    (void)apart;
    (void)n;
    UNROLL for (int pair = 0; pair < 2; pair++) {
        __m512i products[8];
        UNROLL for (int r = 0; r < 8; r++) {
            fetch_slot(type, ahead, 4 * first + 8 * pair + r);
            __m512i inputs = _mm512_loadu_si512(x + 256 * r + 32 * first + 64 * pair);
            __m512i levels = load_pair(type, at[r], first / 2 + pair);
            products[r] = _mm512_dpbusd_epi32(_mm512_setzero_si512(), levels, inputs);
        }
        __m512i a = sum_quarters(type, products[0], products[1], products[2], products[3]);
        __m512i b = sum_quarters(type, products[4], products[5], products[6], products[7]);
        __m512i parts[2];
        if (ck_has_fine_scales(type)) {
            parts[0] = _mm512_permutex2var_epi64(a, _mm512_set_epi64(13, 12, 5, 4, 9, 8, 1, 0), b);
            parts[1] = _mm512_permutex2var_epi64(a, _mm512_set_epi64(15, 14, 7, 6, 11, 10, 3, 2), b);
        } else {
            __m512i all = _mm512_add_epi32(_mm512_shuffle_i32x4(a, b, 0x88), _mm512_shuffle_i32x4(a, b, 0xdd));
            parts[0] = parts[1] = _mm512_shuffle_i32x4(all, all, 0xd8);
        }
        UNROLL for (int h = 0; h < 2; h++) {
            dots[0][block_of(pair, 0)][h] = _mm512_castsi512_si256(parts[h]);
            dots[0][block_of(pair, 1)][h] = _mm512_extracti64x4_epi64(parts[h], 1);
        }
    }
}

// The dot products of the eight blocks of a superblock.
INLINE __m256i dots_of_row(const ck_type type, const uint8_t *at, const int8_t *x, const int32_t *starts) {
    __m512i products[4];
    UNROLL for (int pair = 0; pair < 4; pair++) {
        __m512i inputs = _mm512_loadu_si512(x + 64 * pair);
        products[pair] = _mm512_dpbusd_epi32(_mm512_setzero_si512(), load_pair(type, at, pair), inputs);
    }
    // A quarter has half a block of four pairs.
    __m512i halves = sum_quarters(type, products[0], products[1], products[2], products[3]);
    __m512i sums = _mm512_add_epi32(halves, _mm512_shuffle_i32x4(halves, halves, 0xb1));
    sums = _mm512_permutexvar_epi32(_mm512_setr_epi32(0, 1, 8, 9, 2, 3, 10, 11, 0, 0, 0, 0, 0, 0, 0, 0), sums);
    return _mm256_add_epi32(_mm512_castsi512_si256(sums), starts_of(type, load32((const uint8_t *)starts)));
}

#include "matvec_int8.inc"

#define CASE(type_name)                                                                                             \
    case type_name: matvec(type_name, &p, 1); return;

void ck_matvec_int8_avx512(ck_type type, const void *weights, size_t row_bytes, int64_t m_begin, int64_t m_end,
                           int64_t k, const void *packed, float *y) {
    const product p = {.weights = weights, .row_bytes = row_bytes, .m_begin = m_begin, .m_end = m_end, .k = k,
                       .packed = packed, .y = y};
    switch (type) {
        CK_EACH_QUANTIZED(CASE)
        default: return;
    }
}

#pragma clang attribute pop
#endif
