#include "blocks.h"
#include "dispatch.h"
#include "levels.h"

int64_t ck_peak_operations(ck_peak kind, int64_t rounds) {
    const ck_kernels *kernels = ck_kernels_current();
    switch (kind) {
        case CK_PEAK_F32: return kernels->peak_f32(rounds);
        case CK_PEAK_BF16: return kernels->peak_bf16 ? kernels->peak_bf16(rounds) : 0;
        case CK_PEAK_INT16: return kernels->peak_int16 ? kernels->peak_int16(rounds) : 0;
        case CK_PEAK_INT8: return kernels->peak_int8 ? kernels->peak_int8(rounds) : 0;
        case CK_PEAK_AMX: return kernels->peak_amx ? kernels->peak_amx(rounds) : 0;
    }
    return 0;
}

ck_peak ck_peak_of(ck_type type, ck_mode mode) {
    const ck_kernels *kernels = ck_kernels_current();
    if (mode == CK_EXACT) { return CK_PEAK_F32; }
    if (kernels->peak_amx) { return CK_PEAK_AMX; }
    if (kernels->isa == CK_AMX_TWIN || mode == CK_PRECISE) { return CK_PEAK_F32; }
    if (ck_is_dense(type) && kernels->dense.matmul == NULL) { return CK_PEAK_F32; }
    if (ck_is_dense(type) || (ck_has_eight_bit_levels(type) && kernels->isa == CK_AVX2)) { return CK_PEAK_INT16; }
    return kernels->peak_int8 ? CK_PEAK_INT8 : CK_PEAK_F32;
}

uint64_t ck_peak_read(const void *memory, size_t bytes) { return ck_kernels_current()->peak_read(memory, bytes); }
