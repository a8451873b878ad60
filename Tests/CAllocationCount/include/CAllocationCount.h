#ifndef CALLOCATIONCOUNT_H
#define CALLOCATIONCOUNT_H

#include <stdint.h>

// Blocks that the calling thread has asked malloc and its relatives for, since it began; always -1 where the C library gives
// no way to count (anything but glibc, and under sanitizers).
int64_t allocation_count(void);

#endif
