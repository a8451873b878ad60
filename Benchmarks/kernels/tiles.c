// How fast the tile product would be on a processor whose tile instructions take as long as those of an Intel server: a model, for
// machines that have AVX-512 and no AMX. It shows what unpacking, caches and memory cost beside the tile instructions, and whether a
// change of the order helps. It computes nothing.
//
//     clang -std=c17 -O2 -I Sources/CKernels -I Sources/CKernels/include Benchmarks/kernels/tiles.c Sources/CKernels/*.c \
//         -lm -lpthread -o .build/tiles && .build/tiles [inputs [weight rows]]
//
// A tile is loaded and stored as its sixteen lines. A product of tiles waits for its two tiles and for the product before it, and takes
// 28 cycles, so that a processor of 4.4 GHz has the 2.5 TFLOP/s a thread of a server with AMX (1,024 a cycle at 2.4 GHz); with
// -DCYCLES=16, as many cycles as there. Caches are this processor's own. Two threads, each with weights of its own in memory, best of
// four; shares of the product's own peak. "fine" has two planes of activations.
#define _POSIX_C_SOURCE 200809L  // clock_gettime

#include <immintrin.h>
#include <stdbool.h>
#include <string.h>

#include "blocks.h"
#include "tiles.h"
#include "timing.h"
#include "upcoming.h"

#if !defined(__x86_64__)
#error "this needs AVX-512"
#endif

#ifndef CYCLES
#define CYCLES 28
#endif
// A multiplication of integers takes three cycles, an addition one.
#define MULTIPLY "\n\timul %0, %0"
#if CYCLES == 28
#define MULTIPLICATIONS MULTIPLY MULTIPLY MULTIPLY MULTIPLY MULTIPLY MULTIPLY MULTIPLY MULTIPLY MULTIPLY
#elif CYCLES == 16
#define MULTIPLICATIONS MULTIPLY MULTIPLY MULTIPLY MULTIPLY MULTIPLY
#else
#error "CYCLES is 16 or 28"
#endif

#pragma clang diagnostic ignored "-Wpsabi"
#pragma STDC FP_CONTRACT OFF
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512vl,fma,f16c"))), apply_to = function)

// Whatever a thread multiplies waits for what it multiplied before.
static _Thread_local uint64_t chain = 1;

// 0, which is there when the last line is.
static inline __attribute__((always_inline)) uint64_t load_tile(const uint8_t *from, size_t stride) {
    uint64_t last;
#define LINE(offset) "vmovups " #offset "(%1), %%zmm0\n\t"
    if (stride == 64) {
        __asm__ volatile(LINE(0) LINE(64) LINE(128) LINE(192) LINE(256) LINE(320) LINE(384) LINE(448) LINE(512) LINE(576)
                             LINE(640) LINE(704) LINE(768) LINE(832) LINE(896) "mov 960(%1), %0\n\tand $0, %0"
                         : "=&r"(last)
                         : "r"(from)
                         : "xmm0");
        return last;
    }
    for (size_t i = 0; i < 15; i++) { __asm__ volatile("vmovups (%0), %%zmm0" : : "r"(from + stride * i) : "xmm0"); }
    __asm__ volatile("mov (%1), %0\n\tand $0, %0" : "=&r"(last) : "r"(from + 15 * stride));
    return last;
}

static inline __attribute__((always_inline)) void keep_tile(uint8_t *to, size_t stride) {
    __asm__ volatile("vpxorq %%zmm0, %%zmm0, %%zmm0" : : : "xmm0");
    for (size_t i = 0; i < 16; i++) { __asm__ volatile("vmovups %%zmm0, (%0)" : : "r"(to + stride * i) : "memory"); }
}

static inline __attribute__((always_inline)) void dot(uint64_t *before, uint64_t ready) {
    __asm__ volatile("add %1, %0" MULTIPLICATIONS : "+r"(*before) : "r"(ready));
}

#define TILES                                                                                                       \
    uint64_t before = chain, ready[8] = {0};                                                                        \
    (void)before;                                                                                                   \
    (void)ready;
#define TILES_BEGIN
#define TILES_END
#define TILE_ZERO(t) ready[t] = 0
#define TILE_LOAD(t, from, stride) ready[t] = load_tile((const uint8_t *)(from), (size_t)(stride))
#define TILE_STORE(t, to, stride) keep_tile((uint8_t *)(to), (size_t)(stride)); chain = before
#define TILE_DOT(c, a, b) dot(&before, ready[a] | ready[b])
#define TILE_NAME(name) ck_##name##_timed
CK_TILE_FUNCTIONS(timed)
#include "matmul_tiles.inc"

enum { TASK_ROWS = 512 };

// A product of every thread, with weights and results of its own.
typedef struct {
    ck_type type;
    ck_matmul_function matmul;
    int64_t n, m, k;
    size_t row_bytes;
    int rounds;
    uint8_t *weights[MAX_THREADS], *packed[MAX_THREADS], *scratch[MAX_THREADS];
    float *y[MAX_THREADS];
} products;

static void multiply_all(void *context, int thread) {
    products *p = context;
    // Each thread has its own choice of kernels.
    ck_isa_choose(&ck_kernels_amx);
    for (int round = 0; round < p->rounds; round++) {
        for (int64_t m = 0; m < p->m; m += TASK_ROWS) {
            const int64_t end = m + TASK_ROWS < p->m ? m + TASK_ROWS : p->m;
            p->matmul(p->type, p->weights[thread], p->row_bytes, m, end, p->k, p->packed[thread], p->n, p->y[thread], p->m,
                      p->scratch[thread]);
        }
    }
}

// The share of `peak`, that of one thread, in percent.
static double share_of_peak(ck_type type, bool fine, int64_t n, int64_t m, int64_t k, double peak) {
    const double flop = 2.0 * (double)(n * m * k) * (fine ? 2 : 1);
    products p = {.type = type, .matmul = fine ? ck_matmul_tiles_fine_timed : ck_matmul_tiles_timed, .n = n, .m = m, .k = k,
                  .row_bytes = ck_block_bytes(type) * (size_t)(k / ck_block_elements(type)),
                  .rounds = 1 + (int)(0.05 * peak / flop)};
    const size_t weight_bytes = p.row_bytes * (size_t)m;
    const size_t bytes = fine ? ck_tile_activation_bytes_fine(n, k) : ck_tile_activation_bytes(n, k);
    for (int t = 0; t < thread_count; t++) {
        p.weights[t] = aligned(weight_bytes);
        uint32_t state = 1;
        for (size_t i = 0; i < weight_bytes; i++) {
            state = state * 1664525u + 1013904223u;
            p.weights[t][i] = (uint8_t)(((state >> 24) & 0x1f) | 0x20);
        }
        p.packed[t] = aligned(bytes);
        memset(p.packed[t], 0, bytes);
        p.scratch[t] = aligned(ck_tile_scratch(n, k));
        p.y[t] = aligned((size_t)(n * m) * sizeof(float));
    }
    const double time = best_time(multiply_all, &p) / p.rounds;
    for (int t = 0; t < thread_count; t++) {
        free(p.weights[t]);
        free(p.packed[t]);
        free(p.scratch[t]);
        free(p.y[t]);
    }
    return 100 * flop / time / peak;
}

int main(int count, char **arguments) {
    const int64_t k = count > 1 ? atoll(arguments[1]) : 4096, m = count > 2 ? atoll(arguments[2]) : 2048;
    if (k < 256 || k % 256 != 0 || m < 1 || !ck_isa_available(CK_AVX512)) {
        fprintf(stderr, "tiles: inputs must be a multiple of 256, and the processor must have AVX-512\n");
        return 1;
    }
    double peak = 0;
    for (int i = 0; i < RUNS; i++) {
        const double start = seconds();
        uint64_t before = chain;
        for (int round = 0; round < 1000000; round++) { dot(&before, 0); }
        chain = before;
        const double found = 1e6 * 2 * CK_TILE_ROWS * CK_TILE_ROWS * CK_TILE_INPUTS / (seconds() - start);
        if (found > peak) { peak = found; }
    }
    printf("%lld x %lld weights, %d cycles, %.2f TFLOP/s a thread\n", (long long)m, (long long)k, CYCLES, 1e-12 * peak);
    static const struct {
        ck_type type;
        const char *name;
    } types[] = {{CK_BF16, "BF16"}, {CK_Q8_0, "Q8_0"}, {CK_Q4_K, "Q4_K"}};
    static const int64_t rows[] = {1, 32, 64, 128, 256, 512};
    printf("activation rows");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) { printf("%6lld", (long long)rows[i]); }
    printf("\n");
    for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
        for (int fine = 0; fine < 2; fine++) {
            printf("%-5s %-9s", types[t].name, fine ? "fine" : "");
            for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
                printf("%5.0f%%", share_of_peak(types[t].type, fine, rows[i], m, k, peak));
                fflush(stdout);
            }
            printf("\n");
        }
    }
    return 0;
}

#pragma clang attribute pop
