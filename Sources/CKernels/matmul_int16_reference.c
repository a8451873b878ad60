// The 16-bit product of CK_FAST in scalar C. It fixes the order of the sums and the rounding; the vector kernels are
// compared with it.
#include "blocks.h"
#include "dispatch.h"
#include "half.h"
#include "int16.h"
#include "reference.h"

#pragma STDC FP_CONTRACT OFF

// Levels of up to 256 activations; returns their scale.
static float activation_levels(const float *x, int64_t count, int32_t *levels) {
    float lanes[8] = {0};
    for (int64_t i = 0; i < count; i++) { lanes[i % 8] += __builtin_fabsf(x[i]); }
    for (int half = 4; half > 0; half /= 2) {
        for (int i = 0; i < half; i++) { lanes[i] += lanes[i + half]; }
    }
    float top = ck_largest(x, count) / CK_INT16_LARGEST, sum = lanes[0] / CK_INT16_SUM;
    float scale = top > sum ? top : sum, inverse = 1.0f / scale;
    bool zero = scale < CK_INT16_SMALLEST;
    for (int64_t i = 0; i < count; i++) { levels[i] = zero ? 0 : ck_rounded(x[i] * inverse); }
    return zero ? 0.0f : scale;
}

// Levels of up to 256 weights; returns their scale.
static float weight_levels(const float *w, int64_t count, int32_t *levels) {
    uint32_t exponent = ck_int16_exponent(ck_float_to_bits(ck_largest(w, count)) >> 23);
    float factor = ck_bits_to_float(ck_int16_factor(exponent));
    for (int64_t i = 0; i < count; i++) { levels[i] = ck_rounded(w[i] * factor); }
    return ck_bits_to_float(ck_int16_scale(exponent));
}

void ck_matmul_int16_reference(ck_type type, const void *weights, size_t row_bytes, int64_t m, int64_t k,
                               const float *x, int64_t x_stride, int64_t n, float *y, int64_t y_stride) {
    for (int64_t j = 0; j < m; j++) {
        const uint8_t *row = (const uint8_t *)weights + row_bytes * (size_t)j;
        for (int64_t i = 0; i < n; i++) { y[i * y_stride + j] = 0.0f; }
        for (int64_t at = 0; at < k; at += CK_INT16_BLOCK) {
            const int64_t count = k - at < CK_INT16_BLOCK ? k - at : CK_INT16_BLOCK;
            float wide[CK_INT16_BLOCK];
            int32_t w[CK_INT16_BLOCK], inputs[CK_INT16_BLOCK];
            ck_dequantize(type, row + ck_block_bytes(type) * (size_t)at, count, wide);
            const float scale = weight_levels(wide, count, w);
            for (int64_t i = 0; i < n; i++) {
                const float x_scale = activation_levels(x + i * x_stride + at, count, inputs);
                int32_t dot = 0;
                for (int64_t e = 0; e < count; e++) { dot += w[e] * inputs[e]; }
                y[i * y_stride + j] = __builtin_fmaf((float)dot, scale * x_scale, y[i * y_stride + j]);
            }
        }
    }
}
