#include "dispatch.h"

size_t ck_attention_scratch_bytes(const ck_attention *attention) {
    return ck_kernels_current()->attention_scratch(attention);
}

void ck_attention_rows(const ck_attention *attention, int64_t group, int64_t row_begin, int64_t row_end,
                       void *scratch) {
    ck_kernels_current()->attention(attention, group, row_begin, row_end, scratch);
}

void ck_attention_rows_cached(const ck_attention *attention, ck_type type, const void *k, size_t k_row_bytes,
                              const void *v, size_t v_row_bytes, int64_t group, int64_t row_begin, int64_t row_end,
                              void *scratch) {
    ck_kernels_current()->attention_cached(attention, type, k, k_row_bytes, v, v_row_bytes, group, row_begin, row_end,
                                           scratch);
}

void ck_attention_scores(const ck_attention *attention, int64_t head, int64_t row_begin, int64_t row_end, int64_t keys,
                         float *scores, int64_t scores_stride, void *scratch) {
    ck_kernels_current()->attention_scores(attention, head, row_begin, row_end, keys, scores, scores_stride, scratch);
}

void ck_attention_apply(const ck_attention *attention, int64_t head, int64_t row_begin, int64_t row_end, int64_t keys,
                        const float *pattern, int64_t pattern_stride, void *scratch) {
    ck_kernels_current()->attention_apply(attention, head, row_begin, row_end, keys, pattern, pattern_stride, scratch);
}
