// What the tile product reads, as bf16: quantized weights, which are dequantized, rounded and laid out in one step, and
// activations.
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
#include "vectors512.inc"

enum { ROWS = CK_TILE_GROUP_ROWS };

INLINE void load_scales(const ck_type type, const uint8_t *const rows[ROWS], ck_tile_scales *all) {
    __m256 scales[2][ROWS], biases[2][ROWS];
    load_row_scales(type, rows, scales, biases);
    UNROLL for (int part = 0; part < (ck_has_fine_scales(type) ? 16 : 8); part++) {
        _mm256_storeu_ps(all->scale[part], scales[part / 8][part % 8]);
        if (ck_has_bias(type)) { _mm256_storeu_ps(all->bias[part], biases[part / 8][part % 8]); }
    }
}

// Weights of a part of row `r` that have these levels. The products and sums are those of levels.h.
INLINE __m512 weights_of(const ck_type type, __m512 levels, const ck_tile_scales *all, const int part, const int r) {
    const __m512 products = _mm512_mul_ps(levels, _mm512_set1_ps(all->scale[part][r]));
    return ck_has_bias(type) ? _mm512_add_ps(products, _mm512_set1_ps(all->bias[part][r])) : products;
}

// How many values a code can have; 0: too many to make all of them first.
INLINE int code_count(const ck_type type) {
    switch (type) {
        case CK_Q5_0: case CK_Q5_1: case CK_Q5_K: return 32;
        case CK_Q6_K: case CK_Q8_0: return 0;
        default: return 16;
    }
}

// The levels of codes `first` to `first` + 15.
INLINE __m512 levels_from(const ck_type type, const int first) {
    float levels[16];
    UNROLL for (int i = 0; i < 16; i++) {
        levels[i] = (float)(type == CK_MXFP4 ? ck_fp4_levels[i]
                            : type == CK_IQ4_NL || type == CK_IQ4_XS ? ck_iq4_levels[i] : first + i - offset_of(type));
    }
    return _mm512_loadu_ps(levels);
}

// 32 bytes as words.
INLINE __m512i widened(const uint8_t *bytes) { return _mm512_cvtepu8_epi16(load32(bytes)); }

// Bit `bit` of each word moved to bit `to`, and all others 0.
INLINE __m512i bit_of(__m512i words, const int bit, const int to) {
    const __m512i there = bit > to ? _mm512_srli_epi16(words, (unsigned)(bit - to)) : _mm512_slli_epi16(words, (unsigned)(to - bit));
    return _mm512_and_si512(there, _mm512_set1_epi16((int16_t)(1 << to)));
}

// The nibbles of sixteen bytes: first the low ones, then the high ones.
INLINE __m512i nibbles_of(const uint8_t *bytes) {
    const __m512i twice = _mm512_cvtepu8_epi16(_mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)bytes)));
    const __m512i there = _mm512_srlv_epi16(twice, join(_mm256_setzero_si256(), _mm256_set1_epi16(4)));
    return _mm512_and_si512(there, _mm512_set1_epi16(15));
}

INLINE __m512i with_fifth_bits(__m512i nibbles, const uint8_t *high) {
    uint32_t bits;
    memcpy(&bits, high, 4);
    return _mm512_mask_add_epi16(nibbles, bits, nibbles, _mm512_set1_epi16(16));
}

// The codes of a block of 32 of a superblock of one row, as words.
INLINE __m512i codes_of(const ck_type type, const uint8_t *super, const int block) {
    const uint8_t *own = super + ck_block_bytes(type) * (size_t)(ck_block_elements(type) == 32 ? block : 0);
    switch (type) {
        case CK_Q4_0: case CK_IQ4_NL: return nibbles_of(own + 2);
        case CK_Q4_1: return nibbles_of(own + 4);
        case CK_MXFP4: return nibbles_of(own + 1);
        case CK_IQ4_XS: return nibbles_of(super + 8 + 16 * block);
        case CK_Q5_0: return with_fifth_bits(nibbles_of(own + 6), own + 2);
        case CK_Q5_1: return with_fifth_bits(nibbles_of(own + 8), own + 4);
        case CK_Q2_K: case CK_Q3_K: {
            const __m512i four = widened(super + (type == CK_Q2_K ? 16 : 32) + 32 * (block / 4));
            const __m512i low = _mm512_and_si512(_mm512_srli_epi16(four, (unsigned)(2 * (block % 4))), _mm512_set1_epi16(3));
            return type == CK_Q2_K ? low : _mm512_or_si512(low, bit_of(widened(super), block, 2));
        }
        default: {  // Q4_K, Q5_K
            const __m512i two = widened(super + (type == CK_Q4_K ? 16 : 48) + 32 * (block / 2));
            const __m512i low = block % 2 ? _mm512_srli_epi16(two, 4) : _mm512_and_si512(two, _mm512_set1_epi16(15));
            return type == CK_Q4_K ? low : _mm512_or_si512(low, bit_of(widened(super + 16), block, 4));
        }
    }
}

// Few levels: what each becomes is worked out once for a scale, and weights are looked up by their codes. A table has 32 entries:
// the levels of two scales, of two blocks or of the halves of one, or all 32 of one scale.
INLINE void pack_by_table(const ck_type type, const uint8_t *row, const ck_tile_scales *all, const int r, uint8_t *out) {
    const bool fine = ck_has_fine_scales(type), one_scale = code_count(type) == 32, two_blocks = !fine && !one_scale;
    const __m512 low = levels_from(type, 0), high = one_scale ? levels_from(type, 16) : low;
    const __m512i upper_half = join(_mm256_setzero_si256(), _mm256_set1_epi16(16));
    __m512bh table = {0};
    UNROLL for (int block = 0; block < 8; block++) {
        if (!two_blocks || block % 2 == 0) {
            const int first = fine ? 2 * block : block, second = one_scale ? first : first + 1;
            table = _mm512_cvtne2ps_pbh(weights_of(type, high, all, second, r), weights_of(type, low, all, first, r));
        }
        __m512i codes = codes_of(type, row, block);
        if (fine) { codes = _mm512_or_si512(codes, upper_half); }
        if (two_blocks && block % 2) { codes = _mm512_or_si512(codes, _mm512_set1_epi16(16)); }
        _mm512_storeu_si512(out + block * CK_TILE_BYTES, _mm512_permutexvar_epi16(codes, (__m512i)table));
    }
}

// Codes 16·quarter to 16·quarter + 15 of 64 as levels: a code that is the last byte of 2²³ as f32 is added to it.
INLINE __m512 levels_of(const ck_type type, __m512i codes, const int quarter) {
    const __m512i last_bytes = _mm512_add_epi8(
        _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15), _mm512_set1_epi8((char)(16 * quarter)));
    const __m512i power = _mm512_set1_epi32(0x4b000000);
    const __m512i sums = _mm512_mask_permutexvar_epi8(power, 0x1111111111111111u, last_bytes, codes);
    return _mm512_sub_ps(_mm512_castsi512_ps(sums), _mm512_set1_ps((float)(0x800000 + offset_of(type))));
}

// Sixteen levels of Q8_0, which lie in memory as what they are.
INLINE __m512 levels_at(const uint8_t *bytes) {
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)bytes)));
}

INLINE void pack_by_product(const ck_type type, const uint8_t *row, const ck_tile_scales *all, const int r, uint8_t *out) {
    const bool fine = ck_has_fine_scales(type);
    UNROLL for (int pair = 0; pair < 4; pair++) {
        const __m512i codes = load_pair(type, row, pair);
        UNROLL for (int half = 0; half < 2; half++) {
            const int block = block_of(pair, half);
            __m512 values[2];
            UNROLL for (int i = 0; i < 2; i++) {
                const __m512 levels = type == CK_Q8_0 ? levels_at(row + ck_block_bytes(type) * (size_t)block + 2 + 16 * i)
                                                      : levels_of(type, codes, 2 * half + i);
                values[i] = weights_of(type, levels, all, fine ? 2 * block + i : block, r);
            }
            _mm512_storeu_si512(out + block * CK_TILE_BYTES, (__m512i)_mm512_cvtne2ps_pbh(values[1], values[0]));
        }
    }
}

INLINE void pack_row(const ck_type type, const uint8_t *row, const ck_tile_scales *all, const int r, uint8_t *out) {
    if (code_count(type) == 0) {
        pack_by_product(type, row, all, r, out);
    } else {
        pack_by_table(type, row, all, r, out);
    }
}

#define SCALES(type)                                                                                                \
    case type: load_scales(type, rows, scales); return;

void ck_tile_scales_avx512(ck_type type, const uint8_t *const rows[ROWS], ck_tile_scales *scales) {
    switch (type) {
        CK_EACH_QUANTIZED(SCALES)
        default: return;
    }
}

#define ROW(type)                                                                                                   \
    case type: pack_row(type, row, scales, r, out); return;

void ck_pack_tile_row_avx512(ck_type type, const uint8_t *row, const ck_tile_scales *scales, int r, uint8_t *out) {
    switch (type) {
        CK_EACH_QUANTIZED(ROW)
        default: return;
    }
}

// ---- Activations

// What bf16 leave of sixteen activations: x less the first or the last sixteen of them.
INLINE __m512 left(__m512 x, __m512i planes, const bool last) {
    const __m256i half = last ? _mm512_extracti64x4_epi64(planes, 1) : _mm512_castsi512_si256(planes);
    return _mm512_sub_ps(x, _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16)));
}

void ck_pack_tile_step_avx512(const float *const x[CK_TILE_ROWS], uint8_t *out, size_t plane_bytes, int planes) {
    __m512 rest[CK_TILE_ROWS][2];
    for (int plane = 0; plane < planes; plane++) {
        __m512i r[CK_TILE_ROWS];
        UNROLL for (int i = 0; i < CK_TILE_ROWS; i++) {
            const __m512 first = plane == 0 ? _mm512_loadu_ps(x[i]) : rest[i][0];
            const __m512 last = plane == 0 ? _mm512_loadu_ps(x[i] + 16) : rest[i][1];
            r[i] = (__m512i)_mm512_cvtne2ps_pbh(last, first);
            if (plane + 1 < planes) {
                rest[i][0] = left(first, r[i], false);
                rest[i][1] = left(last, r[i], true);
            }
        }
        transpose16(r);
        UNROLL for (int i = 0; i < 16; i++) { _mm512_storeu_si512(out + (size_t)plane * plane_bytes + 64 * i, r[i]); }
    }
}

#pragma clang attribute pop
#endif
