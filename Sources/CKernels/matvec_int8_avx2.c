// One to four activation rows times quantized weights, read straight from their blocks: the product of decoding.
//
// Eight weight rows at a time, or one after the other, a superblock of 256 inputs at a time. Integer dot products of a block
// are exact, and they are then scaled and added in the order of matmul_int8_avx2.c: the same bits as a row among many.
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

// A superblock of 32-element blocks takes at most REST_BYTES (Q8_0: 272).
enum { ROWS = 8, REST_BYTES = 288 };

// What the rows of activations look like to this product, row i `k` levels or `start_count` starts after row i - 1:
// levels in order of k; for each block (or half block, where scales are fine) the number at which its dot product
// starts, which undoes the offset that made weights of the type unsigned; and the scales of row 0's blocks, where weight rows are
// read one after the other.
typedef struct {
    const int8_t *levels;
    const int32_t *starts;
    const float *scales;
    const ck_int8_block *blocks;
    int64_t k, start_count;
} vector_input;

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
INLINE void dot_products(const ck_type type, const bool fine, const __m256i twos[ROWS / 2], __m256i out[2]) {
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

INLINE __m256 add_part(const ck_type type, __m256 acc, __m256i dot, int32_t start, __m256 scale, float x_scale) {
    if (offset_of(type) != 0 && sums_in_16_bits(type) > 0) { dot = _mm256_add_epi32(dot, _mm256_set1_epi32(start)); }
    return _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot), _mm256_mul_ps(scale, _mm256_set1_ps(x_scale)), acc);
}

// Adds the first `blocks` blocks of superblock s of eight rows to acc[i], activation row i of n.
INLINE void add_super(const ck_type type, const uint8_t *const rows[ROWS], int64_t s, const int blocks,
                      const vector_input x, const int n, __m256 acc[CK_INT8_ROWS]) {
    const bool fine = ck_has_fine_scales(type), bias = ck_has_bias(type);
    const int parts = fine ? 2 : 1;
    __m256 scales[2][ROWS], biases[2][ROWS];
    load_row_scales(type, rows, scales, biases);
    UNROLL for (int pair = 0; pair < 4; pair++) {
        if (2 * pair >= blocks) { break; }
        fetch_pair(type, rows, pair);
        __m256i w[ROWS][2];
        if (n > 1) {
            UNROLL for (int r = 0; r < ROWS; r++) { load_pair(type, rows[r], pair, w[r]); }
        }
        for (int i = 0; i < n; i++) {
            const int8_t *inputs = x.levels + i * x.k + 256 * s + 64 * pair;
            const int32_t *starts = x.starts + i * x.start_count + 8 * parts * s + 2 * parts * pair;
            const ck_int8_block *block = x.blocks + 8 * s + 2 * pair;
            __m256i twos[2][ROWS / 2];
            UNROLL for (int r = 0; r < ROWS; r += 2) {
                // A single activation row meets weights as they come: they need not be kept.
                if (n == 1) {
                    load_pair(type, rows[r], pair, w[r]);
                    load_pair(type, rows[r + 1], pair, w[r + 1]);
                }
                UNROLL for (int b = 0; b < 2; b++) {
                    // Where the last pair is half a pair, the second block meets the first one's inputs and is left out below.
                    const int8_t *at = inputs + (2 * pair + b < blocks ? 32 * b : 0);
                    __m256i levels = load32((const uint8_t *)at);
                    twos[b][r / 2] = two_rows(type, pair_sums(type, w[r][b], levels),
                                              pair_sums(type, w[r + 1][b], levels));
                    // Two rows after the other, or more would be loaded than registers hold.
                    __asm__ volatile("" : "+x"(twos[b][r / 2]));
                }
            }
            UNROLL for (int b = 0; b < 2; b++) {
                if (2 * pair + b >= blocks) { break; }
                __m256i dots[2];
                dot_products(type, fine, twos[b], dots);
                UNROLL for (int h = 0; h < parts; h++) {
                    const int part = parts * (2 * pair + b) + h, sums = fine ? h : 2;
                    acc[i] = add_part(type, acc[i], dots[h], starts[parts * b + h], scales[part / 8][part % 8],
                                      block[b].scale[i]);
                    if (bias) {
                        acc[i] = _mm256_fmadd_ps(biases[part / 8][part % 8], _mm256_set1_ps(block[b].sum[sums][i]),
                                                 acc[i]);
                    }
                }
            }
        }
    }
}

// Eight rows, `apart` bytes apart; rows past `count` repeat the last one. acc[i]: activation row i of n. `last`: no row follows
// the last one.
INLINE void eight_rows(const ck_type type, const uint8_t *weights, size_t apart, int64_t count, const bool last,
                       const vector_input x, const int n, __m256 acc[CK_INT8_ROWS]) {
    const uint8_t *rows[ROWS];
    UNROLL for (int r = 0; r < ROWS; r++) { rows[r] = weights + apart * (size_t)(r < count ? r : count - 1); }
    for (int i = 0; i < n; i++) { acc[i] = _mm256_setzero_ps(); }
    const int64_t supers = x.k / 256;
    for (int64_t s = 0; s < supers; s++) {
        add_super(type, rows, s, 8, x, n, acc);
        UNROLL for (int r = 0; r < ROWS; r++) { rows[r] += ck_super_bytes(type); }
    }
    const int blocks = (int)(x.k % 256 / 32);
    if (ck_block_elements(type) < 256 && blocks > 0) {
        // Scales are read eight at a time: past the end of a row into the next one or, where there is none, into a copy's zeros.
        uint8_t rest[ROWS][REST_BYTES];
        for (int r = 0; last && r < ROWS; r++) {
            memset(rest[r], 0, REST_BYTES);
            memcpy(rest[r], rows[r], ck_block_bytes(type) * (size_t)blocks);
            rows[r] = rest[r];
        }
        add_super(type, rows, supers, blocks, x, n, acc);
    }
}

INLINE __m256i dots_of_row(const ck_type type, const uint8_t *at, int64_t b, const vector_input x) {
    __m256i twos[ROWS / 2], dots[2];
    UNROLL for (int pair = 0; pair < 4; pair++) {
        __m256i w[2], sums[2];
        load_pair(type, at, pair, w);
        UNROLL for (int i = 0; i < 2; i++) {
            sums[i] = pair_sums(type, w[i], load32((const uint8_t *)x.levels + 32 * (b + 2 * pair + i)));
        }
        twos[pair] = two_rows(type, sums[0], sums[1]);
    }
    dot_products(type, false, twos, dots);
    return dots[0];
}

#include "matvec_int8_rows.inc"

// The levels of each of n rows in order of k, and where their dot products start.
INLINE vector_input unpack_input(const ck_type type, int64_t k, int64_t n, const ck_int8_block *packed, void *scratch) {
    const int64_t parts = ck_has_fine_scales(type) ? 2 : 1;
    int8_t *levels = scratch;
    int32_t *starts = (int32_t *)(levels + n * k);
    float *scales = (float *)(starts + n * k / 16);
    for (int64_t i = 0; i < n; i++) {
        for (int64_t b = 0; b < k / 32; b++) {
            for (int step = 0; step < 8; step++) { memcpy(levels + i * k + 32 * b + 4 * step, packed[b].levels[step][i], 4); }
            for (int64_t h = 0; h < parts; h++) {
                starts[i * k / 32 * parts + parts * b + h] = start_of(type, packed[b].start[parts == 2 ? h : 2][i]);
            }
        }
    }
    if (reads_row_by_row(type)) {
        for (int64_t b = 0; b < k / 32; b++) { scales[b] = packed[b].scale[0]; }
    }
    return (vector_input){.levels = levels, .starts = starts, .scales = scales, .blocks = packed, .k = k,
                          .start_count = k / 32 * parts};
}

INLINE void matvec(const ck_type type, const uint8_t *weights, size_t row_bytes, int64_t m_begin, int64_t m_end,
                   int64_t k, const ck_int8_block *packed, int64_t n, float *y, int64_t y_stride, void *scratch) {
    const vector_input x = unpack_input(type, k, n, packed, scratch);
    if (reads_row_by_row(type) && n == 1) {
        for (int64_t m = m_begin; m < m_end; m++) { y[m] = one_row(type, weights + row_bytes * (size_t)m, k, x); }
        return;
    }
    for (int64_t group = 0; group < group_count(m_end - m_begin); group++) {
        const row_group at = rows_of_group(group, m_begin, m_end);
        const uint8_t *rows = weights + row_bytes * (size_t)at.first;
        const size_t apart = row_bytes * (size_t)at.apart;
        __m256 acc[CK_INT8_ROWS];
        // Rows of less than two superblocks are always copied: there must be enough behind a row.
        const bool last = k < 512 || at.first + at.apart * (at.count - 1) == m_end - 1;
        if (n == 1) { eight_rows(type, rows, apart, at.count, last, x, 1, acc); }
        else { eight_rows(type, rows, apart, at.count, last, x, (int)n, acc); }
        for (int64_t i = 0; i < n; i++) { store_rows(at, acc[i], y + i * y_stride); }
    }
}

// With a superblock to spare: the last one is read whole, and what is past the end of a row is left out of the sums.
size_t ck_matvec_int8_scratch_avx2(int64_t k) {
    return (size_t)(CK_INT8_ROWS * (k + k / 16 * 4) + k / 32 * 4 + 256);
}

#define CASE(type)                                                                                                  \
    case type: matvec(type, weights, row_bytes, m_begin, m_end, k, packed, n, y, y_stride, scratch); return;

void ck_matvec_int8_avx2(ck_type type, const void *weights, size_t row_bytes, int64_t m_begin, int64_t m_end,
                         int64_t k, const void *packed, int64_t n, float *y, int64_t y_stride, void *scratch) {
    switch (type) {
        CK_EACH_QUANTIZED(CASE)
        default: return;
    }
}

#pragma clang attribute pop
#endif
