// For syscall.
#define _GNU_SOURCE

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "dispatch.h"

#if defined(__x86_64__)
#include <cpuid.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif
#endif

// The table in use unless a thread has chosen another, found at the first call; and the one a thread has chosen instead.
static _Atomic(const ck_kernels *) usual;
static _Thread_local const ck_kernels *chosen;

static const ck_kernels *row(ck_isa isa) {
    if (isa == CK_AMX_TWIN) { return &ck_kernels_amx_twin; }
#if defined(__x86_64__)
    if (isa == CK_AMX) { return &ck_kernels_amx; }
    if (isa == CK_AVX512) { return &ck_kernels_avx512; }
    if (isa == CK_AVX2) { return &ck_kernels_avx2; }
#endif
    return &ck_kernels_portable;
}

#if defined(__x86_64__)
// Whether the processor has tiles of bf16 (CPUID leaf 7: amx-bf16, amx-tile), the system saves them (XCR0 bits 17 and 18),
// and the kernel grants them to this process. It is asked once, before threads start: they all have what it grants.
static bool has_tiles(void) {
#if defined(__linux__)
    enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 };
    unsigned int a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || (c >> 27 & 1) == 0) { return false; }
    unsigned int low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    if ((low >> 17 & 3) != 3) { return false; }
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (d >> 22 & 1) == 0 || (d >> 24 & 1) == 0) { return false; }
    return syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
#else
    return false;
#endif
}
#endif

static ck_isa detect(void) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
    bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")
        && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")
        && __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512vnni");
    return avx512 && has_tiles() ? CK_AMX : avx512 ? CK_AVX512 : avx2 ? CK_AVX2 : CK_SCALAR;
#elif defined(__aarch64__)
    // The portable row: the compiler turns its vectors into NEON.
    return CK_NEON;
#else
    return CK_SCALAR;
#endif
}

ck_isa ck_isa_best(void) {
    static _Atomic int found = -1;
    int best = atomic_load_explicit(&found, memory_order_acquire);
    if (best < 0) {
        best = (int)detect();
        atomic_store_explicit(&found, best, memory_order_release);
    }
    return (ck_isa)best;
}

bool ck_isa_available(ck_isa isa) {
    const ck_isa best = ck_isa_best();
    switch (isa) {
        case CK_SCALAR: return best != CK_NEON;
        case CK_AVX2: return best == CK_AVX2 || best == CK_AVX512 || best == CK_AMX;
        case CK_AVX512: return best == CK_AVX512 || best == CK_AMX;
        case CK_NEON: case CK_AMX: return best == isa;
        case CK_AMX_TWIN: return best != CK_SCALAR;
    }
    return false;
}

bool ck_isa_named(const char *name, ck_isa *isa) {
    for (int i = CK_SCALAR; i <= CK_AMX_TWIN; i++) {
        if (strcmp(ck_isa_name((ck_isa)i), name) == 0 && ck_isa_available((ck_isa)i)) {
            *isa = (ck_isa)i;
            return true;
        }
    }
    return false;
}

const ck_kernels *ck_kernels_current(void) {
    if (chosen != NULL) { return chosen; }
    const ck_kernels *kernels = atomic_load_explicit(&usual, memory_order_acquire);
    if (kernels == NULL) {
        ck_isa isa = ck_isa_best();
        const char *asked = getenv("MOESCOPE_ISA");
        if (asked != NULL) { (void)ck_isa_named(asked, &isa); }
        kernels = row(isa);
        atomic_store_explicit(&usual, kernels, memory_order_release);
    }
    return kernels;
}

ck_isa ck_isa_current(void) { return ck_kernels_current()->isa; }

ck_isa ck_isa_select(ck_isa isa) {
    if (!ck_isa_available(isa)) { isa = ck_isa_best(); }
    chosen = row(isa);
    return isa;
}

const void *ck_isa_choice(void) { return chosen; }

void ck_isa_choose(const void *choice) { chosen = choice; }

const char *ck_isa_name(ck_isa isa) {
    switch (isa) {
        case CK_SCALAR: return "scalar";
        case CK_AVX2: return "avx2";
        case CK_AVX512: return "avx512";
        case CK_NEON: return "neon";
        case CK_AMX: return "amx";
        case CK_AMX_TWIN: return "amx-twin";
    }
    return "unknown";
}
