#include "dispatch.h"

void ck_dequantize(ck_type type, const void *blocks, int64_t count, float *out) {
    ck_kernels_current()->dequantize(type, blocks, count, out);
}
