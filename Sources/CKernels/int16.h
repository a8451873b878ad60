#ifndef CK_INT16_H
#define CK_INT16_H

#include <stdint.h>

// The 16-bit product of CK_FAST for unquantized weights. Both operands are integers with a common scale
// for each block of 256 inputs of a row, as fine as the sum of a block allows: |weight| ≤ 2¹³, Σ |activation| < 2¹⁸, so
// any sum of their products fits in 32 bits and is exact. Blocks are added in f32, one after the other.
enum { CK_INT16_BLOCK = 256, CK_INT16_WEIGHT_BITS = 13 };

#define CK_INT16_LARGEST 32767.0f
// Rounding adds up to half a unit to each of 256.
#define CK_INT16_SUM 262000.0f
// Where the scale would be smaller than this, all activations are 0.
#define CK_INT16_SMALLEST 0x1p-120f

// Activations: levels [block][row][256], zeros past k, then scales [block][row].
static inline int64_t ck_int16_blocks(int64_t k) { return (k + CK_INT16_BLOCK - 1) / CK_INT16_BLOCK; }

// The exponent field of the largest weight of a block decides its scale, a power of two. Below this one the scale would
// not be a normal number.
enum { CK_INT16_LEAST_EXPONENT = CK_INT16_WEIGHT_BITS };
static inline uint32_t ck_int16_exponent(uint32_t field) {
    return field < CK_INT16_LEAST_EXPONENT ? CK_INT16_LEAST_EXPONENT : field;
}
// Bits of the f32 that weights are multiplied with, and of the scale that undoes it. Of what is not finite, NaN.
static inline uint32_t ck_int16_factor(uint32_t exponent) { return (127 + 126 + CK_INT16_WEIGHT_BITS - exponent) << 23; }
static inline uint32_t ck_int16_scale(uint32_t exponent) {
    return exponent == 255 ? 0x7fc00000u : (exponent + 1 - CK_INT16_WEIGHT_BITS) << 23;
}

#endif
