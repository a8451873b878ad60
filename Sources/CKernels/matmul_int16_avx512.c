// Matrix product of dense weights (F32, F16, BF16) as 16-bit integers (int16.h) on AVX-512's dot product of them
// (vpdpwssd), which multiplies and adds twice as many at a time as it does f32. Activations are those of ck_pack_int16_avx2.
#if defined(__x86_64__)

#include <immintrin.h>
#include <string.h>

#include "dispatch.h"
#include "int16.h"
#include "upcoming.h"

#pragma STDC FP_CONTRACT OFF

#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma,f16c"))), \
                             apply_to = function)

#define CK_HAS_AVX512_BYTES 1
#include "vectors256.inc"
#include "vectors512.inc"

// A block of a strip is 16 KiB, for the first cache beside TILE_ROWS activation rows of half a KiB; for the second are a
// panel of PANEL_STRIPS of them, a block of activation rows (128 KiB) and the sums of both (128 KiB).
enum { LANES = 16, TILE_ROWS = 12, PANEL_STRIPS = 4 };

#define VECTOR(op) _mm512_##op
typedef __m512i ints;
typedef __m512 floats;

INLINE ints dot(ints sums, ints a, ints b) { return _mm512_dpwssd_epi32(sums, a, b); }
INLINE ints in_order(ints packed) {
    return _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7), packed);
}
INLINE ints odd_from(ints low, ints high) {
    return _mm512_mask_blend_epi16(0xaaaaaaaau, low, _mm512_slli_epi32(high, 16));
}
INLINE __m256i upper_half(ints v) { return _mm512_extracti64x4_epi64(v, 1); }
INLINE __m256i halves_added(ints v) { return _mm256_add_epi32(_mm512_castsi512_si256(v), upper_half(v)); }
INLINE __m256i larger_half(ints v) { return _mm256_max_epi32(_mm512_castsi512_si256(v), upper_half(v)); }
INLINE floats load_f16(const uint8_t *p) { return _mm512_cvtph_ps(load32(p)); }

INLINE void transpose(ints rows[LANES]) { transpose16(rows); }

#include "matmul_int16.inc"

size_t ck_int16_scratch_avx512(int64_t n, int64_t k) {
    (void)n;
    (void)k;
    return sizeof(panel);
}

void ck_matmul_int16_avx512(ck_type type, const void *weights, size_t row_bytes, int64_t m_begin, int64_t m_end,
                            int64_t k, const void *packed, int64_t n, float *y, int64_t y_stride, void *scratch) {
    multiply_dense(type, weights, row_bytes, m_begin, m_end, k, packed, n, y, y_stride, scratch);
}

// What such products do at most.
int64_t ck_peak_int16_avx512(int64_t rounds) {
    enum { CHAINS = 12 };
    __m512i acc[CHAINS], a = _mm512_set1_epi16((int16_t)(rounds & 1)), b = _mm512_set1_epi16(1);
    UNROLL for (int i = 0; i < CHAINS; i++) { acc[i] = _mm512_set1_epi32(i + 1); }
    for (int64_t r = 0; r < rounds; r++) {
        UNROLL for (int i = 0; i < CHAINS; i++) {
            // Nothing is known about a and b any more, so that the product is made each time.
            __asm__("" : "+v"(a), "+v"(b));
            acc[i] = _mm512_dpwssd_epi32(acc[i], a, b);
        }
    }
    __m512i total = acc[0];
    UNROLL for (int i = 1; i < CHAINS; i++) { total = _mm512_or_si512(total, acc[i]); }
    return _mm512_test_epi64_mask(total, total) == 0 ? 0 : rounds * CHAINS * 32 * 2;
}

#pragma clang attribute pop
#endif
