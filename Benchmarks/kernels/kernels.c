// How fast the kernels are, alone, as a share of what this machine can do in the same minute.
//
//     clang -std=c17 -O2 -I Sources/CKernels/include Benchmarks/kernels/kernels.c Sources/CKernels/*.c \
//         -lm -lpthread -o .build/kernels && .build/kernels [threads]
//
// Products are timed on random weights, a quarter of a matrix of Mixtral-8x7B and a small one; every thread computes its part of
// the output features, as in the engine. Each figure is the best of several runs; times are wall-clock, so the machine
// should be otherwise idle.
#define _POSIX_C_SOURCE 200809L  // clock_gettime

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "CKernels.h"
#include "timing.h"

// ---- Peaks

typedef struct {
    ck_peak kind;
    int64_t operations[MAX_THREADS];
    uint8_t *memory;
    size_t bytes;
    uint64_t sums[MAX_THREADS];
} peak_context;

static void peak_body(void *context, int thread) {
    peak_context *c = context;
    c->operations[thread] = ck_peak_operations(c->kind, 10 * 1000 * 1000);
}

static void read_body(void *context, int thread) {
    peak_context *c = context;
    size_t part = c->bytes / (size_t)thread_count;
    c->sums[thread] = ck_peak_read(c->memory + part * (size_t)thread, part);
}

static double peak_operations(ck_peak kind) {
    peak_context context = {.kind = kind};
    double time = best_time(peak_body, &context), total = 0;
    for (int t = 0; t < thread_count; t++) { total += (double)context.operations[t]; }
    return total / time / 1e9;
}

static double peak_read(void) {
    peak_context context = {.bytes = (size_t)1 << 30};
    context.memory = aligned(context.bytes);
    memset(context.memory, 1, context.bytes);
    double time = best_time(read_body, &context);
    free(context.memory);
    return (double)context.bytes / time / 1e9;
}

// ---- Products

typedef struct {
    const char *name;
    ck_type type;
    int block, bytes;  // elements and bytes of a block
    int halves[2];     // where its f16 scales are, or -1
} weight_type;

static const weight_type types[] = {
    {"bf16", CK_BF16, 1, 2, {-1, -1}},      {"f16", CK_F16, 1, 2, {-1, -1}},     {"Q8_0", CK_Q8_0, 32, 34, {0, -1}},
    {"Q4_0", CK_Q4_0, 32, 18, {0, -1}},     {"Q4_K", CK_Q4_K, 256, 144, {0, 2}}, {"Q5_K", CK_Q5_K, 256, 176, {0, 2}},
    {"Q6_K", CK_Q6_K, 256, 210, {208, -1}}, {"Q3_K", CK_Q3_K, 256, 110, {108, -1}},
    {"Q2_K", CK_Q2_K, 256, 84, {80, 82}},   {"IQ4_XS", CK_IQ4_XS, 256, 136, {0, -1}},
};

typedef struct {
    ck_type type;
    ck_mode mode;
    const uint8_t *weights;
    size_t row_bytes;
    int64_t m, k, n;
    const void *packed;
    float *y;
    void *scratch[MAX_THREADS];
} product_context;

static void product_body(void *context, int thread) {
    product_context *c = context;
    int64_t from = c->m * thread / thread_count, to = c->m * (thread + 1) / thread_count;
    ck_matmul(c->type, c->mode, c->weights, c->row_bytes, from, to, c->k, c->packed, c->n, c->y, c->m,
              c->scratch[thread]);
}

// Random blocks with scales of about 0.01.
static uint8_t *random_weights(const weight_type *type, size_t bytes) {
    uint8_t *weights = aligned(bytes);
    uint64_t state = 1;
    for (size_t i = 0; i < bytes; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        weights[i] = (uint8_t)(state >> 56);
    }
    if (type->block == 1) {
        for (size_t i = 1; i < bytes; i += 2) { weights[i] = (uint8_t)(0x3c | (weights[i] & 0x80)); }
    }
    for (size_t block = 0; block + (size_t)type->bytes <= bytes; block += (size_t)type->bytes) {
        for (int h = 0; h < 2; h++) {
            if (type->halves[h] >= 0) {
                weights[block + (size_t)type->halves[h] + 1] = 0x21;
            }
        }
    }
    return weights;
}

// The time of one product; `copies` matrices in turn, so that weights come from memory.
static double time_product(const weight_type *type, ck_mode mode, int64_t n, int64_t m, int64_t k) {
    product_context c = {.type = type->type, .mode = mode, .m = m, .k = k, .n = n};
    c.row_bytes = (size_t)(k / type->block * type->bytes);
    uint8_t *weights = random_weights(type, c.row_bytes * (size_t)m);
    c.weights = weights;
    float *x = aligned((size_t)(n * k) * sizeof(float));
    for (int64_t i = 0; i < n * k; i++) { x[i] = (float)(i * 7919 % 2001 - 1000) / 1000; }
    c.y = aligned((size_t)(n * m) * sizeof(float));
    void *packed = aligned(ck_activation_bytes(c.type, mode, n, k));
    ck_pack_activations(c.type, mode, x, k, NULL, n, k, 0, n, packed);
    c.packed = packed;
    for (int t = 0; t < thread_count; t++) { c.scratch[t] = aligned(ck_matmul_scratch_bytes(c.type, mode, n, k)); }
    double time = best_time(product_body, &c);
    for (int t = 0; t < thread_count; t++) { free(c.scratch[t]); }
    free(packed);
    free(c.y);
    free(x);
    free(weights);
    return time;
}

// ---- Attention

typedef struct {
    ck_attention call;
    int64_t t;
    void *scratch[MAX_THREADS];
} attention_context;

static void attention_body(void *context, int thread) {
    attention_context *c = context;
    for (int64_t group = thread; group < c->call.groups; group += thread_count) {
        ck_attention_rows(&c->call, group, 0, c->t, c->scratch[thread]);
    }
}

static double time_attention(int64_t t, int64_t heads, int64_t groups, int64_t d, bool statistics) {
    float *q = aligned((size_t)(t * heads * d) * 4), *out = aligned((size_t)(t * heads * d) * 4);
    float *k = aligned((size_t)(t * groups * d) * 4), *v = aligned((size_t)(t * groups * d) * 4);
    float *counts = aligned((size_t)(5 * t * heads) * 4);
    for (int64_t i = 0; i < t * heads * d; i++) { q[i] = (float)(i * 31 % 101 - 50) / 50; }
    for (int64_t i = 0; i < t * groups * d; i++) {
        k[i] = (float)(i * 17 % 103 - 50) / 50;
        v[i] = (float)(i * 13 % 107 - 50) / 50;
    }
    attention_context c = {.t = t};
    c.call = (ck_attention){.q = q, .k = k, .v = v, .out = out, .q_stride = heads * d, .k_stride = groups * d,
                            .v_stride = groups * d, .out_stride = heads * d, .heads = heads, .groups = groups,
                            .head_dim = d, .scale = 0.1f, .statistics = statistics ? counts : NULL,
                            .statistics_stride = t * heads, .statistics_head_stride = t};
    for (int i = 0; i < thread_count; i++) { c.scratch[i] = aligned(ck_attention_scratch_bytes(&c.call)); }
    double time = best_time(attention_body, &c);
    for (int i = 0; i < thread_count; i++) { free(c.scratch[i]); }
    free(q);
    free(out);
    free(k);
    free(v);
    free(counts);
    return time;
}

int main(int count, char **arguments) {
    if (count > 1) { thread_count = atoi(arguments[1]); }
    if (thread_count < 1 || thread_count > MAX_THREADS) {
        fprintf(stderr, "kernels: threads must be 1…%d, not %s\n", MAX_THREADS, arguments[1]);
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    double peaks[4], read = peak_read();
    for (int kind = 0; kind < 4; kind++) { peaks[kind] = peak_operations((ck_peak)kind); }
    printf("%s, %d threads: f32 %.0f GFLOP/s · bf16 dot %.0f · int16 %.0f · int8 %.0f GOP/s · memory read %.1f GB/s\n\n",
           ck_isa_name(ck_isa_current()), thread_count, peaks[CK_PEAK_F32], peaks[CK_PEAK_BF16], peaks[CK_PEAK_INT16],
           peaks[CK_PEAK_INT8], read);

    static const int64_t shapes[][3] = {{128, 3584, 4096}, {512, 3584, 4096}, {512, 1024, 14336}, {512, 1792, 512}};
    printf("| product | rows | m | k | GOP/s | share of peak |\n|---|---|---|---|---|---|\n");
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        const int64_t n = shapes[s][0], m = shapes[s][1], k = shapes[s][2];
        double operations = 2.0 * (double)n * (double)m * (double)k / 1e9;
        double exact = operations / time_product(&types[0], CK_EXACT, n, m, k);
        printf("| exact (bf16 weights) | %lld | %lld | %lld | %.0f | %.0f %% of f32 |\n", (long long)n, (long long)m,
               (long long)k, exact, 100 * exact / peaks[CK_PEAK_F32]);
        for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
            double rate = operations / time_product(&types[i], CK_FAST, n, m, k);
            double peak = peaks[ck_peak_of(types[i].type, CK_FAST)];
            printf("| %s | %lld | %lld | %lld | %.0f | %.0f %% |\n", types[i].name, (long long)n, (long long)m,
                   (long long)k, rate, 100 * rate / peak);
        }
    }

    printf("\n| one row (decoding) | m | k | GB/s | share of memory read |\n|---|---|---|---|---|\n");
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        const int64_t m = 14336 * 2, k = 4096;
        double bytes = (double)m * (double)k / types[i].block * types[i].bytes / 1e9;
        double rate = bytes / time_product(&types[i], CK_FAST, 1, m, k);
        printf("| %s | %lld | %lld | %.1f | %.0f %% |\n", types[i].name, (long long)m, (long long)k, rate,
               100 * rate / read);
    }

    printf("\n| attention (causal operations) | GFLOP/s | share of f32 | with statistics |\n|---|---|---|---|\n");
    static const int64_t lengths[][4] = {{100, 8, 2, 64}, {512, 32, 8, 128}, {4096, 32, 8, 128}};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        const int64_t t = lengths[i][0], heads = lengths[i][1], groups = lengths[i][2], d = lengths[i][3];
        double operations = 2.0 * (double)heads * (double)d * (double)t * (double)(t + 1) / 1e9;
        double plain = time_attention(t, heads, groups, d, false), counted = time_attention(t, heads, groups, d, true);
        printf("| %lld tokens, %lld/%lld heads of %lld | %.0f | %.0f %% | %+.1f %% time |\n", (long long)t,
               (long long)heads, (long long)groups, (long long)d, operations / plain,
               100 * operations / plain / peaks[CK_PEAK_F32], 100 * (counted / plain - 1));
    }
    return 0;
}
