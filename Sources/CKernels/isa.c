#include "CKernels.h"

ck_isa ck_isa_best(void) { return CK_SCALAR; }
