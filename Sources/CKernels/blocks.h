#ifndef CK_BLOCKS_H
#define CK_BLOCKS_H

#include "CKernels.h"

// How many elements one block of a type holds, and how many bytes it takes; dense types have blocks of one.
static inline int64_t ck_block_elements(ck_type type) {
    switch (type) {
        case CK_F32: case CK_F16: case CK_BF16: return 1;
        case CK_Q4_0: case CK_Q4_1: case CK_Q5_0: case CK_Q5_1: case CK_Q8_0: case CK_IQ4_NL: case CK_MXFP4: return 32;
        case CK_Q2_K: case CK_Q3_K: case CK_Q4_K: case CK_Q5_K: case CK_Q6_K: case CK_IQ4_XS: return 256;
    }
    return 1;
}

static inline size_t ck_block_bytes(ck_type type) {
    switch (type) {
        case CK_F32: return 4;
        case CK_F16: case CK_BF16: return 2;
        case CK_Q4_0: case CK_IQ4_NL: return 18;
        case CK_Q4_1: return 20;
        case CK_Q5_0: return 22;
        case CK_Q5_1: return 24;
        case CK_Q8_0: return 34;
        case CK_Q2_K: return 84;
        case CK_Q3_K: return 110;
        case CK_Q4_K: return 144;
        case CK_Q5_K: return 176;
        case CK_Q6_K: return 210;
        case CK_IQ4_XS: return 136;
        case CK_MXFP4: return 17;
    }
    return 1;
}

static inline bool ck_is_dense(ck_type type) { return type == CK_F32 || type == CK_F16 || type == CK_BF16; }

// Bytes of 256 elements of a quantized type: of one large block, or of eight that follow one another.
static inline size_t ck_super_bytes(ck_type type) {
    return ck_block_bytes(type) * (size_t)(256 / ck_block_elements(type));
}

#endif
