// One activation row times quantized weights, read straight from their blocks: the product of decoding.
//
// Eight weight rows at a time, or one after the other, a superblock of 256 inputs at a time. Integer dot products of a block
// are exact, and they are then scaled and added in the order of matmul_int8_avx512.c: the same bits as a row among many.
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

// A superblock of 32-element blocks takes at most REST_BYTES (Q8_0: 272).
enum { ROWS = 8, REST_BYTES = 288 };

// What the row of activations looks like to this product: levels in order of k; for each block (or half block, where
// scales are fine) the number at which its dot product starts, which undoes the offset that made weights unsigned; and the scales
// of blocks, where rows are read one after the other.
typedef struct {
    const int8_t *levels;
    const int32_t *starts;
    const float *scales;
    const ck_int8_block *blocks;
} vector_input;

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

INLINE __m256 add_part(const ck_type type, __m256 acc, __m256i dot, int32_t start, __m256 scale, float x_scale) {
    if (offset_of(type) != 0) { dot = _mm256_add_epi32(dot, _mm256_set1_epi32(start)); }
    return _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot), _mm256_mul_ps(scale, _mm256_set1_ps(x_scale)), acc);
}

// The first `blocks` blocks of superblock s of eight rows, added to acc.
INLINE __m256 add_super(const ck_type type, const uint8_t *const rows[ROWS], int64_t s, const int blocks,
                        const vector_input x, __m256 acc) {
    const bool fine = ck_has_fine_scales(type), bias = ck_has_bias(type);
    __m256 scales[2][ROWS], biases[2][ROWS];
    load_row_scales(type, rows, scales, biases);
    UNROLL for (int pair = 0; pair < 4; pair++) {
        if (2 * pair >= blocks) { break; }
        fetch_pair(type, rows, pair);
        // Where the last pair is half a pair, what stands after its levels is multiplied too and left out below.
        __m512i inputs = _mm512_load_si512(x.levels + 256 * s + 64 * pair);
        __m512i dots[ROWS];
        UNROLL for (int r = 0; r < ROWS; r++) {
            __m512i w = load_pair(type, rows[r], pair);
            dots[r] = _mm512_dpbusd_epi32(_mm512_setzero_si512(), w, inputs);
        }
        __m512i a = sum_quarters(type, dots[0], dots[1], dots[2], dots[3]);
        __m512i b = sum_quarters(type, dots[4], dots[5], dots[6], dots[7]);
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
                acc = add_part(type, acc, dot, starts[i], scales[part / 8][part % 8], block[i / 2].scale[0]);
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
                if (2 * pair + i >= blocks) { break; }
                __m256i dot = i ? _mm512_extracti64x4_epi64(sums, 1) : _mm512_castsi512_si256(sums);
                acc = add_part(type, acc, dot, starts[i], scales[0][2 * pair + i], block[i].scale[0]);
                if (bias) {
                    acc = _mm256_fmadd_ps(biases[0][2 * pair + i], _mm256_set1_ps(block[i].sum[2][0]), acc);
                }
            }
        }
    }
    return acc;
}

// Eight rows, `apart` bytes apart; rows past `count` repeat the last one.
INLINE __m256 eight_rows(const ck_type type, const uint8_t *weights, size_t apart, int64_t count, int64_t k,
                         vector_input x) {
    const size_t super_bytes = ck_super_bytes(type);
    const uint8_t *rows[ROWS];
    UNROLL for (int r = 0; r < ROWS; r++) { rows[r] = weights + apart * (size_t)(r < count ? r : count - 1); }
    __m256 acc = _mm256_setzero_ps();
    for (int64_t s = 0; s < k / 256; s++) {
        acc = add_super(type, rows, s, 8, x, acc);
        UNROLL for (int r = 0; r < ROWS; r++) { rows[r] += super_bytes; }
    }
    const int blocks = (int)(k % 256 / 32);
    if (ck_block_elements(type) < 256 && blocks > 0) {
        // What is left of the rows is copied to where zeros follow it: scales are read eight at a time.
        uint8_t rest[ROWS][REST_BYTES] = {{0}};
        for (int r = 0; r < ROWS; r++) {
            memcpy(rest[r], rows[r], ck_block_bytes(type) * (size_t)blocks);
            rows[r] = rest[r];
        }
        acc = add_super(type, rows, k / 256, blocks, x, acc);
    }
    return acc;
}

INLINE __m256i dots_of_row(const ck_type type, const uint8_t *at, int64_t b, const vector_input x) {
    __m512i dots[4];
    UNROLL for (int pair = 0; pair < 4; pair++) {
        __m512i inputs = _mm512_loadu_si512(x.levels + 32 * b + 64 * pair);
        dots[pair] = _mm512_dpbusd_epi32(_mm512_setzero_si512(), load_pair(type, at, pair), inputs);
    }
    // A quarter has half a block of four pairs.
    __m512i halves = sum_quarters(type, dots[0], dots[1], dots[2], dots[3]);
    __m512i sums = _mm512_add_epi32(halves, _mm512_shuffle_i32x4(halves, halves, 0xb1));
    sums = _mm512_permutexvar_epi32(_mm512_setr_epi32(0, 8, 1, 9, 2, 10, 3, 11, 0, 0, 0, 0, 0, 0, 0, 0), sums);
    return _mm256_add_epi32(_mm512_castsi512_si256(sums), _mm256_loadu_si256((const __m256i *)(x.starts + b)));
}

#include "matvec_int8_rows.inc"

INLINE void matvec(const ck_type type, const uint8_t *weights, size_t row_bytes, int64_t m_begin, int64_t m_end,
                   int64_t k, const ck_int8_block *packed, float *y, void *scratch) {
    const bool fine = ck_has_fine_scales(type);
    int8_t *levels = scratch;
    int32_t *starts = (int32_t *)(levels + k);
    float *scales = (float *)(starts + k / 16);
    for (int64_t b = 0; b < k / 32; b++) {
        // Row 0's four bytes of every sixteen.
        const __m512i first = _mm512_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28, 0, 0, 0, 0, 0, 0, 0, 0);
        __m512i both = _mm512_permutex2var_epi32(_mm512_loadu_si512(packed[b].levels[0]), first,
                                                 _mm512_loadu_si512(packed[b].levels[4]));
        _mm256_storeu_si256((__m256i *)(levels + 32 * b), _mm512_castsi512_si256(both));
        if (fine) {
            starts[2 * b] = start_of(type, packed[b].start[0][0]);
            starts[2 * b + 1] = start_of(type, packed[b].start[1][0]);
        } else {
            starts[b] = start_of(type, packed[b].start[2][0]);
        }
        if (reads_row_by_row(type)) { scales[b] = packed[b].scale[0]; }
    }
    const vector_input x = {levels, starts, scales, packed};
    if (reads_row_by_row(type)) {
        for (int64_t m = m_begin; m < m_end; m++) { y[m] = one_row(type, weights + row_bytes * (size_t)m, k, x); }
        return;
    }
    for (int64_t group = 0; group < group_count(m_end - m_begin); group++) {
        const row_group at = rows_of_group(group, m_begin, m_end);
        const uint8_t *rows = weights + row_bytes * (size_t)at.first;
        store_rows(at, eight_rows(type, rows, row_bytes * (size_t)at.apart, at.count, k, x), y);
    }
}

// With a superblock to spare: the last one is read whole, and what is past the end of a row is left out of the sums.
size_t ck_matvec_int8_scratch_avx512(int64_t k) { return (size_t)(k + k / 16 * 4 + k / 32 * 4 + 256); }

#define CASE(type_name)                                                                                             \
    case type_name: matvec(type_name, weights, row_bytes, m_begin, m_end, k, packed, y, scratch); return;

void ck_matvec_int8_avx512(ck_type type, const void *weights, size_t row_bytes, int64_t m_begin, int64_t m_end,
                           int64_t k, const void *packed, int64_t n, float *y, int64_t y_stride, void *scratch) {
    (void)n;
    (void)y_stride;
    switch (type) {
        CK_EACH_QUANTIZED(CASE)
        default: return;
    }
}

#pragma clang attribute pop
#endif
