// Swift's Mutex is inlined but for the part that waits, which lies in a library that the thread sanitizer does not see: after contention it
// would report races on whatever a Mutex guards. These stand before that part in the test program, call it, and tell the sanitizer.
#if defined(__linux__) && __has_feature(thread_sanitizer)
#define _GNU_SOURCE 1
#include <dlfcn.h>
#include <stdint.h>

#define LOCK "$s15Synchronization12_MutexHandleV9_lockSlowyys6UInt32VF"
#define UNLOCK "$s15Synchronization12_MutexHandleV11_unlockSlowyyF"
#define SELF __attribute__((swift_context)) void *self

extern void __tsan_acquire(void *address);
extern void __tsan_release(void *address);

__attribute__((swiftcall)) void lock_slow(uint32_t thread, SELF) __asm__(LOCK);
__attribute__((swiftcall)) void unlock_slow(SELF) __asm__(UNLOCK);

__attribute__((swiftcall)) void lock_slow(uint32_t thread, SELF) {
    typedef __attribute__((swiftcall)) void (*Lock)(uint32_t, SELF);
    ((Lock)dlsym(RTLD_NEXT, LOCK))(thread, self);
    __tsan_acquire(self);
}

__attribute__((swiftcall)) void unlock_slow(SELF) {
    typedef __attribute__((swiftcall)) void (*Unlock)(SELF);
    __tsan_release(self);
    ((Unlock)dlsym(RTLD_NEXT, UNLOCK))(self);
}
#endif
