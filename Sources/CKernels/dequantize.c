// Dequantization to f32, in the order of operations of the `gguf` package: bit-identical to it.
#include <string.h>

#include "blocks.h"
#include "half.h"

#pragma STDC FP_CONTRACT OFF

void ck_dequantize(ck_type type, const void *blocks, int64_t count, float *out) {
    const uint16_t *halves = blocks;
    switch (type) {
        case CK_F32: memcpy(out, blocks, (size_t)count * sizeof(float)); return;
        case CK_F16:
            for (int64_t i = 0; i < count; i++) { out[i] = ck_f16_to_f32(halves[i]); }
            return;
        case CK_BF16:
            for (int64_t i = 0; i < count; i++) { out[i] = ck_bf16_to_f32(halves[i]); }
            return;
        default: memset(out, 0, (size_t)count * sizeof(float)); return;
    }
}
