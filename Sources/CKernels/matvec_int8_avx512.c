// One activation row times quantized weights, read straight from their blocks: the product of decoding.
//
// Eight weight rows at a time, a superblock of 256 inputs at a time. Integer dot products of a block are exact, and
// they are then scaled and added in the order of matmul_int8_avx512.c: the same bits as a row among many.
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

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("clang loop unroll(full)")

enum { ROWS = 8 };

// What the row of activations looks like to this product: levels in order of k; for each block (or half block, where
// scales are fine) the number at which its dot product starts, which undoes the offset that made weights unsigned.
typedef struct {
    const int8_t *levels;
    const int32_t *starts;
    const ck_int8_block *blocks;
} vector_input;

// Weights are levels + offset as unsigned bytes.
INLINE int32_t offset_of(const ck_type type) {
    switch (type) {
        case CK_Q8_0: case CK_IQ4_NL: case CK_IQ4_XS: return 128;
        case CK_Q6_K: return 32;
        case CK_Q5_0: return 16;
        case CK_Q4_0: return 8;
        case CK_Q3_K: return 4;
        default: return 0;
    }
}

INLINE __m256i load32(const uint8_t *p) { return _mm256_loadu_si256((const __m256i *)p); }
INLINE __m512i join(__m256i low, __m256i high) {
    return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
}

INLINE __m256i nibbles(const uint8_t *p) {
    __m128i bytes = _mm_loadu_si128((const __m128i *)p);
    __m256i both = _mm256_inserti128_si256(_mm256_castsi128_si256(bytes), _mm_srli_epi16(bytes, 4), 1);
    return _mm256_and_si256(both, _mm256_set1_epi8(15));
}

// Nibbles with the fifth bits of Q5_0 and Q5_1 above them.
INLINE __m256i five_bits(const uint8_t *high, const uint8_t *qs) {
    uint32_t bits;
    memcpy(&bits, high, 4);
    return _mm256_or_si256(nibbles(qs), _mm256_maskz_set1_epi8(bits, 16));
}

// The levels of IQ4_NL and IQ4_XS, + 128.
INLINE __m256i table_levels(const uint8_t *qs) {
    const __m128i table = _mm_setr_epi8(1, 24, 45, 63, 79, 93, 106, 118, (char)129, (char)141, (char)153, (char)166,
                                        (char)181, (char)197, (char)217, (char)241);
    return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(table), nibbles(qs));
}

// Bits [shift, shift + 2) of 32 bytes, and of the same bytes two bits on.
INLINE __m512i two_bits(const uint8_t *qs, const int shift) {
    __m256i bytes = load32(qs);
    __m512i both = join(_mm256_srli_epi16(bytes, shift), _mm256_srli_epi16(bytes, shift + 2));
    return _mm512_and_si512(both, _mm512_set1_epi8(3));
}

// Bit `bit` of 32 bytes and the one above it, moved to bit `to` ≥ 2.
INLINE __m512i one_bit(const uint8_t *p, const int bit, const int to) {
    __m256i bytes = load32(p);
    __m256i first = bit <= to ? _mm256_slli_epi16(bytes, to - bit) : _mm256_srli_epi16(bytes, bit - to);
    __m256i second = bit + 1 <= to ? _mm256_slli_epi16(bytes, to - bit - 1) : _mm256_srli_epi16(bytes, bit + 1 - to);
    return _mm512_and_si512(join(first, second), _mm512_set1_epi8((char)(1 << to)));
}

// Inputs [64·pair, 64·pair + 64) of a superblock of one row, as unsigned bytes.
INLINE __m512i load_pair(const ck_type type, const uint8_t *block, const int pair) {
    const __m512i low_bits = _mm512_set1_epi8(15);
    switch (type) {
        case CK_Q8_0:
            return _mm512_xor_si512(join(load32(block + 68 * pair + 2), load32(block + 68 * pair + 36)),
                                    _mm512_set1_epi8((char)0x80));
        case CK_Q4_0: return join(nibbles(block + 36 * pair + 2), nibbles(block + 36 * pair + 20));
        case CK_Q4_1: return join(nibbles(block + 40 * pair + 4), nibbles(block + 40 * pair + 24));
        case CK_Q5_0: {
            const uint8_t *first = block + 44 * pair, *second = first + 22;
            return join(five_bits(first + 2, first + 6), five_bits(second + 2, second + 6));
        }
        case CK_Q5_1: {
            const uint8_t *first = block + 48 * pair, *second = first + 24;
            return join(five_bits(first + 4, first + 8), five_bits(second + 4, second + 8));
        }
        case CK_IQ4_NL: return join(table_levels(block + 36 * pair + 2), table_levels(block + 36 * pair + 20));
        case CK_IQ4_XS: return join(table_levels(block + 8 + 32 * pair), table_levels(block + 24 + 32 * pair));
        case CK_Q2_K: return two_bits(block + 16 + 32 * (pair / 2), 4 * (pair % 2));
        case CK_Q3_K:
            return _mm512_or_si512(two_bits(block + 32 + 32 * (pair / 2), 4 * (pair % 2)), one_bit(block, 2 * pair, 2));
        case CK_Q4_K: {
            __m256i bytes = load32(block + 16 + 32 * pair);
            return _mm512_and_si512(join(bytes, _mm256_srli_epi16(bytes, 4)), low_bits);
        }
        case CK_Q5_K: {
            __m256i bytes = load32(block + 48 + 32 * pair);
            __m512i low = _mm512_and_si512(join(bytes, _mm256_srli_epi16(bytes, 4)), low_bits);
            return _mm512_or_si512(low, one_bit(block + 16, 2 * pair, 4));
        }
        default: {  // Q6_K
            __m512i bytes = _mm512_loadu_si512(block + 64 * (pair / 2));
            __m256i high = load32(block + 128 + 32 * (pair / 2));
            __m512i low = _mm512_and_si512(pair % 2 ? _mm512_srli_epi16(bytes, 4) : bytes, low_bits);
            __m512i two = pair % 2 ? join(high, _mm256_srli_epi16(high, 2))
                                   : join(_mm256_slli_epi16(high, 4), _mm256_slli_epi16(high, 2));
            return _mm512_or_si512(low, _mm512_and_si512(two, _mm512_set1_epi8(48)));
        }
    }
}

INLINE __m256 halves_apart(const uint8_t *p, const int stride) {
    _Alignas(16) uint16_t bits[8];
    UNROLL for (int i = 0; i < 8; i++) { memcpy(bits + i, p + stride * i, 2); }
    return _mm256_cvtph_ps(_mm_load_si128((const __m128i *)bits));
}

INLINE __m256 scaled_bytes(float d, __m128i bytes) {
    return _mm256_mul_ps(_mm256_set1_ps(d), _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes)));
}

INLINE __m256 negated(__m256 v) { return _mm256_xor_ps(v, _mm256_set1_ps(-0.0f)); }

// Scales and biases of a superblock of one row: eight, or sixteen where they are fine. The products are those of
// levels.h.
INLINE void load_scales(const ck_type type, const uint8_t *block, __m256 scales[2], __m256 biases[2]) {
    switch (type) {
        case CK_Q8_0: scales[0] = halves_apart(block, 34); return;
        case CK_Q4_0: case CK_IQ4_NL: scales[0] = halves_apart(block, 18); return;
        case CK_Q5_0: scales[0] = halves_apart(block, 22); return;
        case CK_Q4_1:
            scales[0] = halves_apart(block, 20);
            biases[0] = halves_apart(block + 2, 20);
            return;
        case CK_Q5_1:
            scales[0] = halves_apart(block, 24);
            biases[0] = halves_apart(block + 2, 24);
            return;
        case CK_IQ4_XS: {
            uint32_t low;
            uint16_t high;
            memcpy(&low, block + 4, 4);
            memcpy(&high, block + 2, 2);
            const __m256i fours = _mm256_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28);
            __m256i lows = _mm256_srlv_epi32(_mm256_set1_epi32((int32_t)low), fours);
            __m256i highs = _mm256_srlv_epi32(_mm256_set1_epi32(high), _mm256_srli_epi32(fours, 1));
            lows = _mm256_and_si256(lows, _mm256_set1_epi32(15));
            highs = _mm256_slli_epi32(_mm256_and_si256(highs, _mm256_set1_epi32(3)), 4);
            __m256i values = _mm256_sub_epi32(_mm256_or_si256(lows, highs), _mm256_set1_epi32(32));
            scales[0] = _mm256_mul_ps(_mm256_set1_ps(ck_half_at(block)), _mm256_cvtepi32_ps(values));
            return;
        }
        case CK_Q2_K: {
            __m128i bytes = _mm_loadu_si128((const __m128i *)block);
            __m128i low = _mm_and_si128(bytes, _mm_set1_epi8(15));
            __m128i high = _mm_and_si128(_mm_srli_epi16(bytes, 4), _mm_set1_epi8(15));
            float d = ck_half_at(block + 80), minimum = ck_half_at(block + 82);
            scales[0] = scaled_bytes(d, low);
            scales[1] = scaled_bytes(d, _mm_srli_si128(low, 8));
            biases[0] = negated(scaled_bytes(minimum, high));
            biases[1] = negated(scaled_bytes(minimum, _mm_srli_si128(high, 8)));
            return;
        }
        case CK_Q3_K: {
            uint32_t top;
            memcpy(&top, block + 104, 4);
            __m128i bytes = _mm_loadl_epi64((const __m128i *)(block + 96));
            __m128i low = _mm_and_si128(_mm_unpacklo_epi64(bytes, _mm_srli_epi16(bytes, 4)), _mm_set1_epi8(15));
            __m128i high = _mm_srlv_epi32(_mm_set1_epi32((int32_t)top), _mm_setr_epi32(0, 2, 4, 6));
            high = _mm_slli_epi16(_mm_and_si128(high, _mm_set1_epi8(3)), 4);
            __m128i values = _mm_sub_epi8(_mm_or_si128(low, high), _mm_set1_epi8(32));
            float d = ck_half_at(block + 108);
            scales[0] = scaled_bytes(d, values);
            scales[1] = scaled_bytes(d, _mm_srli_si128(values, 8));
            return;
        }
        case CK_Q6_K: {
            float d = ck_half_at(block + 208);
            __m128i bytes = _mm_loadu_si128((const __m128i *)(block + 192));
            scales[0] = scaled_bytes(d, bytes);
            scales[1] = scaled_bytes(d, _mm_srli_si128(bytes, 8));
            return;
        }
        default: {  // Q4_K, Q5_K: six bits each
            uint32_t s[3];
            memcpy(s, block + 4, 12);
            uint64_t low = s[0] & 0x3f3f3f3fu, high = (s[2] & 0x0f0f0f0fu) | ((s[0] >> 2) & 0x30303030u);
            uint64_t low_bias = s[1] & 0x3f3f3f3fu;
            uint64_t high_bias = ((s[2] >> 4) & 0x0f0f0f0fu) | ((s[1] >> 2) & 0x30303030u);
            scales[0] = scaled_bytes(ck_half_at(block), _mm_cvtsi64_si128((long long)(low | high << 32)));
            biases[0] = negated(scaled_bytes(ck_half_at(block + 2),
                                             _mm_cvtsi64_si128((long long)(low_bias | high_bias << 32))));
        }
    }
}

INLINE void transpose8(__m256 r[8]) {
    __m256 t[8];
    UNROLL for (int i = 0; i < 4; i++) {
        t[2 * i] = _mm256_unpacklo_ps(r[2 * i], r[2 * i + 1]);
        t[2 * i + 1] = _mm256_unpackhi_ps(r[2 * i], r[2 * i + 1]);
    }
    UNROLL for (int i = 0; i < 2; i++) {
        r[4 * i] = _mm256_shuffle_ps(t[4 * i], t[4 * i + 2], 0x44);
        r[4 * i + 1] = _mm256_shuffle_ps(t[4 * i], t[4 * i + 2], 0xee);
        r[4 * i + 2] = _mm256_shuffle_ps(t[4 * i + 1], t[4 * i + 3], 0x44);
        r[4 * i + 3] = _mm256_shuffle_ps(t[4 * i + 1], t[4 * i + 3], 0xee);
    }
    UNROLL for (int i = 0; i < 4; i++) {
        t[i] = _mm256_permute2f128_ps(r[i], r[4 + i], 0x20);
        t[4 + i] = _mm256_permute2f128_ps(r[i], r[4 + i], 0x31);
    }
    UNROLL for (int i = 0; i < 8; i++) { r[i] = t[i]; }
}

// Quarter q of the result: the sums of quarter q of four rows.
INLINE __m512i sum_quarters(__m512i a, __m512i b, __m512i c, __m512i d) {
    __m512i ab = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    __m512i cd = _mm512_add_epi32(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
    return _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
}

INLINE __m256 add_part(__m256 acc, __m256i dot, int32_t start, __m256 scale, float x_scale) {
    dot = _mm256_add_epi32(dot, _mm256_set1_epi32(start));
    return _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot), _mm256_mul_ps(scale, _mm256_set1_ps(x_scale)), acc);
}

// Eight rows; rows past `count` repeat the last one.
INLINE __m256 eight_rows(const ck_type type, const uint8_t *weights, size_t row_bytes, int64_t count, int64_t supers,
                         vector_input x) {
    const bool fine = ck_has_fine_scales(type), bias = ck_has_bias(type);
    const size_t super_bytes = ck_block_bytes(type) * (size_t)(256 / ck_block_elements(type));
    const uint8_t *rows[ROWS];
    UNROLL for (int r = 0; r < ROWS; r++) { rows[r] = weights + row_bytes * (size_t)(r < count ? r : count - 1); }
    __m256 acc = _mm256_setzero_ps();
    for (int64_t s = 0; s < supers; s++) {
        __m256 scales[2][8], biases[2][8];
        UNROLL for (int r = 0; r < ROWS; r++) {
            __m256 zero = _mm256_setzero_ps(), scale[2] = {zero, zero}, add[2] = {zero, zero};
            load_scales(type, rows[r], scale, add);
            UNROLL for (int h = 0; h < 2; h++) {
                scales[h][r] = scale[h];
                biases[h][r] = add[h];
            }
        }
        transpose8(scales[0]);
        if (fine) { transpose8(scales[1]); }
        if (bias) { transpose8(biases[0]); }
        if (bias && fine) { transpose8(biases[1]); }
        UNROLL for (int pair = 0; pair < 4; pair++) {
            __m512i inputs = _mm512_load_si512(x.levels + 256 * s + 64 * pair);
            __m512i dots[ROWS];
            UNROLL for (int r = 0; r < ROWS; r++) {
                __m512i w = load_pair(type, rows[r], pair);
                dots[r] = _mm512_dpbusd_epi32(_mm512_setzero_si512(), w, inputs);
            }
            __m512i a = sum_quarters(dots[0], dots[1], dots[2], dots[3]);
            __m512i b = sum_quarters(dots[4], dots[5], dots[6], dots[7]);
            const ck_int8_block *block = x.blocks + 8 * s + 2 * pair;
            if (fine) {
                const __m512i low = _mm512_set_epi64(11, 10, 3, 2, 9, 8, 1, 0);
                const __m512i high = _mm512_set_epi64(15, 14, 7, 6, 13, 12, 5, 4);
                __m512i parts[2] = {_mm512_permutex2var_epi64(a, low, b), _mm512_permutex2var_epi64(a, high, b)};
                const int32_t *starts = x.starts + 16 * s + 4 * pair;
                UNROLL for (int i = 0; i < 4; i++) {
                    __m256i dot = i % 2 ? _mm512_extracti64x4_epi64(parts[i / 2], 1)
                                        : _mm512_castsi512_si256(parts[i / 2]);
                    const int part = 4 * pair + i;
                    acc = add_part(acc, dot, starts[i], scales[part / 8][part % 8], block[i / 2].scale[0]);
                    if (bias) {
                        acc = _mm256_fmadd_ps(biases[part / 8][part % 8], _mm256_set1_ps(block[i / 2].sum[i % 2][0]),
                                              acc);
                    }
                }
            } else {
                __m512i sums = _mm512_add_epi32(_mm512_shuffle_i32x4(a, b, 0x88), _mm512_shuffle_i32x4(a, b, 0xdd));
                sums = _mm512_shuffle_i32x4(sums, sums, 0xd8);
                const int32_t *starts = x.starts + 8 * s + 2 * pair;
                UNROLL for (int i = 0; i < 2; i++) {
                    __m256i dot = i ? _mm512_extracti64x4_epi64(sums, 1) : _mm512_castsi512_si256(sums);
                    acc = add_part(acc, dot, starts[i], scales[0][2 * pair + i], block[i].scale[0]);
                    if (bias) {
                        acc = _mm256_fmadd_ps(biases[0][2 * pair + i], _mm256_set1_ps(block[i].sum[2][0]), acc);
                    }
                }
            }
        }
        UNROLL for (int r = 0; r < ROWS; r++) { rows[r] += super_bytes; }
    }
    return acc;
}

INLINE void matvec(const ck_type type, const uint8_t *weights, size_t row_bytes, int64_t m_begin, int64_t m_end,
                   int64_t k, const ck_int8_block *packed, float *y, void *scratch) {
    const bool fine = ck_has_fine_scales(type);
    int8_t *levels = scratch;
    int32_t *starts = (int32_t *)(levels + k);
    for (int64_t b = 0; b < k / 32; b++) {
        // Row 0's four bytes of every sixteen.
        const __m512i first = _mm512_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28, 0, 0, 0, 0, 0, 0, 0, 0);
        __m512i both = _mm512_permutex2var_epi32(_mm512_loadu_si512(packed[b].levels[0]), first,
                                                 _mm512_loadu_si512(packed[b].levels[4]));
        _mm256_storeu_si256((__m256i *)(levels + 32 * b), _mm512_castsi512_si256(both));
        if (fine) {
            starts[2 * b] = packed[b].start[0][0] / 128 * offset_of(type);
            starts[2 * b + 1] = packed[b].start[1][0] / 128 * offset_of(type);
        } else {
            starts[b] = packed[b].start[2][0] / 128 * offset_of(type);
        }
    }
    vector_input x = {levels, starts, packed};
    for (int64_t m = m_begin; m < m_end; m += ROWS) {
        int64_t count = m_end - m < ROWS ? m_end - m : ROWS;
        __m256 sums = eight_rows(type, weights + row_bytes * (size_t)m, row_bytes, count, k / 256, x);
        _mm256_mask_storeu_ps(y + m, (__mmask8)((1u << count) - 1u), sums);
    }
}

size_t ck_matvec_int8_scratch_avx512(int64_t k) { return (size_t)(k + k / 16 * 4 + 64); }

#define CASE(type_name)                                                                                             \
    case type_name: matvec(type_name, weights, row_bytes, m_begin, m_end, k, packed, y, scratch); return;

void ck_matvec_int8_avx512(ck_type type, const void *weights, size_t row_bytes, int64_t m_begin, int64_t m_end,
                           int64_t k, const void *packed, int64_t n, float *y, int64_t y_stride, void *scratch) {
    (void)n;
    (void)y_stride;
    switch (type) {
        CASE(CK_Q4_0)
        CASE(CK_Q4_1)
        CASE(CK_Q5_0)
        CASE(CK_Q5_1)
        CASE(CK_Q8_0)
        CASE(CK_Q2_K)
        CASE(CK_Q3_K)
        CASE(CK_Q4_K)
        CASE(CK_Q5_K)
        CASE(CK_Q6_K)
        CASE(CK_IQ4_NL)
        CASE(CK_IQ4_XS)
        default: return;
    }
}

#pragma clang attribute pop
#endif
