#ifndef CK_REFERENCE_H
#define CK_REFERENCE_H

#include <stdint.h>

// What the reference twins of the vector products share.

// To nearest, ties to even: adding and taking away 1.5 · 2²³.
static inline int32_t ck_rounded(float value) {
    float shifted = value + 12582912.0f;
    return (int32_t)(shifted - 12582912.0f);
}

// The largest magnitude of `count` numbers.
static inline float ck_largest(const float *x, int64_t count) {
    float top = 0.0f;
    for (int64_t i = 0; i < count; i++) {
        float magnitude = __builtin_fabsf(x[i]);
        top = magnitude > top ? magnitude : top;
    }
    return top;
}

#endif
