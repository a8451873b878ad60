// zlib, for corpora in gzip files.
#pragma once
#include <zlib.h>
