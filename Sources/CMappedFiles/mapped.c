#define _GNU_SOURCE
#include "CMappedFiles.h"

#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

// The handler may run at any instant: it reads a list to which entries are only ever added. Entries are used again.
struct moescope_map {
    _Atomic(uintptr_t) start; // 0: free
    _Atomic(size_t) length;
    atomic_bool damaged;
    struct moescope_map *next;
};

static _Atomic(struct moescope_map *) maps;
static atomic_size_t faults;
static size_t page_size;
static struct sigaction before;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

// Replaces what follows the fault, to the end of the map, by zeros. False where the address is in no map of ours.
static bool replace(uintptr_t address) {
    for (struct moescope_map *map = atomic_load(&maps); map != NULL; map = map->next) {
        uintptr_t start = atomic_load(&map->start);
        size_t length = atomic_load(&map->length);
        if (start == 0 || address < start || address - start >= length) {
            continue;
        }
        uintptr_t page = address & ~(uintptr_t)(page_size - 1);
        uintptr_t end = (start + length + page_size - 1) & ~(uintptr_t)(page_size - 1);
        atomic_store(&map->damaged, true);
        atomic_fetch_add(&faults, 1);
        return mmap((void *)page, end - page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED;
    }
    return false;
}

static void handle(int number, siginfo_t *info, void *context) {
    if (number == SIGBUS && info->si_addr != NULL && replace((uintptr_t)info->si_addr)) {
        return;
    }
    if (before.sa_flags & SA_SIGINFO && before.sa_sigaction != NULL) {
        before.sa_sigaction(number, info, context);
    } else if (!(before.sa_flags & SA_SIGINFO) && before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN) {
        before.sa_handler(number);
    } else {
        // Returning repeats the access, which now ends the process.
        signal(number, SIG_DFL);
    }
}

static void install(void) {
    page_size = (size_t)sysconf(_SC_PAGESIZE);
    struct sigaction action = {.sa_sigaction = handle, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    sigemptyset(&action.sa_mask);
    sigaction(SIGBUS, &action, &before);
}

// A lock that another thread held in the parent would never be free in the child.
static void lock_before_fork(void) { pthread_mutex_lock(&lock); }
static void unlock_after_fork(void) { pthread_mutex_unlock(&lock); }

moescope_map *moescope_map_watch(const void *start, size_t length) {
    if (start == NULL || length == 0) {
        return NULL;
    }
    pthread_mutex_lock(&lock);
    if (page_size == 0) {
        install();
        pthread_atfork(lock_before_fork, unlock_after_fork, unlock_after_fork);
    }
    struct moescope_map *map = atomic_load(&maps);
    while (map != NULL && atomic_load(&map->start) != 0) {
        map = map->next;
    }
    bool is_new = map == NULL;
    if (is_new) {
        map = calloc(1, sizeof *map);
    }
    if (map != NULL) {
        atomic_store(&map->damaged, false);
        atomic_store(&map->length, length);
        if (is_new) {
            map->next = atomic_load(&maps);
            atomic_store(&maps, map);
        }
        atomic_store(&map->start, (uintptr_t)start);
    }
    pthread_mutex_unlock(&lock);
    return map;
}

void moescope_map_forget(moescope_map *map) {
    if (map != NULL) {
        atomic_store(&map->start, 0);
    }
}

bool moescope_map_is_damaged(const moescope_map *map) { return map != NULL && atomic_load(&map->damaged); }

size_t moescope_map_faults(void) { return atomic_load(&faults); }

const char *moescope_map_own_library(void) {
    Dl_info info;
    // The program's own name is what it was called by, which need not be a path.
    if (dladdr(&faults, &info) == 0 || info.dli_fname == NULL || strstr(info.dli_fname, ".so") == NULL) {
        return NULL;
    }
    return info.dli_fname;
}
