#include "dispatch.h"

void ck_dequantize(ck_type type, const void *blocks, int64_t count, float *out) {
    ck_kernels_current()->dequantize(type, blocks, count, out);
}

void ck_store(ck_type type, const float *x, int64_t count, void *out) {
    ck_kernels_current()->store(type, x, count, out);
}
