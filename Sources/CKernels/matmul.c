// The public matrix product: how activations are packed, and which product a type and a mode get.
#include <string.h>

#include "blocks.h"
#include "dispatch.h"

// Activations of CK_EXACT: groups of four rows, [group][k/16][4][16] f32, zeros past the ends.
static size_t exact_activation_bytes(int64_t n, int64_t k) {
    return (size_t)((n + 3) / 4 * 4) * (size_t)((k + 15) / 16 * 16) * sizeof(float);
}

static void pack_exact(const float *x, int64_t x_stride, const int32_t *rows, int64_t n, int64_t k, int64_t row_begin,
                       int64_t row_end, float *packed) {
    const int64_t padded_k = (k + 15) / 16 * 16;
    const int64_t end = row_end == n ? (n + 3) / 4 * 4 : row_end;
    for (int64_t i = row_begin; i < end; i++) {
        float *target = packed + i / 4 * 4 * padded_k + i % 4 * 16;
        const float *row = i < n ? x + (rows ? rows[i] : i) * x_stride : NULL;
        for (int64_t j = 0; j < padded_k; j += 16, target += 64) {
            if (row != NULL && j + 16 <= k) {
                memcpy(target, row + j, 16 * sizeof(float));
            } else {
                memset(target, 0, 16 * sizeof(float));
                if (row != NULL) { memcpy(target, row + j, (size_t)(k - j) * sizeof(float)); }
            }
        }
    }
}

size_t ck_activation_bytes(ck_type type, ck_mode mode, int64_t n, int64_t k) {
    (void)type;
    (void)mode;
    return exact_activation_bytes(n, k);
}

void ck_pack_activations(ck_type type, ck_mode mode, const float *x, int64_t x_stride, const int32_t *rows, int64_t n,
                         int64_t k, int64_t row_begin, int64_t row_end, void *packed) {
    (void)type;
    (void)mode;
    pack_exact(x, x_stride, rows, n, k, row_begin, row_end, packed);
}

size_t ck_matmul_scratch_bytes(ck_type type, ck_mode mode, int64_t n, int64_t k) {
    (void)type;
    (void)mode;
    (void)n;
    (void)k;
    return (60 + 1) * 1024 * sizeof(float);
}

void ck_matmul(ck_type type, ck_mode mode, const void *weights, size_t row_bytes, int64_t m_begin, int64_t m_end,
               int64_t k, const void *packed, int64_t n, float *y, int64_t y_stride, void *scratch) {
    (void)mode;
    if (n <= 0 || m_begin >= m_end) { return; }
    ck_kernels_current()->matmul_exact(type, weights, row_bytes, m_begin, m_end, k, packed, n, y, y_stride, scratch);
}
