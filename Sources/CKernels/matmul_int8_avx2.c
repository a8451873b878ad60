// Matrix product of quantized weights with int8 blocks of activations on AVX2, which has no dot product of bytes but
// multiplies unsigned by signed ones and adds two neighbours, in 16 bits (vpmaddubsw).
//
// Eight weight rows are the lanes of a vector, four inputs of a row a lane. A panel of rows is unpacked once into levels
// and scales, in the order in which the tile reads them, and multiplied with all activation rows. Levels of few bits
// leave room in 16 bits, so several products are added there before they are widened; levels of eight bits are kept as
// two planes of four, each of which has the room. Sums of a block are exact integers, and blocks are added in f32 in the
// order of int8.h, with the operations of matmul_int8_avx512.c: the same bits.
#if defined(__x86_64__)

#include <immintrin.h>
#include <string.h>

#include "dispatch.h"
#include "int8.h"
#include "upcoming.h"

#pragma STDC FP_CONTRACT OFF

#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#define CK_HAS_F16 1
#include "levels.h"

#include "int8_loaders_avx2.inc"

// A strip of STRIP_VECTORS vectors and CHUNK_BLOCKS blocks is 10 to 17 KiB, for the first cache; a panel of PANEL_STRIPS
// of them and BLOCK_ROWS activation rows are for the second.
enum { LANES = 8, STRIP_VECTORS = 2, STRIP_ROWS = LANES * STRIP_VECTORS, TILE_ROWS = 2, PANEL_STRIPS = 6, CHUNK_BLOCKS = 16,
       SUPER_BLOCKS = 8, BLOCK_ROWS = 64 };

// What the tile has to know about a type, a constant where it is used.
typedef struct {
    int planes;   // of levels: two of four bits where a level has eight
    int sums;     // of two products that fit in 16 bits together
    int parts;    // scales a block has
    bool bias;
    bool offset;  // whether levels are above what they mean
} type_shape;

INLINE type_shape shape_of(const ck_type type) {
    type_shape s;
    s.planes = sums_in_16_bits(type) == 0 ? 2 : 1;
    s.sums = s.planes == 2 ? 8 : sums_in_16_bits(type);
    s.parts = ck_has_fine_scales(type) ? 2 : 1;
    s.bias = ck_has_bias(type);
    s.offset = offset_of(type) != 0;
    return s;
}

// Bytes of one block of k in a strip: levels, [step][plane][vector][32], then scales and biases, [part][vector][8].
INLINE int64_t strip_block_bytes(const type_shape s) {
    return STRIP_VECTORS * 32 * (8 * s.planes + s.parts * (s.bias ? 2 : 1));
}

INLINE void transpose_dwords(__m256i r[8]) {
    __m256 f[8];
    UNROLL for (int i = 0; i < 8; i++) { f[i] = _mm256_castsi256_ps(r[i]); }
    transpose8(f);
    UNROLL for (int i = 0; i < 8; i++) { r[i] = _mm256_castps_si256(f[i]); }
}

// 256 inputs of eight rows, from their blocks to vector `vector` of a strip; `strip` is where the first block belongs.
INLINE void fill_super(const ck_type type, const uint8_t *const rows[LANES], int64_t vector, uint8_t *strip) {
    const type_shape shape = shape_of(type);
    const int64_t stride = strip_block_bytes(shape);
    const int step = 32 * STRIP_VECTORS * shape.planes;
    strip += 32 * vector;
    UNROLL for (int pair = 0; pair < 4; pair++) {
        __m256i levels[2][LANES];
        UNROLL for (int r = 0; r < LANES; r++) {
            __m256i both[2];
            load_pair(type, rows[r], pair, both);
            levels[0][r] = both[0];
            levels[1][r] = both[1];
        }
        UNROLL for (int b = 0; b < 2; b++) {
            transpose_dwords(levels[b]);
            uint8_t *out = strip + (2 * pair + b) * stride;
            UNROLL for (int i = 0; i < 8; i++) {
                __m256i *target = (__m256i *)(out + step * i);
                if (shape.planes == 2) {
                    _mm256_store_si256(target, low_nibbles(levels[b][i]));
                    _mm256_store_si256(target + STRIP_VECTORS, high_nibbles(levels[b][i]));
                } else {
                    _mm256_store_si256(target, levels[b][i]);
                }
            }
        }
    }
    __m256 scales[2][LANES], biases[2][LANES];
    load_row_scales(type, rows, scales, biases);
    UNROLL for (int i = 0; i < SUPER_BLOCKS; i++) {
        float *out = (float *)(strip + i * stride + 8 * step);
        UNROLL for (int h = 0; h < shape.parts; h++) {
            const int part = shape.parts * i + h;
            _mm256_store_ps(out + STRIP_ROWS * h, scales[part / 8][part % 8]);
            if (shape.bias) { _mm256_store_ps(out + STRIP_ROWS * (shape.parts + h), biases[part / 8][part % 8]); }
        }
    }
}

// One vector (eight rows) of a strip: blocks [begin, begin + blocks) of k. Rows past the last repeat it. What is left of
// a row after whole 256 is copied to where zeros follow it.
INLINE void fill_vector(const ck_type type, const uint8_t *weights, size_t row_bytes, int64_t rows, int64_t begin,
                        int64_t blocks, int64_t vector, uint8_t *strip) {
    const size_t super_bytes = ck_super_bytes(type);
    const int64_t stride = strip_block_bytes(shape_of(type));
    const uint8_t *sources[LANES];
    UNROLL for (int r = 0; r < LANES; r++) {
        sources[r] = weights + row_bytes * (size_t)(r < rows ? r : rows - 1) + super_bytes * (size_t)(begin / 8);
    }
    uint8_t rest[LANES][512];
    for (int64_t b = 0; b < blocks; b += SUPER_BLOCKS) {
        if (blocks - b < SUPER_BLOCKS) {
            memset(rest, 0, sizeof rest);
            for (int r = 0; r < LANES; r++) {
                memcpy(rest[r], sources[r], ck_block_bytes(type) * (size_t)(blocks - b));
                sources[r] = rest[r];
            }
        }
        fill_super(type, sources, vector, strip + b * stride);
        UNROLL for (int r = 0; r < LANES; r++) { sources[r] += super_bytes; }
    }
}

INLINE __m256i broadcast4(const int8_t *p) {
    int32_t bits;
    memcpy(&bits, p, 4);
    return _mm256_set1_epi32(bits);
}

// Dot products of a part of a block: `steps` times four inputs of the strip's rows and of `rows` activation rows.
INLINE void dot_products(const type_shape shape, const int rows, const int steps, const uint8_t *restrict levels,
                         const int8_t (*restrict x)[CK_INT8_ROWS][4], __m256i dots[STRIP_VECTORS][TILE_ROWS]) {
    const int run = steps < shape.sums ? steps : shape.sums;
    UNROLL for (int from = 0; from < steps; from += run) {
        __m256i sums[2][STRIP_VECTORS][TILE_ROWS];
        UNROLL for (int s = from; s < from + run; s++) {
            __m256i inputs[TILE_ROWS];
            UNROLL for (int i = 0; i < rows; i++) { inputs[i] = broadcast4(x[s][i]); }
            UNROLL for (int plane = 0; plane < shape.planes; plane++) {
                UNROLL for (int v = 0; v < STRIP_VECTORS; v++) {
                    const uint8_t *place = levels + 32 * (STRIP_VECTORS * (shape.planes * s + plane) + v);
                    __m256i w = _mm256_load_si256((const __m256i *)place);
                    UNROLL for (int i = 0; i < rows; i++) {
                        __m256i products = _mm256_maddubs_epi16(w, inputs[i]);
                        sums[plane][v][i] = s == from ? products : _mm256_add_epi16(sums[plane][v][i], products);
                        // One step after the other, or weights would be loaded early, kept in memory and read again.
                        __asm__ volatile("" : "+x"(sums[plane][v][i]));
                    }
                }
            }
        }
        UNROLL for (int plane = 0; plane < shape.planes; plane++) {
            UNROLL for (int v = 0; v < STRIP_VECTORS; v++) {
                UNROLL for (int i = 0; i < rows; i++) {
                    __m256i wide = _mm256_madd_epi16(sums[plane][v][i], _mm256_set1_epi16(plane == 0 ? 1 : 16));
                    dots[v][i] = from == 0 && plane == 0 ? wide : _mm256_add_epi32(dots[v][i], wide);
                }
            }
        }
    }
}

// A strip of weight rows by `rows` activation rows, of which the first is number `at` of its group; `blocks` blocks of k.
// y is continued unless `first`; of the strip's rows, m_count have a place in it. A part of what is `next` is asked for with each
// block.
INLINE void tile(const ck_type type, const int rows, const uint8_t *restrict strip, const ck_int8_block *restrict x,
                 int64_t at, int64_t blocks, bool first, int64_t m_count, float *restrict y, int64_t y_stride,
                 ck_upcoming *next) {
    const type_shape shape = shape_of(type);
    const int steps = 8 / shape.parts;
    // Where a strip has fewer rows, they are kept apart until the end.
    const bool whole = m_count == STRIP_ROWS;
    float part[TILE_ROWS][STRIP_ROWS] = {{0}}, *lines[TILE_ROWS];
    UNROLL for (int i = 0; i < rows; i++) {
        lines[i] = whole ? y + i * y_stride : part[i];
        if (!whole && !first) { memcpy(part[i], y + i * y_stride, (size_t)m_count * sizeof(float)); }
    }
    for (int64_t from = 0; from < blocks; from += SUPER_BLOCKS) {
        __m256 acc[STRIP_VECTORS][TILE_ROWS];
        UNROLL for (int v = 0; v < STRIP_VECTORS; v++) {
            UNROLL for (int i = 0; i < rows; i++) { acc[v][i] = _mm256_setzero_ps(); }
        }
        const int64_t end = blocks - from < SUPER_BLOCKS ? blocks : from + SUPER_BLOCKS;
        for (int64_t b = from; b < end; b++, x++, strip += strip_block_bytes(shape)) {
            const float *scales = (const float *)(strip + STRIP_VECTORS * 32 * 8 * shape.planes);
            const float *biases = scales + STRIP_ROWS * shape.parts;
            ck_fetch_upcoming(next);
            UNROLL for (int h = 0; h < shape.parts; h++) {
                const int sums = shape.parts == 2 ? h : 2;
                __m256i dots[STRIP_VECTORS][TILE_ROWS];
                dot_products(shape, rows, steps, strip + STRIP_VECTORS * 32 * shape.planes * steps * h,
                             (const int8_t (*)[CK_INT8_ROWS][4])x->levels[steps * h][at], dots);
                UNROLL for (int i = 0; i < rows; i++) {
                    const __m256i start = _mm256_set1_epi32(start_of(type, x->start[sums][at + i]));
                    const __m256 x_scale = _mm256_set1_ps(x->scale[at + i]), x_sum = _mm256_set1_ps(x->sum[sums][at + i]);
                    UNROLL for (int v = 0; v < STRIP_VECTORS; v++) {
                        __m256 scale = _mm256_load_ps(scales + STRIP_ROWS * h + LANES * v);
                        __m256i dot = shape.offset ? _mm256_add_epi32(dots[v][i], start) : dots[v][i];
                        acc[v][i] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot), _mm256_mul_ps(scale, x_scale), acc[v][i]);
                        if (shape.bias) {
                            __m256 bias = _mm256_load_ps(biases + STRIP_ROWS * h + LANES * v);
                            acc[v][i] = _mm256_fmadd_ps(bias, x_sum, acc[v][i]);
                        }
                    }
                }
            }
        }
        UNROLL for (int i = 0; i < rows; i++) {
            UNROLL for (int v = 0; v < STRIP_VECTORS; v++) {
                float *place = lines[i] + LANES * v;
                if (!first || from > 0) { acc[v][i] = _mm256_add_ps(_mm256_loadu_ps(place), acc[v][i]); }
                _mm256_storeu_ps(place, acc[v][i]);
            }
        }
    }
    UNROLL for (int i = 0; i < rows; i++) {
        if (!whole) { memcpy(y + i * y_stride, part[i], (size_t)m_count * sizeof(float)); }
    }
}

typedef struct {
    const uint8_t *weights;
    size_t row_bytes;
    int64_t m_begin, m_end, k, n;
    const ck_int8_block *x;
    float *y;
    int64_t y_stride;
    uint8_t *panel;
} product;

// Activation rows [begin, end) times the strips of a filled panel, whose first row is m0; a strip meets all of them before
// the next.
INLINE void multiply_panel(const ck_type type, const product *p, int64_t m0, int64_t strip_bytes, int64_t first_block,
                           int64_t blocks, int64_t begin, int64_t end, ck_upcoming *next) {
    const int64_t x_blocks = ck_int8_blocks(p->k);
    const uint8_t *strip = p->panel;
    for (int64_t m = m0; m < p->m_end && m < m0 + PANEL_STRIPS * STRIP_ROWS; m += STRIP_ROWS, strip += strip_bytes) {
        const int64_t m_count = p->m_end - m < STRIP_ROWS ? p->m_end - m : STRIP_ROWS;
        for (int64_t i = begin; i < end; i += TILE_ROWS) {
            const ck_int8_block *x = p->x + i / CK_INT8_ROWS * x_blocks + first_block;
            const int64_t at = i % CK_INT8_ROWS;
            float *y = p->y + i * p->y_stride + m;
            if (end - i < TILE_ROWS) {
                tile(type, 1, strip, x, at, blocks, first_block == 0, m_count, y, p->y_stride, next);
            } else {
                tile(type, TILE_ROWS, strip, x, at, blocks, first_block == 0, m_count, y, p->y_stride, next);
            }
        }
    }
}

INLINE void multiply(const ck_type type, const product *p) {
    const int64_t all_blocks = p->k / 32, stride = strip_block_bytes(shape_of(type));
    const int64_t chunk = shape_of(type).planes == 2 ? CHUNK_BLOCKS / 2 : CHUNK_BLOCKS;
    for (int64_t m0 = p->m_begin; m0 < p->m_end; m0 += PANEL_STRIPS * STRIP_ROWS) {
        for (int64_t b = 0; b < all_blocks; b += chunk) {
            const int64_t blocks = all_blocks - b < chunk ? all_blocks - b : chunk;
            uint8_t *strip = p->panel;
            for (int64_t m = m0; m < p->m_end && m < m0 + PANEL_STRIPS * STRIP_ROWS; m += STRIP_ROWS) {
                for (int64_t v = 0; v < STRIP_VECTORS; v++) {
                    // A vector past the end repeats the last row.
                    int64_t row = m + LANES * v < p->m_end ? m + LANES * v : p->m_end - 1;
                    fill_vector(type, p->weights + p->row_bytes * (size_t)row, p->row_bytes,
                                p->m_end - row < LANES ? p->m_end - row : LANES, b, blocks, v, strip);
                }
                strip += chunk * stride;
            }
            const int64_t strips = (strip - p->panel) / (chunk * stride), tiles = (p->n + TILE_ROWS - 1) / TILE_ROWS;
            ck_upcoming next = ck_upcoming_panel(type, p->weights, p->row_bytes, m0, p->m_end, PANEL_STRIPS * STRIP_ROWS, 32 * b,
                                                 p->k, 32 * chunk, strips * tiles * blocks);
            for (int64_t i = 0; i < p->n; i += BLOCK_ROWS) {
                multiply_panel(type, p, m0, chunk * stride, b, blocks, i, p->n - i < BLOCK_ROWS ? p->n : i + BLOCK_ROWS,
                               &next);
            }
        }
    }
}

size_t ck_int8_scratch_avx2(int64_t n, int64_t k) {
    (void)n;
    (void)k;
    size_t panel = (size_t)(strip_block_bytes(shape_of(CK_Q2_K)) * CHUNK_BLOCKS * PANEL_STRIPS);
    size_t planes = (size_t)(strip_block_bytes(shape_of(CK_Q8_0)) * CHUNK_BLOCKS / 2 * PANEL_STRIPS);
    return panel > planes ? panel : planes;
}

#define CASE(type)                                                                                                  \
    case type: multiply(type, &p); return;

void ck_matmul_int8_avx2(ck_type type, const void *weights, size_t row_bytes, int64_t m_begin, int64_t m_end,
                         int64_t k, const void *packed, int64_t n, float *y, int64_t y_stride, void *scratch) {
    if (n <= CK_INT8_FEW_AVX2) {
        ck_matvec_int8_avx2(type, weights, row_bytes, m_begin, m_end, k, packed, n, y, y_stride);
        return;
    }
    const product p = {.weights = weights, .row_bytes = row_bytes, .m_begin = m_begin, .m_end = m_end, .k = k, .n = n,
                       .x = packed, .y = y, .y_stride = y_stride, .panel = scratch};
    switch (type) {
        CK_EACH_QUANTIZED(CASE)
        default: return;
    }
}

#pragma clang attribute pop
#endif
