#include <stdatomic.h>

#include "dispatch.h"

// The table of the processor's best instruction set, found at the first call; and the one a thread has chosen instead.
static _Atomic(const ck_kernels *) best;
static _Thread_local const ck_kernels *chosen;

static const ck_kernels *row(ck_isa isa) {
#if defined(__x86_64__)
    if (isa == CK_AVX512) { return &ck_kernels_avx512; }
    if (isa == CK_AVX2) { return &ck_kernels_avx2; }
#endif
    (void)isa;
    return &ck_kernels_portable;
}

ck_isa ck_isa_best(void) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
    bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")
        && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")
        && __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512vnni")
        && __builtin_cpu_supports("avx512bf16");
    return avx512 ? CK_AVX512 : avx2 ? CK_AVX2 : CK_SCALAR;
#elif defined(__aarch64__)
    // The portable row: the compiler turns its vectors into NEON.
    return CK_NEON;
#else
    return CK_SCALAR;
#endif
}

const ck_kernels *ck_kernels_current(void) {
    if (chosen != NULL) { return chosen; }
    const ck_kernels *kernels = atomic_load_explicit(&best, memory_order_acquire);
    if (kernels == NULL) {
        kernels = row(ck_isa_best());
        atomic_store_explicit(&best, kernels, memory_order_release);
    }
    return kernels;
}

ck_isa ck_isa_current(void) { return ck_kernels_current()->isa; }

ck_isa ck_isa_select(ck_isa isa) {
    ck_isa limit = ck_isa_best();
    if (limit == CK_NEON) { isa = CK_NEON; }
    else if (isa == CK_NEON || isa > limit) { isa = limit; }
    chosen = row(isa);
    return isa;
}

const char *ck_isa_name(ck_isa isa) {
    switch (isa) {
        case CK_SCALAR: return "scalar";
        case CK_AVX2: return "avx2";
        case CK_AVX512: return "avx512";
        case CK_NEON: return "neon";
    }
    return "unknown";
}
