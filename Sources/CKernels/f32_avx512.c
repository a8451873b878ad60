// The f32 kernels for AVX-512.
#if defined(__x86_64__)

#include <immintrin.h>
#include <string.h>

#include "tiles.h"
#include "upcoming.h"

#pragma STDC FP_CONTRACT OFF

#define CK_HAS_FMA 1
#define CK_HAS_F16 1
// Twenty-four accumulators of sixteen lanes.
#define CK_PART_LANES 16
#define CK_TILE_M 6
#define CK_TILE_N 4
#define CK_PANEL_GROUPS 10
#define CK_BLOCK_GROUPS 1
#define CK_PEAK_CHAINS 24
#define CK_ATTENTION_ROWS 6
#define CK_ATTENTION_FEW 4
#define CK_ATTENTION_VECTORS 4

#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,fma,f16c"))), \
                             apply_to = function)
#define CK_HAS_AVX512_BYTES 1
#include "levels.h"
#include "kernels_f32.inc"
#pragma clang attribute pop

const ck_kernels ck_kernels_avx512 = {
    .isa = CK_AVX512,
    CK_F32_ROW,
    .dense = {ck_pack_int16_avx2, ck_matmul_int16_avx512, ck_int16_activation_bytes, ck_int16_scratch_avx512,
              CK_CHUNK_ROWS},
    .quantized = {ck_pack_int8_avx512, ck_matmul_int8_avx512, ck_int8_activation_bytes, ck_int8_scratch_avx512,
                  CK_CHUNK_ROWS},
    .peak_bf16 = ck_peak_bf16_avx512,
    .peak_int16 = ck_peak_int16_avx512,
    .peak_int8 = ck_peak_int8_avx512,
};

const ck_kernels ck_kernels_amx = {
    .isa = CK_AMX,
    CK_F32_ROW,
    CK_TILE_ROW(amx),
    .tile_scales = ck_tile_scales_avx512,
    .pack_tile_row = ck_pack_tile_row_avx512,
    .pack_tile_step = ck_pack_tile_step_avx512,
    .peak_bf16 = ck_peak_bf16_avx512,
    .peak_int16 = ck_peak_int16_avx512,
    .peak_int8 = ck_peak_int8_avx512,
    .peak_amx = ck_peak_amx,
};

#endif
