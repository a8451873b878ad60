#ifndef CK_HALF_H
#define CK_HALF_H

#include <stdint.h>
#include <string.h>

// Scalar conversions between f32 and the 16-bit formats, exact in the widening direction.

static inline float ck_bits_to_float(uint32_t bits) {
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

static inline uint32_t ck_float_to_bits(float value) {
    uint32_t bits;
    memcpy(&bits, &value, 4);
    return bits;
}

static inline float ck_bf16_to_f32(uint16_t bits) { return ck_bits_to_float((uint32_t)bits << 16); }

// Round to nearest, ties to even; NaN stays NaN.
static inline uint16_t ck_f32_to_bf16(float value) {
    uint32_t bits = ck_float_to_bits(value);
    if ((bits & 0x7fffffffu) > 0x7f800000u) { return (uint16_t)((bits >> 16) | 0x40u); }
    return (uint16_t)((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

static inline float ck_f16_to_f32(uint16_t half) {
    uint32_t sign = (uint32_t)(half & 0x8000u) << 16;
    uint32_t magnitude = (uint32_t)(half & 0x7fffu) << 13;
    uint32_t exponent = magnitude & 0x0f800000u;
    if (exponent == 0x0f800000u) { return ck_bits_to_float(sign | (magnitude + 0x70000000u)); }
    // Multiplying by 2^112 rebiases the exponent, and normalizes subnormals on the way.
    float value = ck_bits_to_float(magnitude) * 0x1p112f;
    return ck_bits_to_float(sign | ck_float_to_bits(value));
}

static inline uint16_t ck_f32_to_f16(float value) {
    uint32_t bits = ck_float_to_bits(value);
    uint16_t sign = (uint16_t)((bits >> 16) & 0x8000u);
    uint32_t magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u) { return (uint16_t)(sign | 0x7e00u); }
    if (magnitude >= 0x477ff000u) { return (uint16_t)(sign | 0x7c00u); }
    if (magnitude < 0x38800000u) {
        // Adding 0.5 puts the last bit of a half's subnormal at the last bit of the sum, rounded by the addition.
        float shifted = ck_bits_to_float(magnitude) + 0.5f;
        return (uint16_t)(sign | (ck_float_to_bits(shifted) - 0x3f000000u));
    }
    uint32_t odd = (magnitude >> 13) & 1u;
    return (uint16_t)(sign | ((magnitude - 0x38000000u + 0xfffu + odd) >> 13));
}

#endif
