// Faults in files that we have mapped (SIGBUS): a file that was cut short, or a disk that failed, after it was opened.
//
// The part that cannot be read any more reads as zeros from then on, and the map is known as damaged, so that whoever reads it
// ends with an error in place of a signal. Faults anywhere else are left to whoever handled the signal before us.

#ifndef MOESCOPE_CMAPPEDFILES_H
#define MOESCOPE_CMAPPEDFILES_H

#include <stdbool.h>
#include <stddef.h>

/// A map that is watched. Opaque.
typedef struct moescope_map moescope_map;

/// Watches a map from now on; the first call installs the handler. NULL where there is no memory: the map is then not watched.
moescope_map *moescope_map_watch(const void *start, size_t length);

/// Stops watching; to be called before the map is taken away.
void moescope_map_forget(moescope_map *map);

/// Whether a part of the map could not be read.
bool moescope_map_is_damaged(const moescope_map *map);

/// How many parts of maps could not be read since the process began: what is cheap to ask first.
size_t moescope_map_faults(void);

/// The library that the calling code was loaded from, as the linker has its name; NULL where it belongs to the program itself.
const char *moescope_map_own_library(void);

#endif
