#define _GNU_SOURCE
#include "CTileEmulation.h"

#include "CKernels.h"

#if defined(__x86_64__) && defined(__linux__)

#include <immintrin.h>
#include <signal.h>
#include <string.h>
#include <ucontext.h>

typedef struct {
    bool configured;
    uint8_t rows[8];
    uint16_t row_bytes[8];
    uint8_t bytes[8][16][64];
    int64_t count;
} tiles;

static _Thread_local tiles state;
static struct sigaction before;

// An instruction of the VEX prefix C4, map 0F38: what is needed of it.
typedef struct {
    uint8_t opcode, prefix, mode, reg, rm, vvvv;
    size_t length;
    uint8_t *base;
    int64_t stride;
} instruction;

static int64_t general_register(const ucontext_t *context, int number) {
    static const int places[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                   REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
    return context->uc_mcontext.gregs[places[number]];
}

static bool decode(const ucontext_t *context, instruction *in) {
    const uint8_t *code = (const uint8_t *)context->uc_mcontext.gregs[REG_RIP];
    if (code[0] != 0xc4 || (code[1] & 0x1f) != 2) { return false; }
    const int x = (code[1] & 0x40) ? 0 : 8, b = (code[1] & 0x20) ? 0 : 8;
    in->vvvv = (uint8_t)(~(code[2] >> 3) & 15);
    in->prefix = code[2] & 3;
    in->opcode = code[3];
    in->mode = code[4] >> 6;
    in->reg = (code[4] >> 3) & 7;
    in->rm = code[4] & 7;
    in->length = 5;
    in->base = NULL;
    in->stride = 0;
    if (in->mode == 3) { return true; }
    int64_t address = 0;
    int base = in->rm;
    if (in->rm == 4) {
        const uint8_t sib = code[in->length++];
        const int index = ((sib >> 3) & 7) + x;
        base = sib & 7;
        if (index != 4) { in->stride = general_register(context, index) << (sib >> 6); }
    }
    const bool displaced = base == 5 && in->mode == 0;
    if (displaced && in->rm == 5) { return false; }  // relative to the next instruction: only LDTILECFG, handled below
    if (!displaced) { address = general_register(context, base + b); }
    if (in->mode == 1) { address += (int8_t)code[in->length++]; }
    if (in->mode == 2 || displaced) {
        int32_t displacement;
        memcpy(&displacement, code + in->length, 4);
        in->length += 4;
        address += displacement;
    }
    in->base = (uint8_t *)address;
    return true;
}

// LDTILECFG of a constant: its address is relative to the next instruction.
static bool decode_relative(const ucontext_t *context, instruction *in) {
    const uint8_t *code = (const uint8_t *)context->uc_mcontext.gregs[REG_RIP];
    if (code[0] != 0xc4 || code[3] != 0x49 || code[4] != 0x05) { return false; }
    int32_t displacement;
    memcpy(&displacement, code + 5, 4);
    *in = (instruction){.opcode = 0x49, .prefix = code[2] & 3, .mode = 0, .length = 9};
    in->base = (uint8_t *)(uintptr_t)code + 9 + displacement;
    return true;
}

// The processor's own a · b + c and a + b; MXCSR says what becomes of denormals.
__attribute__((target("fma"))) static float multiply_add(float a, float b, float c) {
    __asm__ volatile("vfmadd231ss %2, %1, %0" : "+x"(c) : "x"(a), "x"(b));
    return c;
}

__attribute__((target("avx"))) static float plus(float a, float b) {
    float sum;
    __asm__ volatile("vaddss %2, %1, %0" : "=x"(sum) : "x"(a), "x"(b));
    return sum;
}

static float upper(const uint8_t *pair, int which) {
    uint16_t half;
    memcpy(&half, pair + 2 * which, 2);
    uint32_t bits = (uint32_t)half << 16;
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

static bool dot(const instruction *in) {
    const int to = in->reg, a = in->rm, b = in->vvvv;
    if (b > 7 || state.row_bytes[a] / 4 != state.rows[b] || state.rows[a] != state.rows[to]
        || state.row_bytes[b] != state.row_bytes[to]) {
        return false;
    }
    const unsigned int saved = _mm_getcsr();
    _mm_setcsr(0x1f80 | 0x8000 | 0x0040);  // exceptions masked, nearest even, FTZ, DAZ
    for (int m = 0; m < state.rows[to]; m++) {
        for (int n = 0; n < state.row_bytes[to] / 4; n++) {
            float halves[2] = {0, 0}, sum;
            for (int k = 0; k < state.row_bytes[a] / 4; k++) {
                for (int odd = 0; odd < 2; odd++) {
                    halves[odd] = multiply_add(upper(state.bytes[a][m] + 4 * k, odd),
                                               upper(state.bytes[b][k] + 4 * n, odd), halves[odd]);
                }
            }
            memcpy(&sum, state.bytes[to][m] + 4 * n, 4);
            sum = plus(sum, plus(halves[0], halves[1]));
            memcpy(state.bytes[to][m] + 4 * n, &sum, 4);
        }
    }
    _mm_setcsr(saved);
    return true;
}

static bool execute(const instruction *in) {
    enum { NONE = 0, P66 = 1, PF3 = 2, PF2 = 3 };
    if (in->opcode == 0x49 && in->prefix == NONE && in->mode != 3 && in->reg == 0) {  // LDTILECFG
        if (in->base[0] != 1 || in->base[1] != 0) { return false; }
        memset(&state.bytes, 0, sizeof state.bytes);
        for (int i = 0; i < 8; i++) {
            memcpy(&state.row_bytes[i], in->base + 16 + 2 * i, 2);
            state.rows[i] = in->base[48 + i];
            if (state.row_bytes[i] > 64 || state.rows[i] > 16) { return false; }
        }
        return state.configured = true;
    }
    if (!state.configured) { return false; }
    if (in->opcode == 0x49 && in->prefix == NONE && in->mode == 3 && in->reg == 0 && in->rm == 0) {  // TILERELEASE
        state.configured = false;
        return true;
    }
    if (in->opcode == 0x49 && in->prefix == PF2 && in->mode == 3) {  // TILEZERO
        memset(state.bytes[in->reg], 0, sizeof state.bytes[in->reg]);
        return true;
    }
    if (in->opcode == 0x4b && in->mode != 3 && in->rm == 4) {  // TILELOADD, TILESTORED
        for (int row = 0; row < state.rows[in->reg]; row++) {
            uint8_t *memory = in->base + row * in->stride, *own = state.bytes[in->reg][row];
            if (in->prefix == PF2 || in->prefix == P66) {
                memset(own, 0, 64);
                memcpy(own, memory, state.row_bytes[in->reg]);
            } else if (in->prefix == PF3) {
                memcpy(memory, own, state.row_bytes[in->reg]);
            } else {
                return false;
            }
        }
        return true;
    }
    return in->opcode == 0x5c && in->prefix == PF3 && in->mode == 3 && dot(in);  // TDPBF16PS
}

static void handle(int signal, siginfo_t *information, void *context_pointer) {
    (void)signal;
    (void)information;
    ucontext_t *context = context_pointer;
    instruction in;
    if ((decode_relative(context, &in) || decode(context, &in)) && execute(&in)) {
        context->uc_mcontext.gregs[REG_RIP] += (greg_t)in.length;
        state.count++;
        return;
    }
    sigaction(SIGILL, &before, NULL);  // it comes again, and is nobody's here
}

bool tile_emulation_begin(void) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = handle;
    action.sa_flags = SA_SIGINFO;
    sigemptyset(&action.sa_mask);
    state.count = 0;
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && sigaction(SIGILL, &action, &before) == 0;
}

void tile_emulation_end(void) { sigaction(SIGILL, &before, NULL); }

int64_t tile_emulation_count(void) { return state.count; }

extern const struct ck_kernels ck_kernels_amx, ck_kernels_amx_avx2;

const void *tile_emulation_instructions(void) {
    const bool wide = ck_isa_available(CK_AVX512) && __builtin_cpu_supports("avx512bf16");
    return wide ? &ck_kernels_amx : &ck_kernels_amx_avx2;
}

#else

bool tile_emulation_begin(void) { return false; }
void tile_emulation_end(void) {}
int64_t tile_emulation_count(void) { return 0; }
const void *tile_emulation_instructions(void) { return NULL; }

#endif
