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

// For ck_isa_choose: the tile instructions (Sources/CKernels/tiles.h), and for the rest AVX-512 and its bf16, as on every processor
// that has them, or where these are missing AVX2, as the twin has; NULL where there are no such instructions.
const void *tile_emulation_instructions(void);

#endif
