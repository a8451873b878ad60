#include "blocks.h"
#include "dispatch.h"
#include "int8.h"

// Activations of CK_EXACT: groups of four rows of k padded to sixteen, f32 (matmul_exact.inc).
size_t ck_exact_activation_bytes(int64_t n, int64_t k) {
    return (size_t)((n + 3) / 4 * 4) * (size_t)((k + 15) / 16 * 16) * sizeof(float);
}

size_t ck_exact_scratch(int64_t n, int64_t k) {
    (void)n;
    (void)k;
    return CK_EXACT_SCRATCH_FLOATS * sizeof(float);
}

#if defined(__x86_64__)
size_t ck_int8_activation_bytes(int64_t n, int64_t k) {
    const size_t groups = (size_t)((n + CK_INT8_ROWS - 1) / CK_INT8_ROWS * ck_int8_blocks(k)) * sizeof(ck_int8_block);
    const size_t few = n <= CK_INT8_FEW_AVX2 ? (size_t)n * ck_int8_row_bytes(k) : 0;
    return groups > few ? groups : few;
}
#endif

// The product that computes a type in a mode, with the instruction set in use.
static const ck_product *product_of(ck_type type, ck_mode mode) {
    const ck_kernels *kernels = ck_kernels_current();
    const ck_product *product = &kernels->exact;
    if (mode == CK_FINE && kernels->fine.matmul == NULL) { mode = CK_FAST; }
    switch (mode) {
        case CK_EXACT: break;
        case CK_FINE: product = &kernels->fine; break;
        case CK_FAST: product = ck_is_dense(type) ? &kernels->dense : &kernels->quantized; break;
        case CK_PRECISE: product = &kernels->precise; break;
    }
    return product->matmul != NULL ? product : &kernels->exact;
}

size_t ck_activation_bytes(ck_type type, ck_mode mode, int64_t n, int64_t k) {
    return product_of(type, mode)->activation_bytes(n, k);
}

void ck_pack_activations(ck_type type, ck_mode mode, const float *x, int64_t x_stride, const int32_t *rows, int64_t n,
                         int64_t k, int64_t row_begin, int64_t row_end, void *packed) {
    product_of(type, mode)->pack(x, x_stride, rows, n, k, row_begin, row_end, packed);
}

size_t ck_matmul_scratch_bytes(ck_type type, ck_mode mode, int64_t n, int64_t k) {
    return product_of(type, mode)->scratch(n, k);
}

int64_t ck_chunk_rows(ck_type type, ck_mode mode) { return product_of(type, mode)->chunk_rows; }

bool ck_has_precise(void) { return ck_kernels_current()->precise.matmul != NULL; }

void ck_matmul(ck_type type, ck_mode mode, const void *weights, size_t row_bytes, int64_t m_begin, int64_t m_end,
               int64_t k, const void *packed, int64_t n, float *y, int64_t y_stride, void *scratch) {
    if (n <= 0 || m_begin >= m_end) { return; }
    const ck_product *product = k == 0 ? &ck_kernels_current()->exact : product_of(type, mode);
    product->matmul(type, weights, row_bytes, m_begin, m_end, k, packed, n, y, y_stride, scratch);
}
