// Matrix product of dense weights (F32, F16, BF16) as 16-bit integers (int16.h) on AVX2, which multiplies and adds
// twice as many of them at a time as it does f32 (vpmaddwd).
//
// Eight weight rows are the lanes of a vector, two inputs of a row a lane. A block of a panel of rows is made whole
// numbers once, in the order in which the tile reads it, and multiplied with all activation rows. With few activation
// rows nothing is copied. Sums of a block are exact, and blocks are added in f32 one after the other: the same bits for
// few rows as for many.
#if defined(__x86_64__)

#include <immintrin.h>
#include <string.h>

#include "dispatch.h"
#include "int16.h"

#pragma STDC FP_CONTRACT OFF

#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)

#include "vectors256.inc"

// A block of a strip is 8 KiB, for the first cache beside TILE_ROWS activation rows of half a KiB; for the second are a
// panel of PANEL_STRIPS of them, a block of BLOCK_ROWS activation rows (128 KiB) and the sums of both (96 KiB).
enum { LANES = 8, STRIP_VECTORS = 2, STRIP_ROWS = LANES * STRIP_VECTORS, TILE_ROWS = 6, PANEL_STRIPS = 6,
       PANEL_ROWS = STRIP_ROWS * PANEL_STRIPS, BLOCK_ROWS = 256, BLOCK = CK_INT16_BLOCK, FEW_ROWS = 4,
       STEP = 16, LINE_PAIRS = 16, STRIP_LEVELS = STRIP_ROWS * BLOCK };

INLINE size_t bytes_of(const ck_type type) { return type == CK_F32 ? 4 : 2; }

// Weights [8·i, 8·i + 8) of a row of F32 or F16.
INLINE __m256 load_eight(const ck_type type, const uint8_t *row, int64_t i) {
    return type == CK_F32 ? _mm256_loadu_ps((const float *)row + 8 * i)
                          : _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)row + i));
}

// The largest magnitude of sixteen times `steps` weights in each of eight lanes, as the bits of an f32.
INLINE __m256i largest_bits(const ck_type type, const uint8_t *row, const int64_t steps) {
    __m256i top = _mm256_setzero_si256();
    if (type == CK_BF16) {
        for (int64_t s = 0; s < steps; s++) {
            top = _mm256_max_epi16(top, _mm256_and_si256(load32(row + 32 * s), _mm256_set1_epi16(0x7fff)));
        }
        __m256i odd = _mm256_and_si256(top, _mm256_set1_epi32((int32_t)0xffff0000));
        return _mm256_max_epi32(_mm256_slli_epi32(top, 16), odd);
    }
    for (int64_t s = 0; s < 2 * steps; s++) {
        top = _mm256_max_epi32(top, _mm256_castps_si256(magnitude(load_eight(type, row, s))));
    }
    return top;
}

// Sixteen numbers times a factor, rounded, in order.
INLINE __m256i whole_numbers(__m256 first, __m256 second, __m256 factor) {
    __m256i low = _mm256_cvtps_epi32(_mm256_mul_ps(first, factor));
    __m256i high = _mm256_cvtps_epi32(_mm256_mul_ps(second, factor));
    return _mm256_permute4x64_epi64(_mm256_packs_epi32(low, high), 0xd8);
}

// The same of sixteen weights.
INLINE __m256i levels_of(const ck_type type, const uint8_t *at, __m256 factor) {
    if (type == CK_BF16) {
        // Even weights are the low halves of f32 lanes, odd ones the high halves. A number added to 1.5 · 2²³ is rounded like a
        // converted one, and the low half of the sum is it.
        const __m256 unit = _mm256_set1_ps(0x1.8p23f);
        __m256i both = load32(at);
        __m256 even = _mm256_castsi256_ps(_mm256_slli_epi32(both, 16));
        __m256 odd = _mm256_castsi256_ps(_mm256_and_si256(both, _mm256_set1_epi32((int32_t)0xffff0000)));
        __m256i low = _mm256_castps_si256(_mm256_fmadd_ps(even, factor, unit));
        __m256i high = _mm256_castps_si256(_mm256_fmadd_ps(odd, factor, unit));
        return _mm256_blend_epi16(low, _mm256_slli_epi32(high, 16), 0xaa);
    }
    return whole_numbers(load_eight(type, at, 0), load_eight(type, at, 1), factor);
}

// One block of eight rows of weights.
typedef struct {
    const uint8_t *rows[LANES];
    float factor[LANES];
    __m256 scales;
    uint8_t rest[LANES][BLOCK * 4];
} eight_rows;

// Inputs [begin, begin + count) of rows `apart` bytes apart; rows past the last repeat it. What is not `steps` whole steps
// is copied to where zeros follow it.
INLINE void find_rows(const ck_type type, const uint8_t *weights, size_t apart, int64_t rows, int64_t begin,
                      int64_t count, const int64_t steps, eight_rows *out) {
    __m256i top[LANES];
    UNROLL for (int r = 0; r < LANES; r++) {
        const uint8_t *row = weights + apart * (size_t)(r < rows ? r : rows - 1) + bytes_of(type) * (size_t)begin;
        if (count < STEP * steps) {
            memset(out->rest[r], 0, bytes_of(type) * (size_t)(STEP * steps));
            memcpy(out->rest[r], row, bytes_of(type) * (size_t)count);
            row = out->rest[r];
        }
        out->rows[r] = row;
        top[r] = largest_bits(type, row, steps);
    }
    // ck_int16_exponent, ck_int16_factor and ck_int16_scale of all rows.
    const __m256i exponent = _mm256_max_epi32(_mm256_srli_epi32(largest_of_lanes(top), 23),
                                              _mm256_set1_epi32(CK_INT16_LEAST_EXPONENT));
    const __m256i factor = _mm256_sub_epi32(_mm256_set1_epi32(127 + 126 + CK_INT16_WEIGHT_BITS), exponent);
    const __m256i scale = _mm256_sub_epi32(exponent, _mm256_set1_epi32(CK_INT16_WEIGHT_BITS - 1));
    const __m256i infinite = _mm256_cmpeq_epi32(exponent, _mm256_set1_epi32(255));
    _mm256_storeu_si256((__m256i *)out->factor, _mm256_slli_epi32(factor, 23));
    out->scales = _mm256_castsi256_ps(_mm256_or_si256(_mm256_slli_epi32(scale, 23), infinite));
}

// A block of eight rows into one vector of a strip, [pair of inputs][vector][row][2].
INLINE void fill_steps(const ck_type type, const uint8_t *weights, size_t row_bytes, int64_t rows, int64_t begin,
                       int64_t count, const int64_t steps, int16_t *strip, float *scales) {
    eight_rows source;
    find_rows(type, weights, row_bytes, rows, begin, count, steps, &source);
    for (int64_t s = 0; s < steps; s++, strip += STEP * STRIP_ROWS) {
        __m256 pairs[LANES];
        UNROLL for (int r = 0; r < LANES; r++) {
            const uint8_t *at = source.rows[r] + bytes_of(type) * (size_t)(STEP * s);
            // The next block of the row, by the time it is wanted.
            _mm_prefetch((const char *)(at + bytes_of(type) * BLOCK), _MM_HINT_T1);
            pairs[r] = _mm256_castsi256_ps(levels_of(type, at, _mm256_broadcast_ss(source.factor + r)));
        }
        transpose8(pairs);
        UNROLL for (int i = 0; i < 8; i++) { _mm256_store_ps((float *)(strip + 2 * STRIP_ROWS * i), pairs[i]); }
    }
    _mm256_store_ps(scales, source.scales);
}

INLINE void fill_vector(const ck_type type, const uint8_t *weights, size_t row_bytes, int64_t rows, int64_t begin,
                        int64_t count, int16_t *strip, float *scales) {
    if (count == BLOCK) { fill_steps(type, weights, row_bytes, rows, begin, BLOCK, BLOCK / STEP, strip, scales); }
    else { fill_steps(type, weights, row_bytes, rows, begin, count, (count + STEP - 1) / STEP, strip, scales); }
}

INLINE __m256i broadcast2(const int16_t *p) {
    int32_t bits;
    memcpy(&bits, p, 4);
    return _mm256_set1_epi32(bits);
}

// One block of a strip by `rows` activation rows: `pairs` times two inputs. sums [row][STRIP_ROWS] are continued unless
// `first`.
INLINE void tile(const int rows, const int16_t *restrict strip, const float *restrict scales,
                 const int16_t *restrict x, const float *restrict x_scales, int64_t pairs, bool first,
                 float *restrict sums) {
    __m256i dots[TILE_ROWS][STRIP_VECTORS];
    UNROLL for (int i = 0; i < rows; i++) {
        UNROLL for (int v = 0; v < STRIP_VECTORS; v++) { dots[i][v] = _mm256_setzero_si256(); }
    }
    for (int64_t from = 0; from < pairs; from += LINE_PAIRS) {
        UNROLL for (int i = 0; i < rows; i++) {
            _mm_prefetch((const char *)(x + BLOCK * (rows + i)), _MM_HINT_T0);
        }
        const int64_t end = pairs - from < LINE_PAIRS ? pairs : from + LINE_PAIRS;
        for (int64_t p = from; p < end; p++, strip += 2 * STRIP_ROWS, x += 2) {
            __m256i w[STRIP_VECTORS];
            UNROLL for (int v = 0; v < STRIP_VECTORS; v++) {
                w[v] = _mm256_load_si256((const __m256i *)(strip + 2 * LANES * v));
            }
            UNROLL for (int i = 0; i < rows; i++) {
                const __m256i inputs = broadcast2(x + BLOCK * i);
                UNROLL for (int v = 0; v < STRIP_VECTORS; v++) {
                    dots[i][v] = _mm256_add_epi32(dots[i][v], _mm256_madd_epi16(w[v], inputs));
                }
            }
        }
    }
    UNROLL for (int i = 0; i < rows; i++) {
        const __m256 x_scale = _mm256_set1_ps(x_scales[i]);
        UNROLL for (int v = 0; v < STRIP_VECTORS; v++) {
            float *sum = sums + STRIP_ROWS * i + LANES * v;
            __m256 scale = _mm256_mul_ps(_mm256_load_ps(scales + LANES * v), x_scale);
            __m256 before = first ? _mm256_setzero_ps() : _mm256_load_ps(sum);
            _mm256_store_ps(sum, _mm256_fmadd_ps(_mm256_cvtepi32_ps(dots[i][v]), scale, before));
        }
    }
}

// The tile of the first `rows` activation rows, or of TILE_ROWS where there are more.
static void up_to_tile_rows(int64_t rows, const int16_t *strip, const float *scales, const int16_t *x,
                            const float *x_scales, int64_t pairs, bool first, float *sums) {
    switch (rows) {
        case 1: tile(1, strip, scales, x, x_scales, pairs, first, sums); return;
        case 2: tile(2, strip, scales, x, x_scales, pairs, first, sums); return;
        case 3: tile(3, strip, scales, x, x_scales, pairs, first, sums); return;
        case 4: tile(4, strip, scales, x, x_scales, pairs, first, sums); return;
        case 5: tile(5, strip, scales, x, x_scales, pairs, first, sums); return;
        default: tile(TILE_ROWS, strip, scales, x, x_scales, pairs, first, sums);
    }
}

typedef struct {
    const uint8_t *weights;
    size_t row_bytes;
    int64_t m_begin, m_end, k, n;
    const int16_t *x;
    const float *x_scales;
    float *y;
    int64_t y_stride;
    void *scratch;
} product;

// What a thread works with.
typedef struct {
    _Alignas(64) int16_t levels[PANEL_STRIPS][STRIP_LEVELS];
    float scales[PANEL_STRIPS][STRIP_ROWS];
    float sums[PANEL_STRIPS][BLOCK_ROWS][STRIP_ROWS];
} panel;

// Strips of rows [m0, m0 + m_rows) by activation rows [begin, begin + n).
INLINE void multiply_panel(const ck_type type, const product *p, int64_t m0, int64_t m_rows, int64_t begin, int64_t n) {
    panel *work = p->scratch;
    const int64_t strips = (m_rows + STRIP_ROWS - 1) / STRIP_ROWS;
    for (int64_t b = 0; b < ck_int16_blocks(p->k); b++) {
        const int64_t count = p->k - BLOCK * b < BLOCK ? p->k - BLOCK * b : BLOCK;
        const int16_t *x = p->x + BLOCK * (p->n * b + begin);
        const float *x_scales = p->x_scales + p->n * b + begin;
        for (int64_t v = 0; v < strips * STRIP_VECTORS; v++) {
            // A vector past the end repeats the last row.
            const int64_t row = LANES * v < m_rows ? LANES * v : m_rows - 1;
            fill_vector(type, p->weights + p->row_bytes * (size_t)(m0 + row), p->row_bytes, m_rows - row, BLOCK * b,
                        count, work->levels[v / STRIP_VECTORS] + 2 * LANES * (v % STRIP_VECTORS),
                        work->scales[v / STRIP_VECTORS] + LANES * (v % STRIP_VECTORS));
        }
        const int64_t pairs = (count + 1) / 2;
        for (int64_t s = 0; s < strips; s++) {
            for (int64_t i = 0; i < n; i += TILE_ROWS) {
                up_to_tile_rows(n - i, work->levels[s], work->scales[s], x + BLOCK * i, x_scales + i, pairs, b == 0,
                                work->sums[s][i]);
            }
        }
    }
    for (int64_t i = 0; i < n; i++) {
        float *y = p->y + (begin + i) * p->y_stride + m0;
        for (int64_t s = 0; s < strips; s++) {
            const int64_t rows = m_rows - STRIP_ROWS * s < STRIP_ROWS ? m_rows - STRIP_ROWS * s : STRIP_ROWS;
            memcpy(y + STRIP_ROWS * s, work->sums[s][i], (size_t)rows * sizeof(float));
        }
    }
}

// Adds one block of eight weight rows, where they are, by n activation rows.
INLINE void add_few(const ck_type type, const product *p, const row_group rows, int64_t block, int64_t count,
                    const int64_t steps, const int n, __m256 sums[FEW_ROWS]) {
    const int16_t *x = p->x + BLOCK * n * block;
    eight_rows source;
    find_rows(type, p->weights + p->row_bytes * (size_t)rows.first, p->row_bytes * (size_t)rows.apart, rows.count,
              BLOCK * block, count, steps, &source);
    __m256i dots[FEW_ROWS][LANES];
    for (int r = 0; r < LANES; r++) {
        __m256i row[FEW_ROWS];
        UNROLL for (int i = 0; i < n; i++) { row[i] = _mm256_setzero_si256(); }
        const __m256 factor = _mm256_broadcast_ss(source.factor + r);
        for (int64_t s = 0; s < steps; s++) {
            const uint8_t *at = source.rows[r] + bytes_of(type) * (size_t)(STEP * s);
            fetch_ahead(at);
            const __m256i w = levels_of(type, at, factor);
            UNROLL for (int i = 0; i < n; i++) {
                __m256i inputs = _mm256_load_si256((const __m256i *)(x + BLOCK * i + STEP * s));
                row[i] = _mm256_add_epi32(row[i], _mm256_madd_epi16(w, inputs));
            }
        }
        UNROLL for (int i = 0; i < n; i++) { dots[i][r] = row[i]; }
    }
    UNROLL for (int i = 0; i < n; i++) {
        const __m256 scale = _mm256_mul_ps(source.scales, _mm256_set1_ps(p->x_scales[n * block + i]));
        sums[i] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sums_of_lanes(dots[i])), scale, sums[i]);
    }
}

INLINE void multiply_few(const ck_type type, const product *p, const row_group rows, const int n) {
    const int64_t whole = p->k / BLOCK, rest = p->k % BLOCK;
    __m256 sums[FEW_ROWS];
    UNROLL for (int i = 0; i < n; i++) { sums[i] = _mm256_setzero_ps(); }
    for (int64_t b = 0; b < whole; b++) { add_few(type, p, rows, b, BLOCK, BLOCK / STEP, n, sums); }
    if (rest > 0) { add_few(type, p, rows, whole, rest, (rest + STEP - 1) / STEP, n, sums); }
    UNROLL for (int i = 0; i < n; i++) { store_rows(rows, sums[i], p->y + i * p->y_stride); }
}

INLINE void few_rows(const ck_type type, const product *p) {
    for (int64_t group = 0; group < group_count(p->m_end - p->m_begin); group++) {
        const row_group rows = rows_of_group(group, p->m_begin, p->m_end);
        switch (p->n) {
            case 1: multiply_few(type, p, rows, 1); break;
            case 2: multiply_few(type, p, rows, 2); break;
            case 3: multiply_few(type, p, rows, 3); break;
            default: multiply_few(type, p, rows, FEW_ROWS);
        }
    }
}

INLINE void multiply(const ck_type type, const product *p) {
    if (p->n <= FEW_ROWS) {
        few_rows(type, p);
        return;
    }
    for (int64_t m = p->m_begin; m < p->m_end; m += PANEL_ROWS) {
        const int64_t m_rows = p->m_end - m < PANEL_ROWS ? p->m_end - m : PANEL_ROWS;
        for (int64_t i = 0; i < p->n; i += BLOCK_ROWS) {
            multiply_panel(type, p, m, m_rows, i, p->n - i < BLOCK_ROWS ? p->n - i : BLOCK_ROWS);
        }
    }
}

size_t ck_int16_scratch_avx2(int64_t n, int64_t k) {
    (void)n;
    (void)k;
    return sizeof(panel);
}

size_t ck_int16_activation_bytes(int64_t n, int64_t k) {
    return (size_t)(ck_int16_blocks(k) * n) * (BLOCK * sizeof(int16_t) + sizeof(float));
}

void ck_matmul_int16_avx2(ck_type type, const void *weights, size_t row_bytes, int64_t m_begin, int64_t m_end,
                          int64_t k, const void *packed, int64_t n, float *y, int64_t y_stride, void *scratch) {
    const int16_t *x = packed;
    const product p = {.weights = weights, .row_bytes = row_bytes, .m_begin = m_begin, .m_end = m_end, .k = k, .n = n,
                       .x = x, .x_scales = (const float *)(x + ck_int16_blocks(k) * n * BLOCK), .y = y,
                       .y_stride = y_stride, .scratch = scratch};
    switch (type) {
        case CK_F32: multiply(CK_F32, &p); return;
        case CK_F16: multiply(CK_F16, &p); return;
        default: multiply(CK_BF16, &p);
    }
}

// Levels of 256 activations; returns their scale.
INLINE float pack_block(const float *x, int16_t *levels) {
    __m256 sum = _mm256_setzero_ps(), top = sum;
    for (int i = 0; i < BLOCK; i += 8) {
        __m256 v = magnitude(_mm256_loadu_ps(x + i));
        sum = _mm256_add_ps(sum, v);
        top = _mm256_max_ps(top, v);
    }
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(sum), _mm256_extractf128_ps(sum, 1));
    __m128 t = _mm_max_ps(_mm256_castps256_ps128(top), _mm256_extractf128_ps(top, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    t = _mm_max_ps(t, _mm_movehl_ps(t, t));
    const float total = _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s))) / CK_INT16_SUM;
    const float largest = _mm_cvtss_f32(_mm_max_ss(t, _mm_movehdup_ps(t))) / CK_INT16_LARGEST;
    const float scale = largest > total ? largest : total;
    const bool zero = scale < CK_INT16_SMALLEST;
    const __m256 inverse = _mm256_set1_ps(zero ? 0.0f : 1.0f / scale);
    for (int i = 0; i < BLOCK; i += 16) {
        __m256i both = whole_numbers(_mm256_loadu_ps(x + i), _mm256_loadu_ps(x + i + 8), inverse);
        _mm256_store_si256((__m256i *)(levels + i), both);
    }
    // A sum that is not finite makes every product NaN.
    return zero ? 0.0f : total < __builtin_inff() ? scale : __builtin_nanf("");
}

void ck_pack_int16_avx2(const float *x, int64_t x_stride, const int32_t *rows, int64_t n, int64_t k, int64_t row_begin,
                        int64_t row_end, void *packed) {
    int16_t *levels = packed;
    float *scales = (float *)(levels + ck_int16_blocks(k) * n * BLOCK);
    for (int64_t i = row_begin; i < row_end; i++) {
        const float *row = x + (rows ? rows[i] : i) * x_stride;
        for (int64_t b = 0; b < ck_int16_blocks(k); b++) {
            const float *source = row + BLOCK * b;
            float rest[BLOCK] = {0};
            if (k - BLOCK * b < BLOCK) {
                memcpy(rest, source, (size_t)(k - BLOCK * b) * sizeof(float));
                source = rest;
            }
            scales[n * b + i] = pack_block(source, levels + BLOCK * (n * b + i));
        }
    }
}

// What such products do at most: two 16-bit numbers times two others a lane, added to a sum of 32 bits.
int64_t ck_peak_int16_avx2(int64_t rounds) {
    enum { CHAINS = 12 };
    __m256i acc[CHAINS], a = _mm256_set1_epi16((int16_t)(rounds & 1)), b = _mm256_set1_epi16(1);
    UNROLL for (int i = 0; i < CHAINS; i++) { acc[i] = _mm256_set1_epi32(i + 1); }
    for (int64_t r = 0; r < rounds; r++) {
        UNROLL for (int i = 0; i < CHAINS; i++) {
            // Nothing is known about a and b any more, so that the product is made each time.
            __asm__("" : "+x"(a), "+x"(b));
            acc[i] = _mm256_add_epi32(acc[i], _mm256_madd_epi16(a, b));
        }
    }
    __m256i total = acc[0];
    UNROLL for (int i = 1; i < CHAINS; i++) { total = _mm256_or_si256(total, acc[i]); }
    return _mm256_testz_si256(total, total) ? 0 : rounds * CHAINS * 16 * 2;
}

#pragma clang attribute pop
#endif
