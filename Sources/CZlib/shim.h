// zlib, for corpora in gzip files.
#pragma once
#if __has_include(<zlib.h>)
#include <zlib.h>
#else
#error "zlib.h was not found; on Debian: apt-get install zlib1g-dev"
#endif
