// The tile product with the tile instructions. Its target has AMX and AVX2 and nothing else, so that a processor without
// AMX runs all of it but those instructions.
#if defined(__x86_64__)

#include <immintrin.h>
#include <string.h>

#include "blocks.h"
#include "tiles.h"
#include "upcoming.h"

#pragma clang diagnostic ignored "-Wpsabi"
#pragma STDC FP_CONTRACT OFF

#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,amx-tile,amx-bf16"))), apply_to = function)

// What LDTILECFG reads: palette 1, every tile 16 rows of 64 bytes.
typedef struct {
    uint8_t palette, start_row, unused[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} configuration;

_Static_assert(sizeof(configuration) == 64, "a tile configuration has 64 bytes");

static inline __attribute__((always_inline)) void load_configuration(void) {
    static const configuration all = {.palette = 1,
                                      .row_bytes = {64, 64, 64, 64, 64, 64, 64, 64},
                                      .rows = {16, 16, 16, 16, 16, 16, 16, 16}};
    _tile_loadconfig(&all);
}

#define TILES
#define TILES_BEGIN load_configuration();
#define TILES_END _tile_release();
#define TILE_ZERO(t) _tile_zero(t)
#define TILE_LOAD(t, from, stride) _tile_loadd(t, from, stride)
#define TILE_STORE(t, to, stride) _tile_stored(t, to, stride)
#define TILE_DOT(c, a, b) _tile_dpbf16ps(c, a, b)
#define TILE_NAME(name) ck_##name##_amx
#include "matmul_tiles.inc"

// A round is four instructions, the time of which is that of 64 cycles.
int64_t ck_peak_amx(int64_t rounds) {
    load_configuration();
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    _tile_zero(4);
    _tile_zero(5);
    for (int64_t r = 0; r < rounds; r++) {
        _tile_dpbf16ps(0, 4, 5);
        _tile_dpbf16ps(1, 4, 5);
        _tile_dpbf16ps(2, 4, 5);
        _tile_dpbf16ps(3, 4, 5);
    }
    _tile_release();
    return rounds * 4 * CK_TILE_ROWS * CK_TILE_ROWS * CK_TILE_INPUTS * 2;
}

#pragma clang attribute pop
#endif
