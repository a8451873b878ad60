// The f32 kernels for any processor: the scalar row of x86-64 (where the compiler uses SSE2) and the NEON row of arm64.
#include <string.h>

#include "tiles.h"
#include "upcoming.h"
#include "levels.h"

// Vectors wider than the processor's registers never cross a call here: everything is inlined.
#pragma clang diagnostic ignored "-Wpsabi"
#pragma STDC FP_CONTRACT OFF

#if defined(__aarch64__)
#define CK_HAS_FMA 1
#define CK_HAS_F16 1
#define CK_PORTABLE_ISA CK_NEON
#else
#define CK_HAS_FMA 0
#define CK_HAS_F16 0
#define CK_PORTABLE_ISA CK_SCALAR
#endif
#define CK_PART_LANES 16
#define CK_TILE_M 1
#define CK_TILE_N 2
#define CK_PANEL_GROUPS 10
#define CK_BLOCK_GROUPS 1
#define CK_PEAK_CHAINS 4
#define CK_ATTENTION_ROWS 2
#define CK_ATTENTION_FEW 1
#define CK_ATTENTION_VECTORS 1

#include "kernels_f32.inc"

const ck_kernels ck_kernels_portable = {.isa = CK_PORTABLE_ISA, CK_F32_ROW};
#if !defined(__x86_64__)
const ck_kernels ck_kernels_amx_twin = {.isa = CK_AMX_TWIN, CK_F32_ROW, CK_TILE_ROW(twin)};
#endif
