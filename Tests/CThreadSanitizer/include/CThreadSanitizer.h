#ifndef CTHREADSANITIZER_H
#define CTHREADSANITIZER_H

/// Whether the thread sanitizer is told of contended locks of Swift's `Mutex`.
int thread_sanitizer_knows_locks(void);

#endif
