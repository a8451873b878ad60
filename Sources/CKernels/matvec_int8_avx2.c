// One to four activation rows times quantized weights with AVX2.
#if defined(__x86_64__)

#include <immintrin.h>
#include <string.h>

#include "dispatch.h"
#include "int8.h"

#pragma STDC FP_CONTRACT OFF

#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#define CK_HAS_F16 1
#include "levels.h"

#include "int8_loaders_avx2.inc"

// Neighbours' products of 32 levels and activations, added in pairs in 16 bits. Levels of eight bits lend the
// activations their sign: magnitudes are at most 128, and 2 · 128 · 127 fits.
INLINE __m256i pair_sums(const ck_type type, __m256i levels, __m256i inputs) {
    if (sums_in_16_bits(type) > 0) { return _mm256_maddubs_epi16(levels, inputs); }
    __m256i w = _mm256_xor_si256(levels, _mm256_set1_epi8((char)0x80));
    return _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(inputs, w));
}

// a + b, of 32-bit numbers if `wide`, otherwise of 16-bit ones.
INLINE __m256i add_sums(const bool wide, __m256i a, __m256i b) {
    return wide ? _mm256_add_epi32(a, b) : _mm256_add_epi16(a, b);
}

// The pair sums of two rows, neighbours added. This and the two steps of dot_products each double how many are in a sum:
// 16 bits for as long as they fit.
INLINE __m256i two_rows(const ck_type type, __m256i a, __m256i b) {
    const int fit = sums_in_16_bits(type);
    if (fit == 0) {
        a = widen(a);
        b = widen(b);
    }
    __m256i twos = add_sums(fit == 0, _mm256_unpacklo_epi64(a, b), _mm256_unpackhi_epi64(a, b));
    return fit == 2 ? widen(twos) : twos;
}

// The dot products of eight rows with 32 inputs: both halves of the inputs together in out[0], or apart, where `fine`.
INLINE void dot_products(const ck_type type, const bool fine, const __m256i twos[4], __m256i out[2]) {
    const int fit = sums_in_16_bits(type);
    __m256i fours[2];
    UNROLL for (int i = 0; i < 2; i++) {
        __m256 a = _mm256_castsi256_ps(twos[2 * i]), b = _mm256_castsi256_ps(twos[2 * i + 1]);
        fours[i] = add_sums(fit <= 2, _mm256_castps_si256(_mm256_shuffle_ps(a, b, 0x88)),
                            _mm256_castps_si256(_mm256_shuffle_ps(a, b, 0xdd)));
        if (fit == 4) { fours[i] = widen(fours[i]); }
    }
    __m256i low = _mm256_permute2x128_si256(fours[0], fours[1], 0x20);
    __m256i high = _mm256_permute2x128_si256(fours[0], fours[1], 0x31);
    if (fine) {
        out[0] = fit == 8 ? widen(low) : low;
        out[1] = fit == 8 ? widen(high) : high;
    } else {
        __m256i all = add_sums(fit <= 4, low, high);
        out[0] = fit == 8 ? widen(all) : all;
    }
}

// Products of levels of eight bits are of levels that have their sign.
INLINE bool needs_start(const ck_type type) { return offset_of(type) != 0 && sums_in_16_bits(type) > 0; }

INLINE __m256i inputs_of(const int8_t *x, const int block) { return load32((const uint8_t *)x + 32 * ck_int8_place(block)); }

// The dot products of four blocks (two pairs) of eight superblocks with their inputs of n rows: of row i, of each block, its parts.
INLINE void dots_of_blocks(const ck_type type, const uint8_t *const at[8], const int first, const uint8_t *ahead,
                           const int8_t *x, const size_t apart, const int n, __m256i dots[CK_INT8_ROWS][4][2]) {
    UNROLL for (int pair = 0; pair < 2; pair++) {
        const int slot = 4 * first + 8 * pair;
        __m256i w[8][2];
        if (n > 1) {
            UNROLL for (int r = 0; r < 8; r++) {
                fetch_slot(type, ahead, slot + r);
                load_pair(type, at[r], first / 2 + pair, w[r]);
            }
        }
        for (int i = 0; i < n; i++) {
            const int8_t *levels = x + apart * (size_t)i;
            __m256i twos[2][4];
            UNROLL for (int r = 0; r < 8; r += 2) {
                // A single activation row meets weights as they come: they need not be kept.
                UNROLL for (int j = r; n == 1 && j < r + 2; j++) {
                    fetch_slot(type, ahead, slot + j);
                    load_pair(type, at[j], first / 2 + pair, w[j]);
                }
                UNROLL for (int b = 0; b < 2; b++) {
                    const int block = first + 2 * pair + b;
                    twos[b][r / 2] = two_rows(type, pair_sums(type, w[r][b], inputs_of(levels + 256 * r, block)),
                                              pair_sums(type, w[r + 1][b], inputs_of(levels + 256 * (r + 1), block)));
                    // Two superblocks after the other, or more would be loaded than registers hold.
                    __asm__ volatile("" : "+x"(twos[b][r / 2]));
                }
            }
            UNROLL for (int b = 0; b < 2; b++) {
                dot_products(type, ck_has_fine_scales(type), twos[b], dots[i][2 * pair + b]);
            }
        }
    }
}

// The dot products of the eight blocks of a superblock.
INLINE __m256i dots_of_row(const ck_type type, const uint8_t *at, const int8_t *x, const int32_t *starts) {
    (void)starts;
    __m256i twos[4], dots[2];
    UNROLL for (int pair = 0; pair < 4; pair++) {
        __m256i w[2], sums[2];
        load_pair(type, at, pair, w);
        UNROLL for (int b = 0; b < 2; b++) { sums[b] = pair_sums(type, w[b], inputs_of(x, 2 * pair + b)); }
        twos[pair] = two_rows(type, sums[0], sums[1]);
    }
    dot_products(type, false, twos, dots);
    return dots[0];
}

#include "matvec_int8.inc"

#define CASE(type_name)                                                                                             \
    case type_name: matvec(type_name, &p, (int)n); return;

void ck_matvec_int8_avx2(ck_type type, const void *weights, size_t row_bytes, int64_t m_begin, int64_t m_end,
                         int64_t k, const void *packed, int64_t n, float *y, int64_t y_stride) {
    const product p = {.weights = weights, .row_bytes = row_bytes, .m_begin = m_begin, .m_end = m_end, .k = k,
                       .packed = packed, .y = y, .y_stride = y_stride};
    switch (type) {
        CK_EACH_QUANTIZED(CASE)
        default: return;
    }
}

#pragma clang attribute pop
#endif
