// libFuzzer's entry to the C kernels: shapes come from the input's first bytes, weights are the rest of it, as in a file from the
// internet. Every buffer has exactly the size that CKernels.h asks for, so that the address sanitizer sees the first byte that is
// read or written beyond one. Built and run by Scripts/sanitize.

#include "CKernels.h"
#include "blocks.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static const ck_type types[] = {CK_F32,  CK_F16,  CK_Q4_0, CK_Q4_1,   CK_Q5_0,   CK_Q5_1, CK_Q8_0, CK_Q2_K,
                                CK_Q3_K, CK_Q4_K, CK_Q5_K, CK_Q6_K, CK_IQ4_NL, CK_IQ4_XS, CK_BF16, CK_MXFP4};
static const ck_type cached[] = {CK_F32, CK_F16, CK_BF16, CK_Q8_0};

enum { count_of_types = sizeof types / sizeof types[0], header = 12 };

static void *exactly(size_t bytes) {
    void *memory = NULL;
    if (posix_memalign(&memory, 64, bytes > 0 ? bytes : 1) != 0) {
        abort();
    }
    memset(memory, 0, bytes);
    return memory;
}

// Bytes of the input, again and again.
static void *filled(size_t bytes, const uint8_t *data, size_t size) {
    uint8_t *memory = exactly(bytes);
    for (size_t i = 0; i < bytes && size > 0; i++) {
        memory[i] = data[i % size];
    }
    return memory;
}

// Finite numbers near 0.
static float *numbers(int64_t count, const uint8_t *data, size_t size) {
    float *x = exactly(sizeof(float) * (size_t)count);
    for (int64_t i = 0; i < count; i++) {
        x[i] = (float)((i * 37 + (size > 0 ? data[(size_t)i % size] : 0)) % 255) / 64 - 2;
    }
    return x;
}

static size_t row_bytes(ck_type type, int64_t k) {
    return (size_t)(k / ck_block_elements(type)) * ck_block_bytes(type);
}

static void products(const uint8_t *choice, const uint8_t *data, size_t size) {
    ck_type type = types[choice[0] % count_of_types];
    ck_mode mode = (ck_mode)(choice[1] % 4);
    int64_t m = 1 + choice[2] % 40, n = 1 + choice[3] % 40;
    int64_t block = ck_block_elements(type);
    // Rows of 512 inputs and more, of blocks of 32, are read in place.
    int64_t k = block * (1 + choice[4] % (block == 1 ? 250 : block == 32 ? 40 : 5)) + (block == 1 && choice[1] & 128 ? 256 : 0);
    int64_t begin = choice[5] % m, end = choice[3] & 64 ? m : begin + 1 + choice[2] % (m - begin);
    size_t bytes = row_bytes(type, k);

    uint8_t *weights = filled(bytes * (size_t)m, data, size);
    float *x = numbers(n * k, data, size);
    float *row = exactly(sizeof(float) * (size_t)k);
    ck_dequantize(type, weights, k, row);

    void *packed = exactly(ck_activation_bytes(type, mode, n, k));
    ck_pack_activations(type, mode, x, k, NULL, n, k, 0, n, packed);
    void *scratch = exactly(ck_matmul_scratch_bytes(type, mode, n, k));
    float *y = exactly(sizeof(float) * (size_t)(n * m));
    ck_matmul(type, mode, weights, bytes, begin, end, k, packed, n, y, m, scratch);

    if (type == CK_F32 || type == CK_F16 || type == CK_BF16 || type == CK_Q8_0) {
        void *stored = exactly(bytes);
        ck_store(type, x, k, stored);
        free(stored);
    }
    free(y);
    free(scratch);
    free(packed);
    free(row);
    free(x);
    free(weights);
}

static void attention(const uint8_t *choice, const uint8_t *data, size_t size) {
    ck_type type = cached[choice[0] % 4];
    int64_t groups = 1 + choice[2] % 3, heads = groups * (1 + choice[3] % 4);
    int64_t dim = type == CK_Q8_0 ? 32 * (1 + choice[4] % 3) : 2 * (1 + choice[4] % 70);
    int64_t rows = 1 + choice[5] % 70, position = choice[6] % 90, keys = position + rows;
    int64_t first = choice[7] % rows, group = choice[8] % groups;
    float *q = numbers(rows * heads * dim, data, size);
    float *k = numbers(keys * groups * dim, data, size), *v = numbers(keys * groups * dim, data, size);
    float *out = exactly(sizeof(float) * (size_t)(rows * heads * dim));
    float *statistics = exactly(sizeof(float) * (size_t)(5 * heads * rows));
    float *sinks = numbers(heads, data, size), *mass = exactly(sizeof(float) * (size_t)(heads * rows));
    ck_attention work = {
        .q = q, .k = k, .v = v, .out = out, .q_stride = heads * dim, .k_stride = groups * dim,
        .v_stride = groups * dim, .out_stride = heads * dim, .heads = heads, .groups = groups, .head_dim = dim,
        .position = position, .window = choice[9] % 50, .scale = 0.1f,
        .statistics = choice[1] & 1 ? statistics : NULL, .statistics_stride = heads * rows,
        .statistics_head_stride = rows, .sinks = choice[1] & 2 ? sinks : NULL,
        .sink_mass = choice[1] & 4 ? mass : NULL, .sink_mass_stride = rows,
        .tiles_from = choice[1] & 8 ? 1 + choice[1] / 16 * 10 : 0,
    };
    void *scratch = exactly(ck_attention_scratch_bytes(&work));
    ck_attention_rows(&work, group, first, rows, scratch);

    size_t bytes = row_bytes(type, dim);
    uint8_t *kept_k = exactly(bytes * (size_t)keys), *kept_v = exactly(bytes * (size_t)keys);
    for (int64_t key = 0; key < keys; key++) {
        ck_store(type, k + key * groups * dim, dim, kept_k + bytes * (size_t)key);
        ck_store(type, v + key * groups * dim, dim, kept_v + bytes * (size_t)key);
    }
    ck_attention_rows_cached(&work, type, kept_k, bytes, kept_v, bytes, group, first, rows, scratch);

    int64_t head = group * (heads / groups);
    float *scores = exactly(sizeof(float) * (size_t)((rows - first) * keys));
    ck_attention_scores(&work, head, first, rows, keys, scores, keys, scratch);
    ck_softmax_rows(scores, keys, rows - first, keys);
    ck_attention_apply(&work, head, first, rows, keys, scores, keys, scratch);

    free(scores);
    free(kept_v);
    free(kept_k);
    free(scratch);
    free(mass);
    free(sinks);
    free(statistics);
    free(out);
    free(v);
    free(k);
    free(q);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < header) {
        return 0;
    }
    static const ck_isa all[] = {CK_SCALAR, CK_AVX2, CK_AVX512, CK_AMX, CK_AMX_TWIN};
    ck_isa wanted = all[(data[0] >> 1) % 5];
    ck_isa_select(ck_isa_available(wanted) ? wanted : CK_SCALAR);
    (data[0] & 1 ? attention : products)(data + 1, data + header, size - header);
    return 0;
}
