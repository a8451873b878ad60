#ifndef CK_UPCOMING_H
#define CK_UPCOMING_H

#include "blocks.h"

// Weights that a product reads next. They are asked for a few cache lines at a time while what was read before is multiplied.
// Otherwise arithmetic waits while a panel is filled, and memory waits while it is multiplied. What is asked for past the end of
// a row is little; it cannot fault.
typedef struct {
    uintptr_t at, end;  // of the row that is being asked for
    size_t row_bytes;   // from there to the same inputs of the next row
    size_t bytes;       // of each row
    int64_t rows;       // with this one
    int64_t units;      // of CK_UNIT lines to ask for at a time
} ck_upcoming;

enum { CK_LINE_BYTES = 64, CK_UNIT = 2 };

static inline void ck_upcoming_row(ck_upcoming *next, uintptr_t row) {
    next->end = row + next->bytes;
    next->at = row / CK_LINE_BYTES * CK_LINE_BYTES;
}

// The panel of weight rows [m, m + panel_rows) and inputs [k0, k0 + chunk), as far as rows end at m_end and inputs at k, to be asked
// for in as many equal parts as `times`. Past either end there is nothing to ask for.
static inline ck_upcoming ck_upcoming_at(ck_type type, const void *weights, size_t row_bytes, int64_t m, int64_t m_end,
                                         int64_t panel_rows, int64_t k0, int64_t k, int64_t chunk, int64_t times) {
    ck_upcoming next = {.row_bytes = row_bytes};
    if (m >= m_end || k0 >= k) { return next; }
    const size_t block = ck_block_bytes(type);
    const int64_t elements = ck_block_elements(type);
    next.bytes = block * (size_t)((k - k0 < chunk ? k - k0 : chunk) / elements);
    next.rows = m_end - m < panel_rows ? m_end - m : panel_rows;
    ck_upcoming_row(&next, (uintptr_t)weights + row_bytes * (size_t)m + block * (size_t)(k0 / elements));
    const int64_t units = next.rows * (int64_t)((next.bytes + (CK_UNIT + 1) * CK_LINE_BYTES - 2) / (CK_UNIT * CK_LINE_BYTES));
    next.units = (units + times - 1) / times;
    return next;
}

// What follows panel (m, k0) where all `chunk`s of k of `panel_rows` rows are multiplied before the next rows.
static inline ck_upcoming ck_upcoming_panel(ck_type type, const void *weights, size_t row_bytes, int64_t m, int64_t m_end,
                                            int64_t panel_rows, int64_t k0, int64_t k, int64_t chunk, int64_t times) {
    const bool last = k0 + chunk >= k;
    return ck_upcoming_at(type, weights, row_bytes, last ? m + panel_rows : m, m_end, panel_rows, last ? 0 : k0 + chunk, k, chunk,
                          times);
}

// The next part.
static inline __attribute__((always_inline)) void ck_fetch_upcoming(ck_upcoming *next) {
    for (int64_t i = next->units; i > 0; i--) {
        for (int j = 0; j < CK_UNIT; j++) { __builtin_prefetch((const void *)(next->at + CK_LINE_BYTES * (uintptr_t)j)); }
        next->at += CK_UNIT * CK_LINE_BYTES;
        if (next->at >= next->end) {
            if (--next->rows == 0) {
                next->units = 0;
                return;
            }
            ck_upcoming_row(next, next->end - next->bytes + next->row_bytes);
        }
    }
}

#endif
