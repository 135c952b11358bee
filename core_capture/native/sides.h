/* One side of a TCP stream as scanners read it: its bytes stay in the packets, and are laid next to each other only where
 * somebody must read them so. Most of a capture is bodies, at which no summary looks. */
#ifndef KUBESHARK_SIDES_H
#define KUBESHARK_SIDES_H

#include "layers.h"

typedef struct {
    uint8_t *data; /* where it has a place in the common array; what is not laid out is not set */
    size_t length;
    const uint64_t *chunk_starts; /* packet of the bytes from chunk_starts[i] on is chunk_packets[i] */
    const uint32_t *chunk_packets;
    const uint32_t *chunk_skips;
    size_t chunks;
    size_t chunk; /* where the last look-up ended */
    size_t asked; /* first bytes of the chunks before it are on their way to the cache */
    const kc_decoded *decoded;
    const kc_assembled *assembled;
    kc_side *row;
    bool has_gaps;
    bool starts_midway;
} scan_side;

/* Look a side up by its number; false if the arrays contradict each other. */
static bool find_side(const kc_decoded *decoded, const kc_assembled *from, size_t number, scan_side *out);

/* The packet that first carried the byte at `at`; scanners mostly ask in order: a step or none. */
static uint32_t packet_at(scan_side *side, size_t at);

/* How many bytes from `at` on one packet carried; at < length must hold. */
static size_t run_at(scan_side *side, size_t at);

/* The `size` bytes from `at` on, which must be in the side: in their packet if it carried all of them, else copied.
 * NULL if the arrays contradict each other. */
static const uint8_t *bytes_at(scan_side *side, size_t at, size_t size);

/* Ask for the first bytes of the next packets from where the last look-up ended on: most messages begin with one, and
 * waiting for memory, message by message, took more than reading them. */
static void ask_chunks_ahead(scan_side *side);

/* Ask for a side's first bytes. */
static void ask_first(const scan_side *side);

/* Copy all bytes to `data`. False if the arrays contradict each other. */
static bool lay_out_side(scan_side *side);

#endif
