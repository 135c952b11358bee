/* What the store's readers ask for again and again: number columns of an index, and records in the order of time. */
#include "core.h"

#define PLANE_TILE 256u /* rows decoded at once: their numbers stay in the first-level cache while planes are added */

#define UNPLANE(TYPE)                                                                                                  \
    static void unplane_##TYPE(const uint8_t *planes, size_t rows, size_t columns, bool delta, TYPE *out) {            \
        for (size_t column = 0; column < columns; column++) {                                                          \
            const uint8_t *first = planes + column * sizeof(TYPE) * rows;                                              \
            TYPE sum = 0;                                                                                              \
            for (size_t start = 0; start < rows; start += PLANE_TILE) {                                                \
                TYPE tile[PLANE_TILE];                                                                                 \
                size_t count = rows - start < PLANE_TILE ? rows - start : PLANE_TILE;                                  \
                for (size_t i = 0; i < count; i++) tile[i] = first[start + i];                                         \
                for (size_t byte = 1; byte < sizeof(TYPE); byte++) {                                                   \
                    const uint8_t *plane = first + byte * rows + start;                                                \
                    for (size_t i = 0; i < count; i++) tile[i] |= (TYPE)((TYPE)plane[i] << (8 * byte));                \
                }                                                                                                      \
                if (delta)                                                                                             \
                    for (size_t i = 0; i < count; i++) tile[i] = sum = (TYPE)(sum + tile[i]);                          \
                for (size_t i = 0; i < count; i++) out[(start + i) * columns + column] = tile[i];                      \
            }                                                                                                          \
        }                                                                                                              \
    }

UNPLANE(uint8_t)
UNPLANE(uint16_t)
UNPLANE(uint32_t)
UNPLANE(uint64_t)

kc_status kc_unplane(const uint8_t *planes, size_t length, size_t rows, size_t columns, size_t width, int delta,
                     void *out) {
    if (!columns || rows > SIZE_MAX / 8 / columns || length != rows * columns * width) return KC_BAD_INPUT;
    switch (width) {
    case 1: unplane_uint8_t(planes, rows, columns, delta != 0, out); return KC_OK;
    case 2: unplane_uint16_t(planes, rows, columns, delta != 0, out); return KC_OK;
    case 4: unplane_uint32_t(planes, rows, columns, delta != 0, out); return KC_OK;
    case 8: unplane_uint64_t(planes, rows, columns, delta != 0, out); return KC_OK;
    default: return KC_BAD_INPUT;
    }
}

size_t kc_runs(const uint8_t *chosen, const uint64_t *lengths, size_t count, uint64_t start, uint64_t *starts,
               uint64_t *ends) {
    size_t runs = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t end = start + lengths[i];
        if (chosen[i] && lengths[i]) {
            if (runs && ends[runs - 1] == start) {
                ends[runs - 1] = end;
            } else {
                starts[runs] = start;
                ends[runs++] = end;
            }
        }
        start = end;
    }
    return runs;
}

kc_status kc_may_hold(const uint8_t *filters, size_t length, const uint64_t *ends, size_t count, uint64_t key,
                      unsigned probes, uint8_t *answers) {
    uint64_t start = 0, step = key >> 32 | 1;
    for (size_t i = 0; i < count; i++) {
        if (ends[i] <= start || ends[i] > length || ((ends[i] - start) & (ends[i] - start - 1))) return KC_BAD_INPUT;
        uint64_t mask = (ends[i] - start) * 8 - 1, at = key;
        answers[i] = 1;
        for (unsigned probe = 0; probe < probes && answers[i]; probe++, at += step)
            answers[i] = (filters[start + ((at & mask) >> 3)] & 0x80 >> (at & 7)) != 0;
        start = ends[i];
    }
    return KC_OK;
}

/* Whole records one behind the other: where and when. KC_BAD_INPUT if anything else lies between or behind them. */
static kc_status timed_records(const kc_piece *piece, kc_timed *rows, size_t capacity, size_t *count) {
    size_t at = 0, n = *count, asked = 0;
    uint32_t captured;
    while (at < piece->length) {
        asked = prefetch_ahead(piece->data, piece->length, at, asked);
        if (!record_at(piece->data, piece->length, at, &captured)) return KC_BAD_INPUT;
        if (n == capacity) return KC_FULL;
        rows[n] = (kc_timed){record_time(piece->data + at), piece->data + at, (uint32_t)n, KC_RECORD_HEADER + captured};
        at += rows[n++].size;
    }
    *count = n;
    return KC_OK;
}

#define DIGIT_BITS 11u /* 2,048 counters a digit: the times of a segment, 40 bits with their ties, take four passes */
#define RADIX (1u << DIGIT_BITS)
#define MAX_DIGITS 8u /* of 80 bits: 64 of a time, 16 of a tie */

typedef struct {
    uint64_t least;     /* earliest time */
    unsigned tie_bits;  /* of the largest tie */
    unsigned digits;    /* of time and tie, the tie in the lowest bits */
    const uint16_t *ties;
} sort_keys;

/* A digit of (time - least) << tie_bits | tie. */
static inline size_t digit_of(const sort_keys *keys, const kc_timed *row, unsigned digit) {
    uint64_t time = row->time_ns - keys->least;
    unsigned shift = digit * DIGIT_BITS;
    if (shift >= keys->tie_bits) return (size_t)(time >> (shift - keys->tie_bits)) & (RADIX - 1);
    uint64_t low = time << keys->tie_bits | keys->ties[row->index]; /* the bits that fall off lie above this digit */
    return (size_t)(low >> shift) & (RADIX - 1);
}

/* Sort by time, then tie, then place, `rows` and `scratch` by turns; returns where the result lies. */
static const kc_timed *sorted_by_time(kc_timed *rows, kc_timed *scratch, size_t count, const uint16_t *ties) {
    uint64_t least = UINT64_MAX, most = 0;
    uint16_t last_tie = 0;
    bool ascends = true;
    for (size_t i = 0; i < count; i++) {
        uint64_t time = rows[i].time_ns;
        if (i && (rows[i - 1].time_ns > time || (rows[i - 1].time_ns == time && ties && ties[i - 1] > ties[i])))
            ascends = false;
        if (time < least) least = time;
        if (time > most) most = time;
        if (ties && ties[i] > last_tie) last_tie = ties[i];
    }
    if (ascends) return rows;
    sort_keys keys = {least, 0, 0, ties};
    while (last_tie >> keys.tie_bits) keys.tie_bits++;
    while (keys.digits < MAX_DIGITS) {
        unsigned shift = keys.digits * DIGIT_BITS; /* of the first digit that is not counted yet */
        if (shift >= keys.tie_bits && (shift - keys.tie_bits >= 64 || !((most - least) >> (shift - keys.tie_bits)))) break;
        keys.digits++;
    }
    for (unsigned digit = 0; digit < keys.digits; digit++) {
        size_t starts[RADIX] = {0};
        for (size_t i = 0; i < count; i++) starts[digit_of(&keys, &rows[i], digit)]++;
        size_t sum = 0;
        for (size_t value = 0; value < RADIX; value++) {
            size_t here = starts[value];
            starts[value] = sum;
            sum += here;
        }
        for (size_t i = 0; i < count; i++) scratch[starts[digit_of(&keys, &rows[i], digit)]++] = rows[i];
        kc_timed *sorted = scratch;
        scratch = rows;
        rows = sorted;
    }
    return rows;
}

kc_status kc_by_time(const kc_piece *pieces, size_t piece_count, const uint16_t *ties, size_t tie_count, kc_timed *rows,
                     size_t capacity, uint8_t *out, uint64_t *offsets, uint64_t *times, size_t *count) {
    size_t n = 0, written = 0;
    for (size_t i = 0; i < piece_count; i++) {
        kc_status status = timed_records(&pieces[i], rows, capacity / 2, &n);
        if (status != KC_OK) return status;
    }
    if (n > UINT32_MAX || (ties && tie_count != n)) return KC_BAD_INPUT;
    const kc_timed *sorted = sorted_by_time(rows, rows + capacity / 2, n, ties);
    for (size_t i = 0; i < n; i++) {
        if (n - i > GATHER_AHEAD) { /* most records fill two cache lines */
            KC_PREFETCH(sorted[i + GATHER_AHEAD].record);
            KC_PREFETCH(sorted[i + GATHER_AHEAD].record + CACHE_LINE);
        }
        memcpy(out + written, sorted[i].record, sorted[i].size); /* all sizes sum to the pieces' lengths */
        offsets[i] = written;
        times[i] = sorted[i].time_ns;
        written += sorted[i].size;
    }
    *count = n;
    return KC_OK;
}
