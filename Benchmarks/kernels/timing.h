// What the benchmarks of the kernels share: memory, and the time that all threads take.
#ifndef TIMING_H
#define TIMING_H

#include <math.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { MAX_THREADS = 64, RUNS = 4 };

static int thread_count = 2;

static double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void *aligned(size_t bytes) {
    void *memory = aligned_alloc(64, (bytes + 127) / 64 * 64);
    if (memory == NULL) {
        fprintf(stderr, "error: no memory for %zu bytes\n", bytes);
        exit(1);
    }
    return memory;
}

// Runs body(context, thread) on all threads and returns the best time of several.
typedef void (*body_function)(void *context, int thread);

typedef struct {
    body_function body;
    void *context;
    int thread;
} job;

static void *run_job(void *argument) {
    job *j = argument;
    j->body(j->context, j->thread);
    return NULL;
}

static double best_time(body_function body, void *context) {
    double best = INFINITY;
    for (int run = 0; run < RUNS; run++) {
        pthread_t threads[MAX_THREADS];
        job jobs[MAX_THREADS];
        double start = seconds();
        for (int t = 0; t < thread_count; t++) {
            jobs[t] = (job){body, context, t};
            if (pthread_create(&threads[t], NULL, run_job, &jobs[t]) != 0) {
                fprintf(stderr, "error: no thread\n");
                exit(1);
            }
        }
        for (int t = 0; t < thread_count; t++) { pthread_join(threads[t], NULL); }
        double time = seconds() - start;
        best = time < best ? time : best;
    }
    return best;
}

#endif
