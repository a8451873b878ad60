#ifndef CKERNELS_H
#define CKERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Inner loops whose instruction set is chosen at start-up. Nothing here allocates, starts a thread or fails.
//
// Shape legend: n activation rows (tokens) · k input features · m output features · a weight matrix is [m, k], rows
// contiguous, `row_bytes` apart. All strides are in elements unless the name says bytes.

// Numbers of GGUF's tensor types.
typedef enum {
    CK_F32 = 0, CK_F16 = 1, CK_Q4_0 = 2, CK_Q4_1 = 3, CK_Q5_0 = 6, CK_Q5_1 = 7, CK_Q8_0 = 8, CK_Q2_K = 10,
    CK_Q3_K = 11, CK_Q4_K = 12, CK_Q5_K = 13, CK_Q6_K = 14, CK_IQ4_NL = 20, CK_IQ4_XS = 23, CK_BF16 = 30,
    CK_MXFP4 = 39
} ck_type;

typedef enum { CK_EXACT = 0, CK_FAST = 1, CK_PRECISE = 2, CK_FINE = 3 } ck_mode;
// CK_AMX is CK_AVX512 with products on tiles. CK_AMX_TWIN has the products of CK_AMX, bit for bit, in plain C: for tests, and
// for work on them where there are no tiles. It is slow and never the best.
typedef enum { CK_SCALAR = 0, CK_AVX2 = 1, CK_AVX512 = 2, CK_NEON = 3, CK_AMX = 4, CK_AMX_TWIN = 5 } ck_isa;

// The best instruction set of this processor. CK_AMX needs the kernel's leave, which the first call asks for.
ck_isa ck_isa_best(void);
bool ck_isa_available(ck_isa isa);
// The set that a name stands for; false where there is none of that name or the processor does not have it.
bool ck_isa_named(const char *name, ck_isa *isa);
// The set in use: the one that the environment variable MOESCOPE_ISA names when the first product is computed, otherwise
// the best; or the calling thread's own choice (for tests; other threads go on with theirs; returns what is then in use,
// which is the best where the processor does not have what was asked for).
ck_isa ck_isa_current(void);
ck_isa ck_isa_select(ck_isa isa);
// The calling thread's choice, for another thread that works for it; NULL: it has made none.
const void *ck_isa_choice(void);
void ck_isa_choose(const void *choice);
const char *ck_isa_name(ck_isa isa);

// Dequantizes `count` consecutive elements (whole blocks) to f32, bit-identical to the `gguf` reference.
void ck_dequantize(ck_type type, const void *blocks, int64_t count, float *out);

// Stores f32 values as F32, F16, BF16 (rounded to nearest, ties to even) or Q8_0 (as `gguf` does; count a multiple of 32).
void ck_store(ck_type type, const float *x, int64_t count, void *out);

// Matrix product y[n, m] = x[n, k] · W[m, k]ᵀ in two steps, so that activations are packed once and used by many
// products (q, k and v; gate and up) and many threads.
//
// `CK_EXACT`: f32 activations, weights dequantized to f32, f32 accumulation. `CK_FAST`: for quantized weights int8
// activations in blocks of 32; for F32, F16 and BF16 weights both sides are 16-bit integers in blocks of 256 (an activation has
// about eleven bits, a weight up to thirteen), which these units multiply twice as fast as f32. CK_AVX2 and CK_AVX512 give the
// same bits. With CK_AMX every weight and activation is rounded to bf16. CK_SCALAR and CK_NEON have none of these: there CK_FAST is
// CK_EXACT. `CK_FINE`: CK_FAST, but with CK_AMX an activation has two parts in bf16, accurate to 2⁻¹⁷, for twice as many products.
// `CK_PRECISE`: with CK_AMX an activation has three parts in bf16, which are all of an f32, and so have weights; three products
// with weights in bf16, six with others: about 2⁻²⁴ of Σ |x·W| is missing. Elsewhere it is CK_EXACT. In all modes, every y is
// summed over k in one fixed order, the same for one row (decoding, straight from the blocks) and for many, whatever n, m, its
// position and the number of threads.
//
// Weights are of two kinds: dense (F32, F16, BF16) and quantized (blocks). What is packed for one type serves every type
// of its kind in that mode, with the instruction set that was in use.
size_t ck_activation_bytes(ck_type type, ck_mode mode, int64_t n, int64_t k);
// Packs rows [row_begin, row_end) (multiples of 16, or n) of x into the shared buffer; `rows`, if not NULL, gathers:
// packed row i is x row rows[i].
void ck_pack_activations(ck_type type, ck_mode mode, const float *x, int64_t x_stride, const int32_t *rows,
                         int64_t n, int64_t k, int64_t row_begin, int64_t row_end, void *packed);
// `packed` and `scratch` are aligned to 64 bytes.
// Bytes of scratch one thread needs for a product.
size_t ck_matmul_scratch_bytes(ck_type type, ck_mode mode, int64_t n, int64_t k);
// Rows to pack as one: more of them gain nothing, and fewer pay more for the weights.
int64_t ck_chunk_rows(ck_type type, ck_mode mode);
// Whether CK_PRECISE is anything else than CK_EXACT.
bool ck_has_precise(void);
// Computes output features [m_begin, m_end) of all n rows: y[i * y_stride + j] = Σ x·W[j]. Threads split m.
void ck_matmul(ck_type type, ck_mode mode, const void *weights, size_t row_bytes, int64_t m_begin, int64_t m_end,
               int64_t k, const void *packed, int64_t n, float *y, int64_t y_stride, void *scratch);

// Reference twin of CK_FAST for quantized weights: m weight rows times n rows of x (finite), one multiplication after the
// other, packing included. It is slow and fixes the order of the sums, so that every instruction set can be compared with
// it bit by bit.
void ck_matmul_int8_reference(ck_type type, const void *weights, size_t row_bytes, int64_t m, int64_t k,
                              const float *x, int64_t x_stride, int64_t n, float *y, int64_t y_stride);
// Reference twin of CK_FAST for dense weights (F32, F16, BF16; finite).
void ck_matmul_int16_reference(ck_type type, const void *weights, size_t row_bytes, int64_t m, int64_t k,
                               const float *x, int64_t x_stride, int64_t n, float *y, int64_t y_stride);

// ---- Rows of f32 values. Every row is computed alone and in the same order, so no result depends on how rows are
// batched or split over threads. `out` may be the input itself unless said otherwise.

// out[i] = x[i] · (1/√(mean(x[i]²) + eps)) · weight, for n rows of d.
void ck_rmsnorm(const float *x, int64_t x_stride, const float *weight, float eps, int64_t n, int64_t d, float *out,
                int64_t out_stride);

// Rotary embedding, in place. Row i holds `heads` heads of head_dim, one after the other; the first rotary_dim of each
// (even) are rotated by the angles of row i of the tables, [n, rotary_dim / 2]. CK_ROPE_HALVES pairs j with
// j + rotary_dim/2 (Hugging Face); CK_ROPE_PAIRS pairs 2j with 2j + 1 (original Llama, GGUF of Llama and Mixtral).
typedef enum { CK_ROPE_HALVES = 0, CK_ROPE_PAIRS = 1 } ck_rope_layout;
void ck_rope(float *x, int64_t x_stride, const float *cos_table, const float *sin_table, int64_t n, int64_t heads,
             int64_t head_dim, int64_t rotary_dim, ck_rope_layout layout);

// Softmax over each of n rows of d, in place. -inf gives 0; a row of nothing but -inf gives zeros.
void ck_softmax_rows(float *x, int64_t x_stride, int64_t n, int64_t d);

// out = silu(gate) · up; out = a + b; out += scale · x.
void ck_silu_mul(const float *gate, const float *up, int64_t count, float *out);
// out = (u + 1) · g · σ(alpha · g), with g = min(gate + gate_bias, limit) and u = up + up_bias within ± limit: gpt-oss's
// experts. out may be gate or up.
void ck_clamped_swiglu(const float *gate, const float *gate_bias, const float *up, const float *up_bias, float alpha,
                       float limit, int64_t count, float *out);
void ck_add(const float *a, const float *b, int64_t count, float *out);
void ck_add_scaled(const float *x, float scale, int64_t count, float *out);

// Combines one expert's output: out[rows[i]] += weights[i] · x[i], for n rows of d; no row twice in `rows`.
void ck_scatter_add(const float *x, int64_t x_stride, const int32_t *rows, const float *weights, int64_t n, int64_t d,
                    float *out, int64_t out_stride);

// Σ a·b in f32, sixteen running sums.
float ck_dot(const float *a, const float *b, int64_t count);

// log Σ exp over a vocabulary that is visited tile by tile: n rows of `count` logits update each row's running maximum
// (start: -INFINITY) and sum of exp(logit - maximum) (start: 0). At the end log Σ exp = running_max + log(running_sum).
// The result depends on where tiles begin, in the last bits: use the same tiles always.
void ck_logsumexp_tile(const float *logits, int64_t stride, int64_t n, int64_t count, float *running_max,
                       float *running_sum);

// exp and log of each element: within 2 units in the last place of the true value for normal results; exp gives 0 below
// the smallest normal number and +inf above the largest; log of 0 is -inf, of negative values NaN.
void ck_exp(const float *x, int64_t count, float *out);
void ck_log(const float *x, int64_t count, float *out);

// ---- Causal attention over one document, in f32 or with products on tiles, never a [t, t] matrix. T rows of q and out hold
// `heads` heads of head_dim; rows of k and v hold `groups` heads (heads is a multiple of groups; query head h uses k/v head
// h / (heads / groups)). Query row i stands at key position `position + i`, and sees keys at its own position and
// before; with window > 0 only the last `window` of them. Keys [0, position + row_end) must exist.
//
// statistics, where not NULL: for head h, query row i, at statistics[s·statistics_stride + h·statistics_head_stride + i]:
// s = 0 entropy of the weights in nats, 1 weight of key 0, 2 weight of the key before the query (0 where there is none),
// 3 mean distance in tokens (query position − key position), 4 largest weight.
typedef struct {
    const float *q, *k, *v;
    float *out;
    int64_t q_stride, k_stride, v_stride, out_stride;
    int64_t heads, groups, head_dim;
    int64_t position;
    int64_t window;
    float scale;
    float *statistics;
    int64_t statistics_stride, statistics_head_stride;
    // One logit per query head that takes a share of every row and gives nothing (learned sinks); NULL: there are none. With
    // them the entropy counts the sink as one more place, and the mean distance is weighted by what the keys have left.
    const float *sinks;
    // Where the sinks' shares go, [heads][rows]; NULL: nowhere.
    float *sink_mass;
    int64_t sink_mass_stride;
    // Rows that see so many keys or more (their window counted) are multiplied on tiles where the instruction set has them
    // (CK_AMX): q, k, v and the weights of a row before they are divided by their sum have two parts in bf16 each, of which
    // the product of the last is left out; scores, softmax, sums and statistics stay f32. 0: none are.
    int64_t tiles_from;
} ck_attention;

// CK_FAST's tiles_from: below it, attention in f32 is about a tenth of the products of a layer of Mixtral's shape on tiles.
enum { CK_ATTENTION_TILES_FROM = 1024 };

size_t ck_attention_scratch_bytes(const ck_attention *attention);
// All query heads of one key/value head (`group`), query rows [row_begin, row_end). Each row's numbers are the same
// whatever the other rows of the call, where keys and values are finite; threads split groups and rows. Scratch is aligned to
// 64 bytes. Best with 64 or more rows a call.
void ck_attention_rows(const ck_attention *attention, int64_t group, int64_t row_begin, int64_t row_end,
                       void *scratch);
// The same, with keys and values from a cache of F32, F16, BF16 or Q8_0 (head_dim a multiple of 32 for Q8_0): k and v
// point to the first key of this group's head, and the rows of one head are row_bytes apart. A cache laid out head by
// head is read fastest. `attention`'s own k, v and their strides are not used.
void ck_attention_rows_cached(const ck_attention *attention, ck_type type, const void *k, size_t k_row_bytes,
                              const void *v, size_t v_row_bytes, int64_t group, int64_t row_begin, int64_t row_end,
                              void *scratch);
// For hooks: the scaled, masked scores (-inf where a key may not be seen) of one query head, rows [row_begin, row_end),
// keys [0, keys), to scores[(i - row_begin) · scores_stride + key]: the same bits that ck_attention_rows sees.
void ck_attention_scores(const ck_attention *attention, int64_t head, int64_t row_begin, int64_t row_end, int64_t keys,
                         float *scores, int64_t scores_stride, void *scratch);
// out = pattern · v for one query head, where the pattern has the layout of the scores; always in f32.
void ck_attention_apply(const ck_attention *attention, int64_t head, int64_t row_begin, int64_t row_end, int64_t keys,
                        const float *pattern, int64_t pattern_stride, void *scratch);

// ---- What this processor can do at most, for benchmarks: the caller measures the time, on as many threads as it likes.
// A round takes about ten nanoseconds. ck_peak_operations returns the operations done (a multiply-add counts two), 0
// where the instruction set in use has no such unit; ck_peak_read reads `bytes` once and returns something made of them.
// CK_PEAK_INT8 is a dot-product instruction where there is one; with CK_AVX2, products of bytes added as 16-bit numbers,
// sixteen at a time before they are widened, which is the most that weights of four bits allow; wider weights are
// bounded by CK_PEAK_INT16 there, which is what unquantized weights meet with both.
// CK_PEAK_BF16 is the AVX-512 dot product, which no product uses; CK_PEAK_AMX the product of tiles of bf16.
typedef enum {
    CK_PEAK_F32 = 0, CK_PEAK_BF16 = 1, CK_PEAK_INT8 = 2, CK_PEAK_INT16 = 3, CK_PEAK_AMX = 4
} ck_peak;
int64_t ck_peak_operations(ck_peak kind, int64_t rounds);
// What bounds a product of weights of a type, with the instruction set in use.
ck_peak ck_peak_of(ck_type type, ck_mode mode);
uint64_t ck_peak_read(const void *memory, size_t bytes);

// What a thread does between two looks at something that another is about to write.
static inline void ck_pause(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

#endif
