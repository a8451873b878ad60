#ifndef CTILEEMULATION_H
#define CTILEEMULATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// AMX's tile instructions on a processor that has none: a handler of SIGILL decodes LDTILECFG, TILERELEASE, TILEZERO, TILELOADD,
// TILESTORED and TDPBF16PS, and does what they do, with the processor's own multiply-add. So the compiled tile product runs
// as it is: its configuration, strides and order of operands are seen. Any other illegal instruction ends the process.

// Whether this is x86-64 Linux, where it can be done.
bool tile_emulation_begin(void);
void tile_emulation_end(void);
// Instructions emulated since the last begin, on the calling thread. Where the processor has tiles it stays 0.
int64_t tile_emulation_count(void);

// CKernels' tile product with the tile instructions, whichever instruction set is selected (Sources/CKernels/tiles.h); type
// is a ck_type. They do nothing where there are no such instructions.
void emulated_pack(bool precise, const float *x, int64_t x_stride, const int32_t *rows, int64_t n, int64_t k, void *packed);
void emulated_matmul(bool precise, int32_t type, const void *weights, size_t row_bytes, int64_t m_begin, int64_t m_end,
                     int64_t k, const void *packed, int64_t n, float *y, int64_t y_stride, void *scratch);

#endif
