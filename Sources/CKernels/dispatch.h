#ifndef CK_DISPATCH_H
#define CK_DISPATCH_H

#include "CKernels.h"

typedef void (*ck_matmul_function)(ck_type type, const void *weights, size_t row_bytes, int64_t m_begin, int64_t m_end,
                                   int64_t k, const void *packed, int64_t n, float *y, int64_t y_stride,
                                   void *scratch);
typedef void (*ck_pack_function)(const float *x, int64_t x_stride, const int32_t *rows, int64_t n, int64_t k,
                                 int64_t row_begin, int64_t row_end, void *packed);

// A product with activations packed for it; one without functions does not exist.
typedef struct {
    ck_pack_function pack;
    ck_matmul_function matmul;
    size_t (*activation_bytes)(int64_t n, int64_t k);
    size_t (*scratch)(int64_t n, int64_t k);
    // Rows that are best packed as one.
    int64_t chunk_rows;
} ck_product;

enum {
    CK_CHUNK_ROWS = 256,
    // Scratch of the f32 product, a thread.
    CK_EXACT_SCRATCH_FLOATS = (60 + 2) * 1024
};

typedef struct ck_tile_products ck_tile_products;
typedef struct ck_tile_scales ck_tile_scales;

// One row of function pointers per instruction set; every public function that has a fast form calls through the row
// in use. The f32 rows are one template (`f32_*.inc`) compiled three times, with 16 lanes in each: where the processor
// has a fused multiply-add, all of them give the same bits.
typedef struct {
    ck_isa isa;

    void (*store)(ck_type type, const float *x, int64_t count, void *out);
    void (*dequantize)(ck_type type, const void *blocks, int64_t count, float *out);
    void (*rmsnorm)(const float *x, int64_t x_stride, const float *weight, float eps, int64_t n, int64_t d, float *out,
                    int64_t out_stride);
    void (*softmax_rows)(float *x, int64_t x_stride, int64_t n, int64_t d);
    void (*silu_mul)(const float *gate, const float *up, int64_t count, float *out);
    void (*clamped_swiglu)(const float *gate, const float *gate_bias, const float *up, const float *up_bias,
                           float alpha, float limit, int64_t count, float *out);
    void (*add)(const float *a, const float *b, int64_t count, float *out);
    void (*add_scaled)(const float *x, float scale, int64_t count, float *out);
    float (*dot)(const float *a, const float *b, int64_t count);
    void (*logsumexp_tile)(const float *logits, int64_t stride, int64_t n, int64_t count, float *running_max,
                           float *running_sum);
    void (*rope)(float *x, int64_t x_stride, const float *cos_table, const float *sin_table, int64_t n, int64_t heads,
                 int64_t head_dim, int64_t rotary_dim, ck_rope_layout layout);
    void (*exp)(const float *x, int64_t count, float *out);
    void (*log)(const float *x, int64_t count, float *out);
    size_t (*attention_scratch)(const ck_attention *attention);
    void (*attention)(const ck_attention *attention, int64_t group, int64_t row_begin, int64_t row_end, void *scratch);
    void (*attention_cached)(const ck_attention *attention, ck_type type, const void *k, size_t k_row_bytes,
                             const void *v, size_t v_row_bytes, int64_t group, int64_t row_begin, int64_t row_end,
                             void *scratch);
    void (*attention_scores)(const ck_attention *attention, int64_t head, int64_t row_begin, int64_t row_end,
                             int64_t keys, float *scores, int64_t scores_stride, void *scratch);
    void (*attention_apply)(const ck_attention *attention, int64_t head, int64_t row_begin, int64_t row_end,
                            int64_t keys, const float *pattern, int64_t pattern_stride, void *scratch);
    int64_t (*peak_f32)(int64_t rounds);
    uint64_t (*peak_read)(const void *memory, size_t bytes);

    // CK_FAST for dense (unquantized) and for quantized weights, and CK_PRECISE, where the instruction set has products of
    // 16-bit or 8-bit numbers; otherwise CK_EXACT computes it. CK_FINE where it is anything else than CK_FAST.
    ck_product exact, dense, quantized, fine, precise;
    // What attention multiplies long rows with; NULL: f32, as short ones.
    const ck_tile_products *tiles;
    // Superblocks of quantized weights as eight steps of a row of a tile: scales of eight rows, then row r of them. NULL:
    // dequantized and rounded one row after the other, which gives the same bits.
    void (*tile_scales)(ck_type type, const uint8_t *const rows[8], ck_tile_scales *scales);
    void (*pack_tile_row)(ck_type type, const uint8_t *row, const ck_tile_scales *scales, int r, uint8_t *out);
    // 32 activations of sixteen rows as one step of a tile, in as many planes of bf16 as asked. NULL: as pack_step in
    // pack_tiles.inc, which gives the same bits.
    void (*pack_tile_step)(const float *const x[16], uint8_t *out, size_t plane_bytes, int planes);
    int64_t (*peak_amx)(int64_t rounds);
    int64_t (*peak_bf16)(int64_t rounds);
    int64_t (*peak_int16)(int64_t rounds);
    int64_t (*peak_int8)(int64_t rounds);
} ck_kernels;

extern const ck_kernels ck_kernels_portable;
// The best row that every processor of this architecture is sure to have, or AVX2's, with tiles in plain C.
extern const ck_kernels ck_kernels_amx_twin;
size_t ck_exact_activation_bytes(int64_t n, int64_t k);
size_t ck_exact_scratch(int64_t n, int64_t k);
#if defined(__x86_64__)
extern const ck_kernels ck_kernels_avx2;
extern const ck_kernels ck_kernels_avx512;
extern const ck_kernels ck_kernels_amx;
// CK_AMX with AVX2 for everything that is not on tiles, for a processor whose tile instructions are emulated in tests.
extern const ck_kernels ck_kernels_amx_avx2;
size_t ck_int8_activation_bytes(int64_t n, int64_t k);

void ck_pack_int8_avx2(const float *x, int64_t x_stride, const int32_t *rows, int64_t n, int64_t k, int64_t row_begin,
                       int64_t row_end, void *packed);
void ck_matmul_int8_avx2(ck_type type, const void *weights, size_t row_bytes, int64_t m_begin, int64_t m_end,
                         int64_t k, const void *packed, int64_t n, float *y, int64_t y_stride, void *scratch);
// At most four activation rows; the same bits as ck_matmul_int8_avx2.
void ck_matvec_int8_avx2(ck_type type, const void *weights, size_t row_bytes, int64_t m_begin, int64_t m_end,
                         int64_t k, const void *packed, int64_t n, float *y, int64_t y_stride);
size_t ck_int8_scratch_avx2(int64_t n, int64_t k);
int64_t ck_peak_int8_avx2(int64_t rounds);

void ck_pack_int16_avx2(const float *x, int64_t x_stride, const int32_t *rows, int64_t n, int64_t k, int64_t row_begin,
                        int64_t row_end, void *packed);
void ck_matmul_int16_avx2(ck_type type, const void *weights, size_t row_bytes, int64_t m_begin, int64_t m_end,
                          int64_t k, const void *packed, int64_t n, float *y, int64_t y_stride, void *scratch);
size_t ck_int16_activation_bytes(int64_t n, int64_t k);
size_t ck_int16_scratch_avx2(int64_t n, int64_t k);
int64_t ck_peak_int16_avx2(int64_t rounds);
// Of activations that ck_pack_int16_avx2 packed; the same bits as ck_matmul_int16_avx2.
void ck_matmul_int16_avx512(ck_type type, const void *weights, size_t row_bytes, int64_t m_begin, int64_t m_end,
                            int64_t k, const void *packed, int64_t n, float *y, int64_t y_stride, void *scratch);
size_t ck_int16_scratch_avx512(int64_t n, int64_t k);
int64_t ck_peak_int16_avx512(int64_t rounds);

void ck_pack_int8_avx512(const float *x, int64_t x_stride, const int32_t *rows, int64_t n, int64_t k,
                         int64_t row_begin, int64_t row_end, void *packed);
void ck_matmul_int8_avx512(ck_type type, const void *weights, size_t row_bytes, int64_t m_begin, int64_t m_end,
                           int64_t k, const void *packed, int64_t n, float *y, int64_t y_stride, void *scratch);
// One activation row; the same bits as ck_matmul_int8_avx512.
void ck_matvec_int8_avx512(ck_type type, const void *weights, size_t row_bytes, int64_t m_begin, int64_t m_end,
                           int64_t k, const void *packed, float *y);
int64_t ck_peak_bf16_avx512(int64_t rounds);
int64_t ck_peak_int8_avx512(int64_t rounds);
size_t ck_int8_scratch_avx512(int64_t n, int64_t k);
#endif

// The row in use.
const ck_kernels *ck_kernels_current(void);

// A case for every quantized type, for products that are compiled once for each.
#define CK_EACH_QUANTIZED(CASE)                                                                                     \
    CASE(CK_Q4_0) CASE(CK_Q4_1) CASE(CK_Q5_0) CASE(CK_Q5_1) CASE(CK_Q8_0) CASE(CK_Q2_K) CASE(CK_Q3_K) CASE(CK_Q4_K)    \
    CASE(CK_Q5_K) CASE(CK_Q6_K) CASE(CK_IQ4_NL) CASE(CK_IQ4_XS) CASE(CK_MXFP4)

#endif
