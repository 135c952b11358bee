/* The bytes of one side of a TCP stream, in its packets or laid next to each other. */
#include "sides.h"

#define CHUNKS_AHEAD 6u
#define LINES_AHEAD 4u /* of each: heads of HTTP/1 are a few hundred bytes */

static bool find_side(const kc_decoded *decoded, const kc_assembled *from, size_t number, scan_side *out) {
    if (number >= from->side_count) return false;
    kc_side *side = &from->sides[number];
    if ((side->has_place && (side->data_start > from->data_length ||
                             side->data_length > from->data_length - side->data_start)) ||
        side->first_chunk > from->chunk_count || side->chunks > from->chunk_count - side->first_chunk ||
        (side->data_length && !side->chunks)) {
        return false;
    }
    *out = (scan_side){
        .data = side->has_place ? from->data + side->data_start : NULL,
        .length = (size_t)side->data_length,
        .chunk_starts = from->chunk_starts + side->first_chunk,
        .chunk_packets = from->chunk_packets + side->first_chunk,
        .chunk_skips = from->chunk_skips + side->first_chunk,
        .chunks = (size_t)side->chunks,
        .decoded = decoded,
        .assembled = from,
        .row = side,
        .has_gaps = side->gaps > 0,
        .starts_midway = side->starts_midway,
    };
    return true;
}

/* Number of the chunk that holds the byte at `at`; kept for the next look-up. */
static size_t chunk_at(scan_side *side, size_t at) {
    const uint64_t *starts = side->chunk_starts;
    size_t low = side->chunk, high = side->chunks;
    if (low >= high || starts[low] > at) { /* back: no further than where the last look-up ended */
        high = low < high ? low : high;
        low = 0;
    } else { /* on: most look-ups end here, after a step or none */
        size_t step = 1;
        for (; low + step < high && starts[low + step] <= at; step *= 2) low += step;
        if (low + step < high) high = low + step;
    }
    while (high > low + 1) { /* the chunk is one of [low, high) */
        size_t middle = low + (high - low) / 2;
        if (starts[middle] > at) high = middle;
        else low = middle;
    }
    side->chunk = low;
    return low;
}

static uint32_t packet_at(scan_side *side, size_t at) { return side->chunk_packets[chunk_at(side, at)]; }

static size_t chunk_end(const scan_side *side, size_t chunk) {
    return chunk + 1 < side->chunks ? (size_t)side->chunk_starts[chunk + 1] : side->length;
}

static size_t run_at(scan_side *side, size_t at) {
    size_t end = chunk_end(side, chunk_at(side, at));
    return end > at && end <= side->length ? end - at : side->length - at;
}

/* Where the bytes [from, to) lie, which chunk `chunk` holds; NULL if its packet has none there. */
static const uint8_t *bytes_in_chunk(const scan_side *side, size_t chunk, size_t from, size_t to) {
    uint64_t start = side->chunk_starts[chunk];
    if (from < start || to < from) return NULL;
    return part_of_payload(side->decoded, side->chunk_packets[chunk], from - start + side->chunk_skips[chunk], to - from);
}

/* Give a side the next free place in the common array. Only what is copied there is touched: bodies take no memory. */
static bool find_place(scan_side *side) {
    const kc_assembled *from = side->assembled;
    if (!side->row->has_place) {
        uint64_t start = *from->data_used;
        if (start > from->data_length || side->length > from->data_length - start) return false;
        *from->data_used = start + side->length;
        side->row->data_start = start;
        side->row->has_place = 1;
    }
    side->data = from->data + side->row->data_start;
    return true;
}

static const uint8_t *bytes_at(scan_side *side, size_t at, size_t size) {
    if (side->row->is_laid_out) return find_place(side) ? side->data + at : NULL;
    size_t chunk = chunk_at(side, at), end = chunk_end(side, chunk), stop = at + size;
    if (stop <= end) return bytes_in_chunk(side, chunk, at, stop);
    if (!find_place(side)) return NULL;
    for (size_t from = at; from < stop; from = end, chunk++) {
        if (chunk >= side->chunks) return NULL;
        end = chunk_end(side, chunk);
        if (end > stop) end = stop;
        const uint8_t *bytes = bytes_in_chunk(side, chunk, from, end);
        if (!bytes) return NULL;
        memcpy(side->data + from, bytes, end - from);
    }
    return side->data + at;
}

static void ask_chunks_ahead(scan_side *side) {
    if (side->row->is_laid_out) return;
    size_t chunk = side->asked > side->chunk ? side->asked : side->chunk;
    size_t end = side->chunks - side->chunk < CHUNKS_AHEAD ? side->chunks : side->chunk + CHUNKS_AHEAD;
    for (; chunk < end; chunk++) {
        const uint8_t *bytes = part_of_payload(side->decoded, side->chunk_packets[chunk], side->chunk_skips[chunk], 0);
        for (size_t line = 0; bytes && line < LINES_AHEAD; line++) KC_PREFETCH(bytes + line * CACHE_LINE);
    }
    side->asked = chunk;
}

static void ask_first(const scan_side *side) {
    if (!side->length || side->row->is_laid_out) return;
    const uint8_t *bytes = part_of_payload(side->decoded, side->chunk_packets[0], side->chunk_skips[0], 0);
    if (bytes) KC_PREFETCH(bytes);
}

static bool lay_out_side(scan_side *side) {
    if (!side->length) return true;
    if (!find_place(side)) return false;
    if (side->row->is_laid_out) return true;
    for (size_t chunk = 0; chunk < side->chunks; chunk++) {
        size_t start = (size_t)side->chunk_starts[chunk], end = chunk_end(side, chunk);
        const uint8_t *bytes = end > side->length ? NULL : bytes_in_chunk(side, chunk, start, end);
        if (!bytes) return false;
        memcpy(side->data + start, bytes, end - start);
    }
    side->row->is_laid_out = 1;
    return true;
}

kc_status kc_lay_out(const kc_decoded *decoded, const kc_assembled *assembled, size_t first, size_t count) {
    for (size_t number = first; number - first < count; number++) {
        scan_side side;
        if (!find_side(decoded, assembled, number, &side) || !lay_out_side(&side)) return KC_BAD_INPUT;
    }
    return KC_OK;
}
