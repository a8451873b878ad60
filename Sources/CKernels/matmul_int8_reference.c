// The int8 product of CK_FAST in scalar C. It fixes the order of the sums and the rounding of the activations; the vector
// kernels are compared with it.
#include "blocks.h"
#include "dispatch.h"
#include "levels.h"
#include "reference.h"

#pragma STDC FP_CONTRACT OFF

// 32 activations: x ≈ scale · level.
typedef struct {
    int32_t levels[32];
    float scale;
} activation_block;

static activation_block quantize(const float *x) {
    activation_block block;
    float top = ck_largest(x, 32);
    float inverse = top > 0.0f ? 127.0f / top : 0.0f;
    block.scale = top / 127.0f;
    for (int i = 0; i < 32; i++) { block.levels[i] = ck_rounded(x[i] * inverse); }
    return block;
}

// Adds 32 inputs of one weight row; scales and biases are those of sixteen inputs each.
static float add_block(const int8_t *levels, const float *scales, const float *biases, bool fine,
                       const activation_block *x, float sum) {
    const int count = fine ? 16 : 32;
    for (int from = 0, part = 0; from < 32; from += count, part++) {
        int32_t dot = 0, total = 0;
        for (int i = from; i < from + count; i++) {
            dot += levels[i] * x->levels[i];
            total += x->levels[i];
        }
        sum = __builtin_fmaf((float)dot, scales[part] * x->scale, sum);
        if (biases != NULL) { sum = __builtin_fmaf(biases[part], x->scale * (float)total, sum); }
    }
    return sum;
}

// Levels, scales and biases of 256 inputs: one block or eight.
CK_LEVELS super_levels(const ck_type type, const uint8_t *blocks, int64_t count, int8_t *levels, float *scales,
                       float *biases) {
    const int64_t elements = ck_block_elements(type);
    for (int64_t at = 0; at < count; at += elements, blocks += ck_block_bytes(type)) {
        ck_levels(type, blocks, levels + at, scales + at / 16, biases + at / 16);
    }
}

#define CASE(type)                                                                                                  \
    case type: super_levels(type, blocks, count, levels, scales, biases); return;

static void levels_of(ck_type type, const uint8_t *blocks, int64_t count, int8_t *levels, float *scales,
                      float *biases) {
    switch (type) {
        CK_EACH_QUANTIZED(CASE)
        default: return;
    }
}

void ck_matmul_int8_reference(ck_type type, const void *weights, size_t row_bytes, int64_t m, int64_t k,
                              const float *x, int64_t x_stride, int64_t n, float *y, int64_t y_stride) {
    const bool fine = ck_has_fine_scales(type), bias = ck_has_bias(type);
    for (int64_t i = 0; i < n; i++) {
        for (int64_t j = 0; j < m; j++) {
            const uint8_t *row = (const uint8_t *)weights + row_bytes * (size_t)j;
            float total = 0.0f;
            for (int64_t at = 0; at < k; at += 256) {
                float sum = 0.0f;
                const int64_t count = k - at < 256 ? k - at : 256;
                int8_t levels[256];
                float scales[16], biases[16];
                levels_of(type, row + ck_block_bytes(type) * (size_t)(at / ck_block_elements(type)), count, levels,
                          scales, biases);
                for (int64_t b = 0; b < count; b += 32) {
                    activation_block block = quantize(x + i * x_stride + at + b);
                    sum = add_block(levels + b, scales + b / 16, bias ? biases + b / 16 : NULL, fine, &block, sum);
                }
                total += sum;
            }
            y[i * y_stride + j] = total;
        }
    }
}
