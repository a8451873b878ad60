#include "dispatch.h"

void ck_rmsnorm(const float *x, int64_t x_stride, const float *weight, float eps, int64_t n, int64_t d, float *out,
                int64_t out_stride) {
    ck_kernels_current()->rmsnorm(x, x_stride, weight, eps, n, d, out, out_stride);
}

void ck_rope(float *x, int64_t x_stride, const float *cos_table, const float *sin_table, int64_t n, int64_t heads,
             int64_t head_dim, int64_t rotary_dim, ck_rope_layout layout) {
    ck_kernels_current()->rope(x, x_stride, cos_table, sin_table, n, heads, head_dim, rotary_dim, layout);
}

void ck_softmax_rows(float *x, int64_t x_stride, int64_t n, int64_t d) {
    ck_kernels_current()->softmax_rows(x, x_stride, n, d);
}

void ck_clamped_swiglu(const float *gate, const float *gate_bias, const float *up, const float *up_bias, float alpha,
                       float limit, int64_t count, float *out) {
    ck_kernels_current()->clamped_swiglu(gate, gate_bias, up, up_bias, alpha, limit, count, out);
}

void ck_silu_mul(const float *gate, const float *up, int64_t count, float *out) {
    ck_kernels_current()->silu_mul(gate, up, count, out);
}

void ck_add(const float *a, const float *b, int64_t count, float *out) {
    ck_kernels_current()->add(a, b, count, out);
}

void ck_add_scaled(const float *x, float scale, int64_t count, float *out) {
    ck_kernels_current()->add_scaled(x, scale, count, out);
}

void ck_scatter_add(const float *x, int64_t x_stride, const int32_t *rows, const float *weights, int64_t n, int64_t d,
                    float *out, int64_t out_stride) {
    const ck_kernels *kernels = ck_kernels_current();
    for (int64_t i = 0; i < n; i++) {
        kernels->add_scaled(x + i * x_stride, weights[i], d, out + rows[i] * out_stride);
    }
}

float ck_dot(const float *a, const float *b, int64_t count) { return ck_kernels_current()->dot(a, b, count); }

void ck_logsumexp_tile(const float *logits, int64_t stride, int64_t n, int64_t count, float *running_max,
                       float *running_sum) {
    ck_kernels_current()->logsumexp_tile(logits, stride, n, count, running_max, running_sum);
}

void ck_exp(const float *x, int64_t count, float *out) { ck_kernels_current()->exp(x, count, out); }

void ck_log(const float *x, int64_t count, float *out) { ck_kernels_current()->log(x, count, out); }
