// Matrix product of bf16 (or f32 and f16 rounded to bf16) weights with bf16 activations, on the bf16 dot product.
//
// As the f32 product (matmul_exact.inc), with thirty-two inputs to a vector: a tile of 6 weight rows by 4 activation
// rows is summed in registers over up to CHUNK_K inputs and its lanes are added in one fixed order; weights are copied to
// panels [k/32][6][32] once for many rows, or read where they are when there are few. For CK_FINE activations have a second plane:
// what the first leaves, rounded to bf16 too; each step meets the first and then the second.
#if defined(__x86_64__)

#include <immintrin.h>
#include <string.h>

#include "dispatch.h"

#pragma STDC FP_CONTRACT OFF

#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,fma,f16c"))), \
                             apply_to = function)

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("clang loop unroll(full)")

enum { PANEL_ROWS = 6, ACTIVATION_ROWS = 4, CHUNK_K = 2048, PANEL_GROUPS = 10, FINE_PLANES = 2 };

INLINE __m512bh load_weights(const ck_type type, const uint8_t *row, int64_t at) {
    if (type == CK_BF16) { return (__m512bh)_mm512_loadu_si512(row + 2 * at); }
    __m512 low, high;
    if (type == CK_F32) {
        low = _mm512_loadu_ps(row + 4 * at);
        high = _mm512_loadu_ps(row + 4 * at + 64);
    } else {
        low = _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(row + 2 * at)));
        high = _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(row + 2 * at + 32)));
    }
    return _mm512_cvtne2ps_pbh(high, low);
}

INLINE __m512bh load_weights_part(const ck_type type, const uint8_t *row, int64_t at, int64_t count) {
    uint8_t lanes[128] = {0};
    size_t size = type == CK_F32 ? 4 : 2;
    memcpy(lanes, row + size * (size_t)at, size * (size_t)count);
    return load_weights(type, lanes, 0);
}

// sums[i][j] → y[j][i], added unless `first`.
INLINE void finish(__m512 sums[PANEL_ROWS][ACTIVATION_ROWS], int64_t m_count, int64_t n_count, bool first, float *y,
                   int64_t y_stride) {
    __m512 quads[8];
    UNROLL for (int i = 0; i < PANEL_ROWS; i++) {
        __m512 *s = sums[i];
        __m512 ab = _mm512_add_ps(_mm512_shuffle_f32x4(s[0], s[1], 0x44), _mm512_shuffle_f32x4(s[0], s[1], 0xee));
        __m512 cd = _mm512_add_ps(_mm512_shuffle_f32x4(s[2], s[3], 0x44), _mm512_shuffle_f32x4(s[2], s[3], 0xee));
        quads[i] = _mm512_add_ps(_mm512_shuffle_f32x4(ab, cd, 0x88), _mm512_shuffle_f32x4(ab, cd, 0xdd));
    }
    quads[6] = quads[4];
    quads[7] = quads[5];
    __m512 out[2];
    UNROLL for (int i = 0; i < 2; i++) {
        __m512 *q = quads + 4 * i;
        __m512 ef = _mm512_add_ps(_mm512_unpacklo_ps(q[0], q[1]), _mm512_unpackhi_ps(q[0], q[1]));
        __m512 gh = _mm512_add_ps(_mm512_unpacklo_ps(q[2], q[3]), _mm512_unpackhi_ps(q[2], q[3]));
        out[i] = _mm512_add_ps(_mm512_shuffle_ps(ef, gh, 0x44), _mm512_shuffle_ps(ef, gh, 0xee));
    }
    _Alignas(64) float values[2][16];
    _mm512_store_ps(values[0], out[0]);
    _mm512_store_ps(values[1], out[1]);
    __mmask8 mask = (__mmask8)((1u << m_count) - 1u);
    for (int64_t j = 0; j < n_count; j++) {
        float *target = y + j * y_stride;
        __m256 row = _mm256_set_m128(_mm_load_ps(values[1] + 4 * j), _mm_load_ps(values[0] + 4 * j));
        if (!first) { row = _mm256_add_ps(row, _mm256_maskz_loadu_ps(mask, target)); }
        _mm256_mask_storeu_ps(target, mask, row);
    }
}

INLINE void tile_packed(const int planes, const uint16_t *weights, const uint16_t *x, int64_t steps, int64_t m_count,
                        int64_t n_count, bool first, float *y, int64_t y_stride) {
    __m512 acc[PANEL_ROWS][ACTIVATION_ROWS];
    UNROLL for (int i = 0; i < PANEL_ROWS; i++) {
        UNROLL for (int j = 0; j < ACTIVATION_ROWS; j++) { acc[i][j] = _mm512_setzero_ps(); }
    }
    for (int64_t s = 0; s < steps; s++, weights += 32 * PANEL_ROWS) {
        UNROLL for (int plane = 0; plane < planes; plane++, x += 32 * ACTIVATION_ROWS) {
            __m512bh xs[ACTIVATION_ROWS];
            UNROLL for (int j = 0; j < ACTIVATION_ROWS; j++) { xs[j] = (__m512bh)_mm512_load_si512(x + 32 * j); }
            UNROLL for (int i = 0; i < PANEL_ROWS; i++) {
                __m512bh row = (__m512bh)_mm512_load_si512(weights + 32 * i);
                UNROLL for (int j = 0; j < ACTIVATION_ROWS; j++) { acc[i][j] = _mm512_dpbf16_ps(acc[i][j], row, xs[j]); }
            }
        }
    }
    finish(acc, m_count, n_count, first, y, y_stride);
}

// One step of one row of weights times `columns` activation rows.
INLINE void meet(const int planes, __m512bh row, const uint16_t *x, const int columns, __m512 acc[ACTIVATION_ROWS]) {
    UNROLL for (int plane = 0; plane < planes; plane++, x += 32 * ACTIVATION_ROWS) {
        UNROLL for (int j = 0; j < columns; j++) {
            acc[j] = _mm512_dpbf16_ps(acc[j], row, (__m512bh)_mm512_load_si512(x + 32 * j));
        }
    }
}

// Up to six rows of weights where they are, times `columns` activation rows.
INLINE void tile_direct(const ck_type type, const int planes, const uint8_t *weights, size_t row_bytes, int64_t m_count,
                        int64_t k0, int64_t length, const uint16_t *x, const int columns, bool first, float *y,
                        int64_t y_stride) {
    const uint8_t *rows[PANEL_ROWS];
    UNROLL for (int i = 0; i < PANEL_ROWS; i++) {
        rows[i] = weights + row_bytes * (size_t)(i < m_count ? i : m_count - 1);
    }
    __m512 acc[PANEL_ROWS][ACTIVATION_ROWS];
    UNROLL for (int i = 0; i < PANEL_ROWS; i++) {
        UNROLL for (int j = 0; j < ACTIVATION_ROWS; j++) { acc[i][j] = _mm512_setzero_ps(); }
    }
    int64_t whole = length / 32, rest = length % 32;
    for (int64_t s = 0; s < whole; s++, x += planes * 32 * ACTIVATION_ROWS) {
        UNROLL for (int i = 0; i < PANEL_ROWS; i++) { meet(planes, load_weights(type, rows[i], k0 + 32 * s), x, columns, acc[i]); }
    }
    if (rest > 0) {
        UNROLL for (int i = 0; i < PANEL_ROWS; i++) {
            meet(planes, load_weights_part(type, rows[i], k0 + 32 * whole, rest), x, columns, acc[i]);
        }
    }
    finish(acc, m_count, columns, first, y, y_stride);
}

INLINE void few_rows(const ck_type type, const int planes, const uint8_t *weights, size_t row_bytes, int64_t m_count,
                     int64_t k0, int64_t length, const uint16_t *x, int64_t n, bool first, float *y, int64_t y_stride) {
    switch (n) {
        case 1: tile_direct(type, planes, weights, row_bytes, m_count, k0, length, x, 1, first, y, y_stride); return;
        case 2: tile_direct(type, planes, weights, row_bytes, m_count, k0, length, x, 2, first, y, y_stride); return;
        case 3: tile_direct(type, planes, weights, row_bytes, m_count, k0, length, x, 3, first, y, y_stride); return;
        default: tile_direct(type, planes, weights, row_bytes, m_count, k0, length, x, 4, first, y, y_stride);
    }
}

INLINE void pack_row(const ck_type type, const uint8_t *row, int64_t k0, int64_t length, uint16_t *panel) {
    int64_t whole = length / 32, rest = length % 32;
    for (int64_t s = 0; s < whole; s++) {
        _mm512_store_si512(panel + 32 * PANEL_ROWS * s, (__m512i)load_weights(type, row, k0 + 32 * s));
    }
    if (rest > 0) {
        _mm512_store_si512(panel + 32 * PANEL_ROWS * whole,
                           (__m512i)load_weights_part(type, row, k0 + 32 * whole, rest));
    }
}

INLINE void matmul(const ck_type type, const int planes, const uint8_t *weights, size_t row_bytes, int64_t m_begin,
                   int64_t m_end, int64_t k, const uint16_t *x, int64_t n, float *y, int64_t y_stride, uint16_t *panel) {
    const int64_t padded_k = (k + 31) / 32 * 32;
    if (n <= ACTIVATION_ROWS) {
        for (int64_t m = m_begin; m < m_end; m += PANEL_ROWS) {
            int64_t m_count = m_end - m < PANEL_ROWS ? m_end - m : PANEL_ROWS;
            for (int64_t k0 = 0; k0 < k; k0 += CHUNK_K) {
                int64_t length = k - k0 < CHUNK_K ? k - k0 : CHUNK_K;
                few_rows(type, planes, weights + row_bytes * (size_t)m, row_bytes, m_count, k0, length,
                         x + planes * k0 * ACTIVATION_ROWS, n, k0 == 0, y + m, y_stride);
            }
        }
        return;
    }
    for (int64_t m0 = m_begin; m0 < m_end; m0 += PANEL_GROUPS * PANEL_ROWS) {
        int64_t m_rows = m_end - m0 < PANEL_GROUPS * PANEL_ROWS ? m_end - m0 : PANEL_GROUPS * PANEL_ROWS;
        int64_t groups = (m_rows + PANEL_ROWS - 1) / PANEL_ROWS;
        for (int64_t k0 = 0; k0 < k; k0 += CHUNK_K) {
            int64_t length = k - k0 < CHUNK_K ? k - k0 : CHUNK_K, steps = (length + 31) / 32;
            for (int64_t i = 0; i < groups * PANEL_ROWS; i++) {
                int64_t row = m0 + (i < m_rows ? i : m_rows - 1);
                pack_row(type, weights + row_bytes * (size_t)row, k0, length,
                         panel + i / PANEL_ROWS * PANEL_ROWS * CHUNK_K + i % PANEL_ROWS * 32);
            }
            for (int64_t i = 0; i < n; i += ACTIVATION_ROWS) {
                int64_t n_count = n - i < ACTIVATION_ROWS ? n - i : ACTIVATION_ROWS;
                for (int64_t g = 0; g < groups; g++) {
                    int64_t m_count = m_rows - g * PANEL_ROWS < PANEL_ROWS ? m_rows - g * PANEL_ROWS : PANEL_ROWS;
                    tile_packed(planes, panel + g * PANEL_ROWS * CHUNK_K,
                                x + planes * (i * padded_k + k0 * ACTIVATION_ROWS), steps, m_count, n_count, k0 == 0,
                                y + i * y_stride + m0 + g * PANEL_ROWS, y_stride);
                }
            }
        }
    }
}

size_t ck_bf16_activation_bytes(int64_t n, int64_t k) {
    return (size_t)((n + ACTIVATION_ROWS - 1) / ACTIVATION_ROWS * ACTIVATION_ROWS * ((k + 31) / 32 * 32))
        * sizeof(uint16_t);
}

size_t ck_bf16_activation_bytes_fine(int64_t n, int64_t k) { return FINE_PLANES * ck_bf16_activation_bytes(n, k); }

size_t ck_bf16_scratch_avx512(int64_t n, int64_t k) {
    (void)n;
    (void)k;
    return sizeof(uint16_t) * PANEL_GROUPS * PANEL_ROWS * CHUNK_K;
}

// Thirty-two activations as one bf16 each, or as two that add up to them.
INLINE void store_planes(const int planes, const float *x, uint16_t *target) {
    const __m512 low = _mm512_loadu_ps(x), high = _mm512_loadu_ps(x + 16);
    const __m512bh first = _mm512_cvtne2ps_pbh(high, low);
    _mm512_store_si512(target, (__m512i)first);
    if (planes > 1) {
        const __m256i halves[2] = {_mm512_castsi512_si256((__m512i)first), _mm512_extracti64x4_epi64((__m512i)first, 1)};
        const __m512 low_rest = _mm512_sub_ps(low, _mm512_cvtpbh_ps((__m256bh)halves[0]));
        const __m512 high_rest = _mm512_sub_ps(high, _mm512_cvtpbh_ps((__m256bh)halves[1]));
        _mm512_store_si512(target + 32 * ACTIVATION_ROWS, (__m512i)_mm512_cvtne2ps_pbh(high_rest, low_rest));
    }
}

// Groups of four rows, [group][k/32][plane][4][32], zeros past the ends.
INLINE void pack(const int planes, const float *x, int64_t x_stride, const int32_t *rows, int64_t n, int64_t k,
                 int64_t row_begin, int64_t row_end, void *packed) {
    const int64_t padded_k = (k + 31) / 32 * 32;
    const int64_t end = row_end == n ? (n + ACTIVATION_ROWS - 1) / ACTIVATION_ROWS * ACTIVATION_ROWS : row_end;
    for (int64_t i = row_begin; i < end; i++) {
        uint16_t *target = (uint16_t *)packed + planes * (i / ACTIVATION_ROWS * ACTIVATION_ROWS * padded_k)
            + i % ACTIVATION_ROWS * 32;
        const float *row = i < n ? x + (rows ? rows[i] : i) * x_stride : NULL;
        for (int64_t j = 0; j < padded_k; j += 32, target += planes * 32 * ACTIVATION_ROWS) {
            if (row != NULL && j + 32 <= k) {
                store_planes(planes, row + j, target);
            } else {
                float rest[32] = {0};
                if (row != NULL) { memcpy(rest, row + j, (size_t)(k - j) * sizeof(float)); }
                store_planes(planes, rest, target);
            }
        }
    }
}

// With one plane of activations, and with two.
#define BF16_PRODUCT(name, planes)                                                                                  \
    void ck_pack_##name##_avx512(const float *x, int64_t x_stride, const int32_t *rows, int64_t n, int64_t k,       \
                                 int64_t row_begin, int64_t row_end, void *packed) {                                \
        pack(planes, x, x_stride, rows, n, k, row_begin, row_end, packed);                                          \
    }                                                                                                               \
    void ck_matmul_##name##_avx512(ck_type type, const void *weights, size_t row_bytes, int64_t m_begin,            \
                                   int64_t m_end, int64_t k, const void *packed, int64_t n, float *y,               \
                                   int64_t y_stride, void *scratch) {                                               \
        switch (type) {                                                                                             \
            case CK_F32:                                                                                            \
                matmul(CK_F32, planes, weights, row_bytes, m_begin, m_end, k, packed, n, y, y_stride, scratch);     \
                return;                                                                                             \
            case CK_F16:                                                                                            \
                matmul(CK_F16, planes, weights, row_bytes, m_begin, m_end, k, packed, n, y, y_stride, scratch);     \
                return;                                                                                             \
            default: matmul(CK_BF16, planes, weights, row_bytes, m_begin, m_end, k, packed, n, y, y_stride, scratch); \
        }                                                                                                           \
    }

BF16_PRODUCT(bf16, 1)
BF16_PRODUCT(bf16_fine, FINE_PLANES)

#pragma clang attribute pop
#endif
