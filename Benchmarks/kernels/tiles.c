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
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "blocks.h"
#include "tiles.h"
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

enum { THREADS = 2, RUNS = 4, TASK_ROWS = 512 };

static double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void *aligned(size_t bytes) {
    void *memory = aligned_alloc(64, (bytes + 127) / 64 * 64);
    if (memory == NULL) {
        fprintf(stderr, "tiles: no memory for %zu bytes\n", bytes);
        exit(1);
    }
    return memory;
}

typedef struct {
    ck_type type;
    ck_matmul_function matmul;
    int64_t n, m, k;
    size_t row_bytes;
    uint8_t *weights, *packed, *scratch;
    float *y;
    int rounds;
    double time;
} job;

static void *run(void *argument) {
    job *j = argument;
    // Each thread has its own choice of kernels.
    ck_isa_choose(&ck_kernels_amx);
    const double start = seconds();
    for (int round = 0; round < j->rounds; round++) {
        for (int64_t m = 0; m < j->m; m += TASK_ROWS) {
            const int64_t end = m + TASK_ROWS < j->m ? m + TASK_ROWS : j->m;
            j->matmul(j->type, j->weights, j->row_bytes, m, end, j->k, j->packed, j->n, j->y, j->m, j->scratch);
        }
    }
    j->time = seconds() - start;
    return NULL;
}

// Seconds that both threads take.
static double best_time(ck_type type, bool fine, int64_t n, int64_t m, int64_t k, double flop_peak) {
    const double flop = 2.0 * (double)(n * m * k) * (fine ? 2 : 1);
    job jobs[THREADS];
    for (int t = 0; t < THREADS; t++) {
        job *j = jobs + t;
        *j = (job){.type = type, .matmul = fine ? ck_matmul_tiles_fine_timed : ck_matmul_tiles_timed, .n = n, .m = m, .k = k};
        j->row_bytes = ck_block_bytes(type) * (size_t)(k / ck_block_elements(type));
        j->weights = aligned(j->row_bytes * (size_t)m);
        uint32_t state = 1;
        for (size_t i = 0; i < j->row_bytes * (size_t)m; i++) {
            state = state * 1664525u + 1013904223u;
            j->weights[i] = (uint8_t)(((state >> 24) & 0x1f) | 0x20);
        }
        const size_t bytes = fine ? ck_tile_activation_bytes_fine(n, k) : ck_tile_activation_bytes(n, k);
        j->packed = aligned(bytes);
        memset(j->packed, 0, bytes);
        j->scratch = aligned(ck_tile_scratch(n, k));
        j->y = aligned((size_t)(n * m) * sizeof(float));
        j->rounds = 1 + (int)(0.05 * flop_peak / flop);
    }
    double best = 0;
    for (int i = 0; i < RUNS; i++) {
        pthread_t threads[THREADS];
        double slowest = 0;
        for (int t = 0; t < THREADS; t++) {
            if (pthread_create(&threads[t], NULL, run, jobs + t) != 0) {
                fprintf(stderr, "tiles: no thread\n");
                exit(1);
            }
        }
        for (int t = 0; t < THREADS; t++) {
            pthread_join(threads[t], NULL);
            if (jobs[t].time / jobs[t].rounds > slowest) { slowest = jobs[t].time / jobs[t].rounds; }
        }
        if (i == 0 || slowest < best) { best = slowest; }
    }
    for (int t = 0; t < THREADS; t++) {
        free(jobs[t].weights);
        free(jobs[t].packed);
        free(jobs[t].scratch);
        free(jobs[t].y);
    }
    return best;
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
                const double flop = 2.0 * (double)(rows[i] * m * k) * (fine ? 2 : 1);
                printf("%5.0f%%", 100 * flop / best_time(types[t].type, fine, rows[i], m, k, peak) / peak);
                fflush(stdout);
            }
            printf("\n");
        }
    }
    return 0;
}

#pragma clang attribute pop
