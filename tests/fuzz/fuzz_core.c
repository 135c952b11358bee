/* Fuzzes the whole C core: any bytes as records of any link type, decoded, reassembled and gathered.
 *
 * Input: a pcap file (its link type is used), or a byte that chooses a link type and then records. Built by
 * run_core.sh: with clang as a libFuzzer target, else with gcc and driver.h.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The core's allocations, of which the `allocations_left`th fails (0: none does). */
static unsigned allocations_left;

static bool allocation_fails(void) { return allocations_left > 0 && --allocations_left == 0; }
static void *core_malloc(size_t size) { return allocation_fails() ? NULL : malloc(size); }
static void *core_calloc(size_t count, size_t size) { return allocation_fails() ? NULL : calloc(count, size); }
static void *core_realloc(void *old, size_t size) { return allocation_fails() ? NULL : realloc(old, size); }

#define malloc core_malloc
#define calloc core_calloc
#define realloc core_realloc
#include "core.c"
#undef malloc
#undef calloc
#undef realloc

#define PCAP_HEADER 24u
#define MAX_FAILURE 40u /* allocations until one fails: more than most inputs need */

static const uint8_t seed[32] = "a fuzzer wants the same each run";

static void check(bool condition) {
    if (!condition) abort();
}

static void *allocate(size_t count, size_t size) {
    void *memory = malloc(count * size + 1);
    check(memory != NULL);
    return memory;
}

/* Reassemble every flow; whatever is promised about the arrays must hold. */
static void fuzz_streams(const kc_decoded *decoded, bool may_fail) {
    uint64_t *wanted = allocate(decoded->flow_count, sizeof *wanted);
    for (size_t i = 0; i < decoded->flow_count; i++) wanted[i] = decoded->flow_count - 1 - i;
    kc_streams *streams = kc_streams_new();
    kc_status status = streams ? kc_streams_plan(streams, decoded, wanted, decoded->flow_count) : KC_NO_MEMORY;
    if (status != KC_OK) {
        check(status == KC_NO_MEMORY && may_fail);
        kc_streams_free(streams);
        free(wanted);
        return;
    }
    kc_stream_counts counts;
    kc_streams_counts(streams, &counts);
    uint64_t *starts = allocate(decoded->flow_count + 1, sizeof *starts);
    uint32_t *packets = allocate(counts.packets, sizeof *packets);
    kc_side *sides = allocate(counts.sides, sizeof *sides);
    uint64_t *chunk_starts = allocate(counts.chunks, sizeof *chunk_starts);
    uint32_t *chunk_packets = allocate(counts.chunks, sizeof *chunk_packets);
    kc_gap *gaps = allocate(counts.gaps, sizeof *gaps);
    uint8_t *data = allocate(counts.data_bytes, 1);
    check(kc_streams_take(streams, decoded, starts, packets, sides, chunk_starts, chunk_packets, gaps, data) == KC_OK);
    uint64_t end = 0;
    for (size_t i = 0; i < counts.sides; i++) {
        check(sides[i].data_start == end);
        end += sides[i].data_length;
    }
    check(end == counts.data_bytes && starts[decoded->flow_count] == counts.packets);
    kc_streams_free(streams);
    free(wanted), free(starts), free(packets), free(sides), free(chunk_starts), free(chunk_packets), free(gaps),
        free(data);
}

static void fuzz_decode(const uint8_t *data, size_t length, uint32_t link_type, size_t step, unsigned fail_at) {
    bool may_fail = fail_at > 0;
    allocations_left = fail_at;
    kc_decoder *decoder = kc_decoder_new(seed, link_type);
    kc_packet *packets = NULL;
    size_t capacity = 0;
    kc_status status = decoder ? KC_FULL : KC_NO_MEMORY;
    while (status == KC_FULL) { /* rows are given out piece by piece, exactly, so that one too many is seen */
        capacity += step;
        packets = realloc(packets, capacity * sizeof *packets);
        check(packets != NULL);
        status = kc_decode(decoder, data, length, packets, capacity);
    }
    if (status != KC_OK) {
        check(status == KC_NO_MEMORY && may_fail);
        kc_decoder_free(decoder);
        free(packets);
        return;
    }
    kc_counts counts;
    kc_decoder_counts(decoder, &counts);
    kc_flow *flows = allocate(counts.flows, sizeof *flows);
    uint8_t *arena = allocate(counts.arena_bytes, 1);
    kc_arena_entry *arena_index = allocate(counts.arena_entries, sizeof *arena_index);
    kc_decoder_take(decoder, flows, arena, arena_index);
    kc_decoder_free(decoder);
    const kc_decoded decoded = {data,    length,         arena, counts.arena_bytes, arena_index, counts.arena_entries,
                                packets, counts.packets, flows, counts.flows};
    for (size_t i = 0; i < counts.packets; i++) {
        const uint8_t *payload;
        check(payload_of(&decoded, (uint32_t)i, &payload));
        check(packets[i].flow == KC_NO_FLOW || packets[i].flow < counts.flows);
    }
    fuzz_streams(&decoded, may_fail);
    free(packets), free(flows), free(arena), free(arena_index);
}

static void fuzz_records(const uint8_t *data, size_t length) {
    size_t position = 0, count = 0, size = 0, end, converted;
    size_t capacity = length / KC_RECORD_HEADER;
    uint64_t *offsets = allocate(capacity, sizeof *offsets), *order = allocate(capacity, sizeof *order);
    check(kc_offsets(data, length, &position, offsets, capacity, &count) == KC_OK);
    for (size_t i = 0; i < count; i++) order[i] = count - 1 - i;
    check(kc_gather_size(data, length, offsets, count, order, count, &size) == KC_OK && size == position);
    uint8_t *out = allocate(size, 1);
    check(kc_gather(data, length, offsets, count, order, count, out, size) == KC_OK);
    free(out);
    if (count) offsets[0] = length; /* no record: must be refused, not read */
    check(count == 0 || kc_gather_size(data, length, offsets, count, order, count, &size) == KC_BAD_INPUT);
    uint8_t *copy = allocate(length, 1);
    if (length) memcpy(copy, data, length);
    kc_convert(copy, length, length & 1, 1000, &end, &converted);
    check(end <= length);
    free(copy), free(offsets), free(order);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length) {
    static const uint32_t link_types[] = {1,   0,   8,   9,   12,  14,  50,  51,  101, 104, 105, 107,
                                          108, 113, 127, 129, 226, 228, 229, 239, 258, 276, 147};
    uint32_t link_type;
    if (length >= PCAP_HEADER && load_le32(data) == 0xA1B2C3D4u) {
        link_type = load_le32(data + 20);
        data += PCAP_HEADER, length -= PCAP_HEADER;
    } else if (length > 0) {
        link_type = link_types[data[0] % (sizeof link_types / sizeof *link_types)];
        data++, length--;
    } else {
        return 0;
    }
    uint8_t *exact = allocate(length, 1); /* not within a larger buffer: reading one byte too many must be seen */
    if (length) memcpy(exact, data, length);
    uint8_t *tight = length ? realloc(exact, length) : exact;
    check(tight != NULL);
    fuzz_records(tight, length);
    fuzz_decode(tight, length, link_type, length % 7 + 1, 0);
    fuzz_decode(tight, length, link_type, 64, (unsigned)(length % MAX_FAILURE) + 1);
    allocations_left = 0;
    free(tight);
    return 0;
}

#ifdef FUZZ_DRIVER
#include "driver.h"
#endif
