#ifndef CKERNELS_H
#define CKERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Inner loops whose instruction set is chosen at start-up. Nothing here allocates, starts a thread or fails.
//
// Shape legend: n activation rows (tokens) · k input features · m output features · a weight matrix is [m, k], rows
// contiguous, `row_bytes` apart. All strides are in elements unless the name says bytes.

// Numbers of GGUF's tensor types.
typedef enum {
    CK_F32 = 0, CK_F16 = 1, CK_Q4_0 = 2, CK_Q4_1 = 3, CK_Q5_0 = 6, CK_Q5_1 = 7, CK_Q8_0 = 8, CK_Q2_K = 10,
    CK_Q3_K = 11, CK_Q4_K = 12, CK_Q5_K = 13, CK_Q6_K = 14, CK_IQ4_NL = 20, CK_IQ4_XS = 23, CK_BF16 = 30
} ck_type;

typedef enum { CK_EXACT = 0, CK_FAST = 1 } ck_mode;
typedef enum { CK_SCALAR = 0, CK_AVX2 = 1, CK_AVX512 = 2, CK_NEON = 3 } ck_isa;

// The best instruction set of this processor; the set in use; choosing another (tests and benchmarks; returns what is
// then in use: never more than the processor has).
ck_isa ck_isa_best(void);
ck_isa ck_isa_current(void);
ck_isa ck_isa_select(ck_isa isa);
const char *ck_isa_name(ck_isa isa);

// Dequantizes `count` consecutive elements (whole blocks) to f32, bit-identical to the `gguf` reference.
void ck_dequantize(ck_type type, const void *blocks, int64_t count, float *out);

// Matrix product y[n, m] = x[n, k] · W[m, k]ᵀ in two steps, so that activations are packed once and used by many
// products (q, k and v; gate and up) and many threads. `CK_EXACT`: f32 activations, weights dequantized to f32, f32
// accumulation. `CK_FAST`: bf16 activations for F32/F16/BF16 weights, int8 blocks for quantized ones.
size_t ck_activation_bytes(ck_type type, ck_mode mode, int64_t n, int64_t k);
// Packs rows [row_begin, row_end) (multiples of 16, or n) of x into the shared buffer; `rows`, if not NULL, gathers:
// packed row i is x row rows[i].
void ck_pack_activations(ck_type type, ck_mode mode, const float *x, int64_t x_stride, const int32_t *rows,
                         int64_t n, int64_t k, int64_t row_begin, int64_t row_end, void *packed);
// Bytes of scratch one thread needs for a product.
size_t ck_matmul_scratch_bytes(ck_type type, ck_mode mode, int64_t n, int64_t k);
// Computes output features [m_begin, m_end) of all n rows: y[i * y_stride + j] = Σ x·W[j]. Threads split m.
void ck_matmul(ck_type type, ck_mode mode, const void *weights, size_t row_bytes, int64_t m_begin, int64_t m_end,
               int64_t k, const void *packed, int64_t n, float *y, int64_t y_stride, void *scratch);

#endif
