// What the bf16 and int8 dot-product units can do at most.
#if defined(__x86_64__)

#include <immintrin.h>

#include "dispatch.h"

#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni,avx512bf16"))), \
                             apply_to = function)

enum { CHAINS = 24 };

// No product uses this unit, which the first processors with CK_AVX512 do not have.
int64_t ck_peak_bf16_avx512(int64_t rounds) {
    if (!__builtin_cpu_supports("avx512bf16")) { return 0; }
    __m512 acc[CHAINS];
    __m512bh a = (__m512bh)_mm512_set1_epi16(0x3f80), b = (__m512bh)_mm512_set1_epi16(0x3a80);
    _Pragma("clang loop unroll(full)") for (int i = 0; i < CHAINS; i++) { acc[i] = _mm512_set1_ps((float)i); }
    for (int64_t r = 0; r < rounds; r++) {
        _Pragma("clang loop unroll(full)") for (int i = 0; i < CHAINS; i++) {
            acc[i] = _mm512_dpbf16_ps(acc[i], a, b);
        }
    }
    __m512 total = acc[0];
    _Pragma("clang loop unroll(full)") for (int i = 1; i < CHAINS; i++) { total = _mm512_add_ps(total, acc[i]); }
    return _mm512_reduce_add_ps(total) >= 0 ? rounds * CHAINS * 32 * 2 : 0;
}

int64_t ck_peak_int8_avx512(int64_t rounds) {
    __m512i acc[CHAINS];
    __m512i a = _mm512_set1_epi8(1), b = _mm512_set1_epi8((char)(rounds & 1));
    _Pragma("clang loop unroll(full)") for (int i = 0; i < CHAINS; i++) { acc[i] = _mm512_set1_epi32(i); }
    for (int64_t r = 0; r < rounds; r++) {
        _Pragma("clang loop unroll(full)") for (int i = 0; i < CHAINS; i++) {
            acc[i] = _mm512_dpbusd_epi32(acc[i], a, b);
        }
    }
    __m512i total = acc[0];
    _Pragma("clang loop unroll(full)") for (int i = 1; i < CHAINS; i++) { total = _mm512_or_si512(total, acc[i]); }
    return _mm512_reduce_or_epi32(total) != 0 ? rounds * CHAINS * 64 * 2 : 0;
}

#pragma clang attribute pop
#endif
