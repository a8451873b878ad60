#ifndef CK_LEVELS_H
#define CK_LEVELS_H

#include "blocks.h"
#include "half.h"

// A block of any quantized type as what it means: integer levels, and for every 16 of them a scale and, for some types,
// a bias: weight = scale · level + bias. The products and sums that make scales, biases and weights are those of the
// `gguf` package, in its order. Plain loops, which the compiler turns into the vectors of the file that includes them;
// what it can't is written out where CK_HAS_AVX512_BYTES says so.

static inline bool ck_has_bias(ck_type type) {
    return type == CK_Q4_1 || type == CK_Q5_1 || type == CK_Q2_K || type == CK_Q4_K || type == CK_Q5_K;
}

// Whether scales change every 16 elements rather than every 32.
static inline bool ck_has_fine_scales(ck_type type) {
    return type == CK_Q2_K || type == CK_Q3_K || type == CK_Q6_K;
}

// Whether levels take all eight bits of a byte.
static inline bool ck_has_eight_bit_levels(ck_type type) {
    return type == CK_Q8_0 || type == CK_IQ4_NL || type == CK_IQ4_XS;
}

#define CK_LEVELS static inline __attribute__((always_inline)) void

CK_LEVELS ck_both(float *values, float value) { values[0] = values[1] = value; }

static inline float ck_half_at(const uint8_t *p) {
    uint16_t bits;
    memcpy(&bits, p, 2);
#if CK_HAS_F16 || CK_HAS_AVX512_BYTES
    _Float16 half;
    memcpy(&half, &bits, 2);
    return (float)half;
#else
    return ck_f16_to_f32(bits);
#endif
}

// Sixteen bytes hold elements 0…15 in their low halves and 16…31 in their high ones.
CK_LEVELS ck_nibbles_32(const uint8_t *qs, int8_t *levels, int offset) {
    for (int i = 0; i < 16; i++) { levels[i] = (int8_t)((qs[i] & 15) - offset); }
    for (int i = 0; i < 16; i++) { levels[16 + i] = (int8_t)((qs[i] >> 4) - offset); }
}

CK_LEVELS ck_fifth_bits_32(const uint8_t *qs, const uint8_t *high, int8_t *levels, int offset) {
    uint32_t bits;
    memcpy(&bits, high, 4);
#if CK_HAS_AVX512_BYTES
    __m128i bytes = _mm_loadu_si128((const __m128i *)qs);
    __m256i low = _mm256_inserti128_si256(_mm256_castsi128_si256(bytes), _mm_srli_epi16(bytes, 4), 1);
    low = _mm256_and_si256(low, _mm256_set1_epi8(15));
    __m256i all = _mm256_or_si256(low, _mm256_maskz_set1_epi8(bits, 16));
    _mm256_storeu_si256((__m256i *)levels, _mm256_sub_epi8(all, _mm256_set1_epi8((char)offset)));
    return;
#endif
    for (int i = 0; i < 16; i++) { levels[i] = (int8_t)(((qs[i] & 15) | ((bits >> i & 1) << 4)) - (uint32_t)offset); }
    for (int i = 0; i < 16; i++) {
        levels[16 + i] = (int8_t)(((qs[i] >> 4) | ((bits >> (16 + i) & 1) << 4)) - (uint32_t)offset);
    }
}

static const int8_t ck_iq4_levels[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
// Twice the values of E2M1, so that they are whole numbers.
static const int8_t ck_fp4_levels[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

// Half of 2^(e − 127): MXFP4's scale for levels that are doubled.
static inline float ck_half_exponent(uint8_t e) {
    uint32_t bits = e < 2 ? (uint32_t)0x00200000 << e : (uint32_t)(e - 1) << 23;
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

CK_LEVELS ck_table_32(const int8_t *table, const uint8_t *qs, int8_t *levels) {
#if CK_HAS_AVX512_BYTES
    __m128i bytes = _mm_loadu_si128((const __m128i *)qs), values = _mm_loadu_si128((const __m128i *)table);
    __m128i low = _mm_and_si128(bytes, _mm_set1_epi8(15));
    __m128i high = _mm_and_si128(_mm_srli_epi16(bytes, 4), _mm_set1_epi8(15));
    _mm_storeu_si128((__m128i *)levels, _mm_shuffle_epi8(values, low));
    _mm_storeu_si128((__m128i *)(levels + 16), _mm_shuffle_epi8(values, high));
    return;
#endif
    for (int i = 0; i < 16; i++) { levels[i] = table[qs[i] & 15]; }
    for (int i = 0; i < 16; i++) { levels[16 + i] = table[qs[i] >> 4]; }
}

// The 6-bit scales and minima of Q4_K and Q5_K: eight of each in twelve bytes.
CK_LEVELS ck_six_bit_scales(const uint8_t *block, float *scales, float *biases) {
    float d = ck_half_at(block), minimum = ck_half_at(block + 2);
    const uint8_t *s = block + 4;
    for (int i = 0; i < 4; i++) {
        ck_both(scales + 2 * i, d * (float)(s[i] & 63));
        ck_both(biases + 2 * i, -(minimum * (float)(s[4 + i] & 63)));
        ck_both(scales + 8 + 2 * i, d * (float)((s[8 + i] & 15) | ((s[i] >> 2) & 48)));
        ck_both(biases + 8 + 2 * i, -(minimum * (float)((s[8 + i] >> 4) | ((s[4 + i] >> 2) & 48))));
    }
}

CK_LEVELS ck_levels_q2_k(const uint8_t *block, int8_t *levels, float *scales, float *biases) {
    const uint8_t *qs = block + 16;
    float d = ck_half_at(block + 80), minimum = ck_half_at(block + 82);
    for (int i = 0; i < 16; i++) {
        scales[i] = d * (float)(block[i] & 15);
        biases[i] = -(minimum * (float)(block[i] >> 4));
    }
    for (int half = 0; half < 2; half++) {
        for (int shift = 0; shift < 4; shift++) {
            for (int i = 0; i < 32; i++) {
                levels[128 * half + 32 * shift + i] = (int8_t)((qs[32 * half + i] >> (2 * shift)) & 3);
            }
        }
    }
}

CK_LEVELS ck_levels_q3_k(const uint8_t *block, int8_t *levels, float *scales) {
    const uint8_t *mask = block, *qs = block + 32, *s = block + 96;
    float d = ck_half_at(block + 108);
    for (int i = 0; i < 16; i++) {
        int low = i < 8 ? s[i] & 15 : s[i - 8] >> 4;
        int high = (s[8 + i % 4] >> (2 * (i / 4))) & 3;
        scales[i] = d * (float)((low | (high << 4)) - 32);
    }
    for (int half = 0; half < 2; half++) {
        for (int shift = 0; shift < 4; shift++) {
            for (int i = 0; i < 32; i++) {
                int low = (qs[32 * half + i] >> (2 * shift)) & 3;
                int absent = ((mask[i] >> (4 * half + shift)) & 1) ^ 1;
                levels[128 * half + 32 * shift + i] = (int8_t)(low - 4 * absent);
            }
        }
    }
}

CK_LEVELS ck_levels_q4_k(const uint8_t *block, int8_t *levels, float *scales, float *biases) {
    const uint8_t *qs = block + 16;
    ck_six_bit_scales(block, scales, biases);
    for (int part = 0; part < 4; part++) {
        for (int i = 0; i < 32; i++) { levels[64 * part + i] = (int8_t)(qs[32 * part + i] & 15); }
        for (int i = 0; i < 32; i++) { levels[64 * part + 32 + i] = (int8_t)(qs[32 * part + i] >> 4); }
    }
}

CK_LEVELS ck_levels_q5_k(const uint8_t *block, int8_t *levels, float *scales, float *biases) {
    const uint8_t *high = block + 16, *qs = block + 48;
    ck_six_bit_scales(block, scales, biases);
    for (int part = 0; part < 4; part++) {
        for (int i = 0; i < 32; i++) {
            levels[64 * part + i] = (int8_t)((qs[32 * part + i] & 15) | (((high[i] >> (2 * part)) & 1) << 4));
        }
        for (int i = 0; i < 32; i++) {
            levels[64 * part + 32 + i]
                = (int8_t)((qs[32 * part + i] >> 4) | (((high[i] >> (2 * part + 1)) & 1) << 4));
        }
    }
}

CK_LEVELS ck_levels_q6_k(const uint8_t *block, int8_t *levels, float *scales) {
    float d = ck_half_at(block + 208);
    for (int i = 0; i < 16; i++) { scales[i] = d * (float)(int8_t)block[192 + i]; }
    for (int half = 0; half < 2; half++) {
        const uint8_t *low = block + 64 * half, *high = block + 128 + 32 * half;
        int8_t *out = levels + 128 * half;
        for (int i = 0; i < 32; i++) { out[i] = (int8_t)(((low[i] & 15) | ((high[i] & 3) << 4)) - 32); }
        for (int i = 0; i < 32; i++) {
            out[32 + i] = (int8_t)(((low[32 + i] & 15) | (((high[i] >> 2) & 3) << 4)) - 32);
        }
        for (int i = 0; i < 32; i++) { out[64 + i] = (int8_t)(((low[i] >> 4) | (((high[i] >> 4) & 3) << 4)) - 32); }
        for (int i = 0; i < 32; i++) { out[96 + i] = (int8_t)(((low[32 + i] >> 4) | ((high[i] >> 6) << 4)) - 32); }
    }
}

CK_LEVELS ck_levels_iq4_xs(const uint8_t *block, int8_t *levels, float *scales) {
    float d = ck_half_at(block);
    uint16_t high;
    memcpy(&high, block + 2, 2);
    for (int i = 0; i < 8; i++) {
        int low = (block[4 + i / 2] >> (4 * (i % 2))) & 15;
        ck_both(scales + 2 * i, d * (float)((low | (((high >> (2 * i)) & 3) << 4)) - 32));
    }
    for (int i = 0; i < 8; i++) { ck_table_32(ck_iq4_levels, block + 8 + 16 * i, levels + 32 * i); }
}

// Levels of one block of `type` (a constant where it is called), ck_block_elements of them, with a scale and a bias for
// each 16. Biases of types without one are not written.
CK_LEVELS ck_levels(ck_type type, const uint8_t *block, int8_t *levels, float *scales, float *biases) {
    switch (type) {
        case CK_Q4_0:
            ck_both(scales, ck_half_at(block));
            ck_nibbles_32(block + 2, levels, 8);
            return;
        case CK_Q4_1:
            ck_both(scales, ck_half_at(block));
            ck_both(biases, ck_half_at(block + 2));
            ck_nibbles_32(block + 4, levels, 0);
            return;
        case CK_Q5_0:
            ck_both(scales, ck_half_at(block));
            ck_fifth_bits_32(block + 6, block + 2, levels, 16);
            return;
        case CK_Q5_1:
            ck_both(scales, ck_half_at(block));
            ck_both(biases, ck_half_at(block + 2));
            ck_fifth_bits_32(block + 8, block + 4, levels, 0);
            return;
        case CK_Q8_0:
            ck_both(scales, ck_half_at(block));
            memcpy(levels, block + 2, 32);
            return;
        case CK_IQ4_NL:
            ck_both(scales, ck_half_at(block));
            ck_table_32(ck_iq4_levels, block + 2, levels);
            return;
        case CK_MXFP4:
            ck_both(scales, ck_half_exponent(block[0]));
            ck_table_32(ck_fp4_levels, block + 1, levels);
            return;
        case CK_Q2_K: ck_levels_q2_k(block, levels, scales, biases); return;
        case CK_Q3_K: ck_levels_q3_k(block, levels, scales); return;
        case CK_Q4_K: ck_levels_q4_k(block, levels, scales, biases); return;
        case CK_Q5_K: ck_levels_q5_k(block, levels, scales, biases); return;
        case CK_Q6_K: ck_levels_q6_k(block, levels, scales); return;
        case CK_IQ4_XS: ck_levels_iq4_xs(block, levels, scales); return;
        default: return;
    }
}

#endif
