// The public matrix product: how activations are packed, and which product a type and a mode get.
#include "blocks.h"
#include "dispatch.h"
#include "int8.h"

// Activations of CK_EXACT: groups of four rows of k padded to sixteen, f32 (matmul_exact.inc).
static size_t exact_activation_bytes(int64_t n, int64_t k) {
    return (size_t)((n + 3) / 4 * 4) * (size_t)((k + 15) / 16 * 16) * sizeof(float);
}

// Which of the three products computes a type in a mode, with the instruction set in use.
typedef enum { EXACT, DENSE, QUANTIZED } product;

static product product_of(ck_type type, ck_mode mode) {
    const ck_kernels *kernels = ck_kernels_current();
    if (mode == CK_EXACT) { return EXACT; }
    if (ck_is_dense(type)) { return kernels->matmul_dense ? DENSE : EXACT; }
    return kernels->matmul_quantized ? QUANTIZED : EXACT;
}

size_t ck_activation_bytes(ck_type type, ck_mode mode, int64_t n, int64_t k) {
    size_t rows = (size_t)((n + 3) / 4 * 4);
    switch (product_of(type, mode)) {
        case DENSE: return ck_kernels_current()->dense_activation_bytes(n, k);
        case QUANTIZED: return rows / CK_INT8_ROWS * (size_t)ck_int8_blocks(k) * sizeof(ck_int8_block);
        case EXACT: return exact_activation_bytes(n, k);
    }
    return 0;
}

void ck_pack_activations(ck_type type, ck_mode mode, const float *x, int64_t x_stride, const int32_t *rows, int64_t n,
                         int64_t k, int64_t row_begin, int64_t row_end, void *packed) {
    const ck_kernels *kernels = ck_kernels_current();
    product kind = product_of(type, mode);
    ck_pack_function pack = kind == DENSE ? kernels->pack_dense
        : kind == QUANTIZED               ? kernels->pack_quantized
                                          : kernels->pack_exact;
    pack(x, x_stride, rows, n, k, row_begin, row_end, packed);
}

size_t ck_matmul_scratch_bytes(ck_type type, ck_mode mode, int64_t n, int64_t k) {
    (void)n;
    const ck_kernels *kernels = ck_kernels_current();
    switch (product_of(type, mode)) {
        case DENSE: return kernels->dense_scratch();
        case QUANTIZED: return kernels->quantized_scratch(k);
        case EXACT: break;
    }
    return CK_EXACT_SCRATCH_FLOATS * sizeof(float);
}

void ck_matmul(ck_type type, ck_mode mode, const void *weights, size_t row_bytes, int64_t m_begin, int64_t m_end,
               int64_t k, const void *packed, int64_t n, float *y, int64_t y_stride, void *scratch) {
    if (n <= 0 || m_begin >= m_end) { return; }
    const ck_kernels *kernels = ck_kernels_current();
    product kind = k == 0 ? EXACT : product_of(type, mode);
    ck_matmul_function matmul
        = kind == DENSE ? kernels->matmul_dense : kind == QUANTIZED ? kernels->matmul_quantized : kernels->matmul_exact;
    matmul(type, weights, row_bytes, m_begin, m_end, k, packed, n, y, y_stride, scratch);
}
