// Matrix product of quantized weights with int8 blocks of activations, on the VNNI dot product (u8 · s8).
//
// Sixteen weight rows are the lanes of a vector. A panel of up to 48 rows is unpacked once into levels + 128 (so that
// they are unsigned; the dot product starts at -128 · Σ x to undo it) and scales, in the order in which the tile reads
// them, and multiplied with all activation rows, superblock by superblock (int8.h): the same order whatever the tile.
#if defined(__x86_64__)

#include <immintrin.h>
#include <string.h>

#include "dispatch.h"
#include "int8.h"
#include "upcoming.h"

#pragma STDC FP_CONTRACT OFF

#pragma clang attribute push(                                                                            \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni,fma,f16c"))), \
    apply_to = function)
#define CK_HAS_AVX512_BYTES 1
#include "levels.h"

#include "int8_loaders.inc"
#include "vectors512.inc"

enum { LANES = 16, PANEL_VECTORS = 3, CHUNK_BLOCKS = 32, SUPER_BLOCKS = 8 };

// Bytes of one block of k in a panel of `vectors` vectors: levels, then scales, then biases.
INLINE int64_t panel_block_bytes(int64_t vectors, bool fine, bool bias) {
    return vectors * 64 * (8 + (fine ? 2 : 1) * (bias ? 2 : 1));
}

// Where the scales (and biases) of block `i` of a vector belong.
INLINE uint8_t *scale_place(uint8_t *panel, int64_t block, int64_t stride, int64_t vectors, int64_t vector, int64_t i) {
    return panel + block * stride + 64 * (vectors * (8 + i) + vector);
}

INLINE __m512 join_rows(__m256 first, __m256 second) {
    return _mm512_insertf32x8(_mm512_castps256_ps512(first), second, 1);
}

// 256 inputs of sixteen rows, from registers to the panel. Parts of what is `next` are asked for meanwhile unless it is NULL.
INLINE void fill_super(const ck_type type, const uint8_t *const rows[LANES], int64_t block, int64_t vectors,
                       int64_t vector, uint8_t *panel, ck_upcoming *next) {
    const bool fine = ck_has_fine_scales(type), bias = ck_has_bias(type);
    const int64_t stride = panel_block_bytes(vectors, fine, bias);
    UNROLL for (int pair = 0; pair < 4; pair++) {
        if (next != NULL) { ck_fetch_upcoming(next); }
        __m512i r[16];
        UNROLL for (int i = 0; i < 16; i++) {
            r[i] = _mm512_add_epi8(load_pair(type, rows[i], pair), _mm512_set1_epi8((char)(128 - offset_of(type))));
        }
        transpose16(r);
        UNROLL for (int i = 0; i < 16; i++) {
            uint8_t *out = panel + (block + block_of(pair, i / 8)) * stride + 64 * vector;
            _mm512_store_si512(out + 64 * vectors * (i % 8), r[i]);
        }
    }
    __m256 scales[2][2][8], biases[2][2][8];
    UNROLL for (int half = 0; half < 2; half++) { load_row_scales(type, rows + 8 * half, scales[half], biases[half]); }
    const int parts = fine ? 2 : 1;
    UNROLL for (int i = 0; i < 8 * parts; i++) {
        uint8_t *place = scale_place(panel, block + i / parts, stride, vectors, vector, i % parts);
        _mm512_store_ps(place, join_rows(scales[0][i / 8][i % 8], scales[1][i / 8][i % 8]));
        if (bias) {
            place = scale_place(panel, block + i / parts, stride, vectors, vector, parts + i % parts);
            _mm512_store_ps(place, join_rows(biases[0][i / 8][i % 8], biases[1][i / 8][i % 8]));
        }
    }
}

// One vector (sixteen rows) of a panel: blocks [begin, begin + blocks) of k. Rows past the last repeat it. What is left
// of a row after whole 256 is copied to where zeros follow it.
INLINE void fill_vector(const ck_type type, const uint8_t *weights, size_t row_bytes, int64_t rows, int64_t begin,
                        int64_t blocks, int64_t vectors, int64_t vector, uint8_t *panel, ck_upcoming *next) {
    const size_t super_bytes = ck_super_bytes(type);
    const uint8_t *sources[LANES];
    UNROLL for (int r = 0; r < LANES; r++) {
        sources[r] = weights + row_bytes * (size_t)(r < rows ? r : rows - 1) + super_bytes * (size_t)(begin / 8);
    }
    int64_t b = 0;
    for (; b + SUPER_BLOCKS <= blocks; b += SUPER_BLOCKS) {
        fill_super(type, sources, b, vectors, vector, panel, next);
        UNROLL for (int r = 0; r < LANES; r++) { sources[r] += super_bytes; }
    }
    if (b < blocks) {
        uint8_t rest[LANES][512] = {{0}};
        for (int r = 0; r < LANES; r++) {
            memcpy(rest[r], sources[r], ck_block_bytes(type) * (size_t)(blocks - b));
            sources[r] = rest[r];
        }
        fill_super(type, sources, b, vectors, vector, panel, next);
    }
}

#define FILL(name, type)                                                                                            \
    static void name(const uint8_t *weights, size_t row_bytes, int64_t rows, int64_t begin, int64_t blocks,         \
                     int64_t vectors, int64_t vector, uint8_t *panel, ck_upcoming *next) {                          \
        fill_vector(type, weights, row_bytes, rows, begin, blocks, vectors, vector, panel, next);                   \
    }

FILL(fill_q4_0, CK_Q4_0)
FILL(fill_q4_1, CK_Q4_1)
FILL(fill_q5_0, CK_Q5_0)
FILL(fill_q5_1, CK_Q5_1)
FILL(fill_q8_0, CK_Q8_0)
FILL(fill_q2_k, CK_Q2_K)
FILL(fill_q3_k, CK_Q3_K)
FILL(fill_q4_k, CK_Q4_K)
FILL(fill_q5_k, CK_Q5_K)
FILL(fill_q6_k, CK_Q6_K)
FILL(fill_iq4_nl, CK_IQ4_NL)
FILL(fill_iq4_xs, CK_IQ4_XS)
FILL(fill_mxfp4, CK_MXFP4)

typedef void (*fill_function)(const uint8_t *weights, size_t row_bytes, int64_t rows, int64_t begin, int64_t blocks,
                              int64_t vectors, int64_t vector, uint8_t *panel, ck_upcoming *next);

static fill_function fill_of(ck_type type) {
    switch (type) {
        case CK_Q4_0: return fill_q4_0;
        case CK_Q4_1: return fill_q4_1;
        case CK_Q5_0: return fill_q5_0;
        case CK_Q5_1: return fill_q5_1;
        case CK_Q8_0: return fill_q8_0;
        case CK_Q2_K: return fill_q2_k;
        case CK_Q3_K: return fill_q3_k;
        case CK_Q4_K: return fill_q4_k;
        case CK_Q5_K: return fill_q5_k;
        case CK_Q6_K: return fill_q6_k;
        case CK_IQ4_NL: return fill_iq4_nl;
        case CK_MXFP4: return fill_mxfp4;
        default: return fill_iq4_xs;
    }
}

INLINE __m512i broadcast4(const int8_t *p) {
    int32_t bits;
    memcpy(&bits, p, 4);
    return _mm512_set1_epi32(bits);
}

// `vectors` × 16 weight rows by `rows` activation rows, `blocks` blocks of k; y is continued unless `first`. A part of what is
// `next` is asked for with each block.
INLINE void tile(const int vectors, const int rows, const bool fine, const bool bias, const uint8_t *restrict panel,
                 const ck_int8_block *restrict x, int64_t blocks, bool first, __mmask16 last_mask, int64_t n_count,
                 float *restrict y, int64_t y_stride, ck_upcoming *next) {
    __m512 totals[PANEL_VECTORS][CK_INT8_ROWS];
    UNROLL for (int v = 0; v < vectors; v++) {
        __mmask16 mask = v == vectors - 1 ? last_mask : (__mmask16)0xffff;
        UNROLL for (int i = 0; i < rows; i++) {
            totals[v][i] = first || i >= n_count ? _mm512_setzero_ps()
                                                 : _mm512_maskz_loadu_ps(mask, y + i * y_stride + LANES * v);
        }
    }
    const int parts = fine ? 2 : 1, steps = fine ? 4 : 8;
    for (int64_t from = 0; from < blocks; from += SUPER_BLOCKS) {
        __m512 acc[PANEL_VECTORS][CK_INT8_ROWS];
        UNROLL for (int v = 0; v < vectors; v++) {
            UNROLL for (int i = 0; i < rows; i++) { acc[v][i] = _mm512_setzero_ps(); }
        }
        const int64_t end = blocks - from < SUPER_BLOCKS ? blocks : from + SUPER_BLOCKS;
        for (int64_t b = from; b < end; b++, x++, panel += panel_block_bytes(vectors, fine, bias)) {
            const float *scales = (const float *)(panel + 64 * vectors * 8);
            const float *biases = scales + LANES * vectors * parts;
            ck_fetch_upcoming(next);
            UNROLL for (int h = 0; h < parts; h++) {
                const int sums = fine ? h : 2;
                __m512i dot[PANEL_VECTORS][CK_INT8_ROWS];
                UNROLL for (int i = 0; i < rows; i++) {
                    __m512i start = _mm512_set1_epi32(x->start[sums][i]);
                    UNROLL for (int v = 0; v < vectors; v++) { dot[v][i] = start; }
                }
                UNROLL for (int s = h * steps; s < (h + 1) * steps; s++) {
                    __m512i w[PANEL_VECTORS];
                    UNROLL for (int v = 0; v < vectors; v++) {
                        w[v] = _mm512_load_si512(panel + 64 * (vectors * s + v));
                    }
                    UNROLL for (int i = 0; i < rows; i++) {
                        __m512i inputs = broadcast4(x->levels[s][i]);
                        UNROLL for (int v = 0; v < vectors; v++) {
                            dot[v][i] = _mm512_dpbusd_epi32(dot[v][i], w[v], inputs);
                        }
                    }
                }
                UNROLL for (int v = 0; v < vectors; v++) {
                    __m512 scale = _mm512_load_ps(scales + LANES * (vectors * h + v));
                    UNROLL for (int i = 0; i < rows; i++) {
                        __m512 both = _mm512_mul_ps(scale, _mm512_set1_ps(x->scale[i]));
                        acc[v][i] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot[v][i]), both, acc[v][i]);
                    }
                    if (bias) {
                        __m512 add = _mm512_load_ps(biases + LANES * (vectors * h + v));
                        UNROLL for (int i = 0; i < rows; i++) {
                            acc[v][i] = _mm512_fmadd_ps(add, _mm512_set1_ps(x->sum[sums][i]), acc[v][i]);
                        }
                    }
                }
            }
        }
        UNROLL for (int v = 0; v < vectors; v++) {
            UNROLL for (int i = 0; i < rows; i++) { totals[v][i] = _mm512_add_ps(totals[v][i], acc[v][i]); }
        }
    }
    UNROLL for (int v = 0; v < vectors; v++) {
        __mmask16 mask = v == vectors - 1 ? last_mask : (__mmask16)0xffff;
        UNROLL for (int i = 0; i < rows; i++) {
            if (i < n_count) { _mm512_mask_storeu_ps(y + i * y_stride + LANES * v, mask, totals[v][i]); }
        }
    }
}

// All activation rows times one filled panel.
INLINE void multiply_panel(const int vectors, const bool fine, const bool bias, const uint8_t *panel,
                           const ck_int8_block *x, int64_t x_blocks, int64_t blocks, bool first, __mmask16 last_mask,
                           int64_t n, float *y, int64_t y_stride, ck_upcoming *next) {
    int64_t i = 0;
    for (; i + 1 < n; i += CK_INT8_ROWS) {
        int64_t n_count = n - i < CK_INT8_ROWS ? n - i : CK_INT8_ROWS;
        tile(vectors, CK_INT8_ROWS, fine, bias, panel, x + i / CK_INT8_ROWS * x_blocks, blocks, first, last_mask,
             n_count, y + i * y_stride, y_stride, next);
    }
    if (i < n) {
        tile(vectors, 1, fine, bias, panel, x + i / CK_INT8_ROWS * x_blocks, blocks, first, last_mask, 1,
             y + i * y_stride, y_stride, next);
    }
}

#define MULTIPLY(name, fine, bias)                                                                                  \
    static void name(int64_t vectors, const uint8_t *panel, const ck_int8_block *x, int64_t x_blocks,               \
                     int64_t blocks, bool first, __mmask16 last_mask, int64_t n, float *y, int64_t y_stride,        \
                     ck_upcoming *next) {                                                                           \
        switch (vectors) {                                                                                          \
            case 1:                                                                                                 \
                multiply_panel(1, fine, bias, panel, x, x_blocks, blocks, first, last_mask, n, y, y_stride, next);  \
                return;                                                                                             \
            case 2:                                                                                                 \
                multiply_panel(2, fine, bias, panel, x, x_blocks, blocks, first, last_mask, n, y, y_stride, next);  \
                return;                                                                                             \
            default:                                                                                                \
                multiply_panel(3, fine, bias, panel, x, x_blocks, blocks, first, last_mask, n, y, y_stride, next);  \
        }                                                                                                           \
    }

MULTIPLY(multiply_coarse, false, false)
MULTIPLY(multiply_coarse_bias, false, true)
MULTIPLY(multiply_fine, true, false)
MULTIPLY(multiply_fine_bias, true, true)

typedef void (*multiply_function)(int64_t vectors, const uint8_t *panel, const ck_int8_block *x, int64_t x_blocks, int64_t blocks,
                                  bool first, __mmask16 last_mask, int64_t n, float *y, int64_t y_stride, ck_upcoming *next);

static multiply_function multiply_of(ck_type type) {
    if (ck_has_fine_scales(type)) { return ck_has_bias(type) ? multiply_fine_bias : multiply_fine; }
    return ck_has_bias(type) ? multiply_coarse_bias : multiply_coarse;
}

size_t ck_int8_scratch_avx512(int64_t n, int64_t k) {
    (void)n;
    (void)k;
    return (size_t)(panel_block_bytes(PANEL_VECTORS, true, true) * CHUNK_BLOCKS);
}

void ck_matmul_int8_avx512(ck_type type, const void *weights, size_t row_bytes, int64_t m_begin, int64_t m_end,
                           int64_t k, const void *packed, int64_t n, float *y, int64_t y_stride, void *scratch) {
    if (n <= CK_INT8_FEW_AVX512) {
        ck_matvec_int8_avx512(type, weights, row_bytes, m_begin, m_end, k, packed, y);
        return;
    }
    const int64_t all_blocks = k / 32, x_blocks = ck_int8_blocks(k);
    const ck_int8_block *x = packed;
    const fill_function fill = fill_of(type);
    const multiply_function multiply = multiply_of(type);
    for (int64_t m0 = m_begin; m0 < m_end; m0 += PANEL_VECTORS * LANES) {
        int64_t rows = m_end - m0 < PANEL_VECTORS * LANES ? m_end - m0 : PANEL_VECTORS * LANES;
        int64_t vectors = (rows + LANES - 1) / LANES;
        __mmask16 last_mask = (__mmask16)((1u << (rows - (vectors - 1) * LANES)) - 1u);
        for (int64_t b0 = 0; b0 < all_blocks; b0 += CHUNK_BLOCKS) {
            int64_t blocks = all_blocks - b0 < CHUNK_BLOCKS ? all_blocks - b0 : CHUNK_BLOCKS;
            // Few activation rows are multiplied in less time than the next panel takes to be read.
            const bool early = n <= 2 * CK_INT8_ROWS;
            const int64_t tiles = (n + CK_INT8_ROWS - 1) / CK_INT8_ROWS, supers = (blocks + SUPER_BLOCKS - 1) / SUPER_BLOCKS;
            ck_upcoming next = ck_upcoming_panel(type, weights, row_bytes, m0, m_end, PANEL_VECTORS * LANES, 32 * b0, k,
                                                 32 * CHUNK_BLOCKS, tiles * blocks + (early ? vectors * supers * 4 : 0));
            for (int64_t v = 0; v < vectors; v++) {
                int64_t first_row = m0 + LANES * v;
                fill((const uint8_t *)weights + row_bytes * (size_t)first_row, row_bytes,
                     m_end - first_row < LANES ? m_end - first_row : LANES, b0, blocks, vectors, v, scratch, early ? &next : NULL);
            }
            multiply(vectors, scratch, x + b0, x_blocks, blocks, b0 == 0, last_mask, n, y + m0, y_stride, &next);
        }
    }
}

#include "int8_block.inc"

// Quarter j of the result: the largest of argument j, in each lane.
INLINE __m512 max_quarters(__m512 a, __m512 b, __m512 c, __m512 d) {
    __m512 ab = _mm512_max_ps(_mm512_shuffle_f32x4(a, b, 0x44), _mm512_shuffle_f32x4(a, b, 0xee));
    __m512 cd = _mm512_max_ps(_mm512_shuffle_f32x4(c, d, 0x44), _mm512_shuffle_f32x4(c, d, 0xee));
    __m512 all = _mm512_max_ps(_mm512_shuffle_f32x4(ab, cd, 0x88), _mm512_shuffle_f32x4(ab, cd, 0xdd));
    all = _mm512_max_ps(all, _mm512_permute_ps(all, 0x4e));
    return _mm512_max_ps(all, _mm512_permute_ps(all, 0xb1));
}

// Four blocks: scale = max |x| / 127, levels rounded to nearest, ties to even. Sums of four levels each go to `sums`.
INLINE __m128 quantize_blocks(const float *const blocks[4], __m256i levels[4], __m256i sums[4]) {
    __m512 low[4], high[4], top[4];
    UNROLL for (int b = 0; b < 4; b++) {
        low[b] = _mm512_loadu_ps(blocks[b]);
        high[b] = _mm512_loadu_ps(blocks[b] + 16);
        top[b] = _mm512_max_ps(_mm512_abs_ps(low[b]), _mm512_abs_ps(high[b]));
    }
    const __m512i first_of_quarter = _mm512_set_epi32(12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 8, 4, 0);
    __m128 tops = _mm512_castps512_ps128(
        _mm512_permutexvar_ps(first_of_quarter, max_quarters(top[0], top[1], top[2], top[3])));
    __mmask8 some = _mm_cmp_ps_mask(tops, _mm_setzero_ps(), _CMP_GT_OQ);
    _Alignas(16) float inverse[4];
    _mm_store_ps(inverse, _mm_maskz_div_ps(some, _mm_set1_ps(127.0f), tops));

    UNROLL for (int b = 0; b < 4; b++) {
        __m512 factor = _mm512_set1_ps(inverse[b]);
        __m128i first = _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(_mm512_mul_ps(low[b], factor)));
        __m128i second = _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(_mm512_mul_ps(high[b], factor)));
        levels[b] = _mm256_inserti128_si256(_mm256_castsi128_si256(first), second, 1);
        sums[b] = _mm256_dpbusd_epi32(_mm256_setzero_si256(), _mm256_set1_epi8(1), levels[b]);
    }
    return _mm_div_ps(tops, _mm_set1_ps(127.0f));
}

#include "int8_pack.inc"

void ck_pack_int8_avx512(const float *x, int64_t x_stride, const int32_t *rows, int64_t n, int64_t k,
                         int64_t row_begin, int64_t row_end, void *packed) {
    pack_rows(CK_INT8_FEW_AVX512, x, x_stride, rows, n, k, row_begin, row_end, packed);
}

#pragma clang attribute pop
#endif
