// The f32 kernels for AVX2 with FMA.
#if defined(__x86_64__)

#include <string.h>

#include "tiles.h"
#include "upcoming.h"

#pragma clang diagnostic ignored "-Wpsabi"
#pragma STDC FP_CONTRACT OFF

#define CK_HAS_FMA 1
#define CK_HAS_F16 1
// Twelve accumulators of eight lanes. Half the lanes of six weight rows and CHUNK_K inputs are 12 KiB, which two threads
// of a core keep in its first cache together while activations pass from the second, where a panel and a block of them fit.
#define CK_PART_LANES 8
#define CK_TILE_M 6
#define CK_TILE_N 2
#define CK_PANEL_GROUPS 4
#define CK_BLOCK_GROUPS 6
#define CK_PEAK_CHAINS 6
// Twelve accumulators here too: six rows by sixteen lanes.
#define CK_ATTENTION_ROWS 6
#define CK_ATTENTION_FEW 2
#define CK_ATTENTION_VECTORS 1

#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#include "levels.h"
#include "kernels_f32.inc"
#pragma clang attribute pop

const ck_kernels ck_kernels_avx2 = {
    .isa = CK_AVX2,
    CK_F32_ROW,
    .dense = {ck_pack_int16_avx2, ck_matmul_int16_avx2, ck_int16_activation_bytes, ck_int16_scratch_avx2,
              CK_CHUNK_ROWS},
    .quantized = {ck_pack_int8_avx2, ck_matmul_int8_avx2, ck_int8_activation_bytes, ck_int8_scratch_avx2,
                  CK_CHUNK_ROWS},
    .peak_int16 = ck_peak_int16_avx2,
    .peak_int8 = ck_peak_int8_avx2,
};

const ck_kernels ck_kernels_amx_twin = {.isa = CK_AMX_TWIN, CK_F32_ROW, CK_TILE_ROW(twin)};
const ck_kernels ck_kernels_amx_avx2 = {.isa = CK_AMX_TWIN, CK_F32_ROW, CK_TILE_ROW(amx)};

#endif
