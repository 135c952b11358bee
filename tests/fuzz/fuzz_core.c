/* Fuzzes the whole C core: any bytes as records of any link type, decoded, reassembled, scanned and gathered.
 *
 * Input: a pcap file (its link type is used); "talk" and a conversation (see converse); or a byte that chooses a link
 * type and then records. Built by run_core.sh: with clang as a libFuzzer target, else with gcc and driver.h.
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
#define MAX_SCAN_FAILURE 8u
#define HEAD 16u
#define SCANNERS (sizeof scanners / sizeof *scanners)

static const uint8_t seed[32] = "a fuzzer wants the same each run";

static void check(bool condition) {
    if (!condition) abort();
}

static void *allocate(size_t count, size_t size) {
    void *memory = malloc(count * size + 1);
    check(memory != NULL);
    return memory;
}

/* Whatever kc_heads promises must hold. */
static void fuzz_heads(const kc_decoded *decoded, const kc_assembled *from) {
    uint8_t *heads = allocate(from->count, 2 * HEAD), *lengths = allocate(from->count, 2);
    check(kc_heads(decoded, from, heads, lengths, HEAD) == KC_OK);
    check(kc_heads(decoded, from, heads, lengths, 256) == KC_BAD_INPUT);
    for (size_t i = 0; i < from->count * 2; i++) {
        check(lengths[i] <= HEAD);
        for (size_t at = lengths[i]; at < HEAD; at++) check(heads[i * HEAD + at] == 0);
    }
    free(heads), free(lengths);
}

static void check_message(const kc_message *message, const kc_decoded *decoded, const kc_assembled *from,
                          const kc_scan_counts *counts) {
    check(message->stream < from->count && message->start <= message->end);
    check(message->kind <= KC_EVENT && message->direction <= 1);
    const kc_flow *flow = &decoded->flows[from->wanted[message->stream]];
    check(message->packet < decoded->packet_count && message->last_packet < decoded->packet_count);
    check(&decoded->flows[decoded->packets[message->packet].flow] == flow);
    check(&decoded->flows[decoded->packets[message->last_packet].flow] == flow);
    if (flow->transport == PROTOCOL_TCP) {
        uint32_t side = from->first_side[message->stream] + (message->direction ^ (flow->client ? 1u : 0u));
        check(message->end <= from->sides[side].data_length && message->place == message->packet);
    } else {
        check(message->end <= decoded->packets[message->packet].payload_length);
    }
    for (int i = 0; i < 4; i++) {
        check(message->text[i].at <= counts->text_bytes &&
              message->text[i].length <= counts->text_bytes - message->text[i].at);
    }
}

/* Every message is in one exchange, except what ends none, and exchanges are in order. */
static void check_exchanges(const kc_message *messages, size_t count, const kc_exchange *exchanges, size_t pairs) {
    uint8_t *used = allocate(count, 1);
    memset(used, 0, count);
    const kc_message *before = NULL;
    for (size_t i = 0; i < pairs; i++) {
        const kc_exchange *each = &exchanges[i];
        const uint32_t rows[3] = {each->request, each->response, each->event};
        const kc_message *first = NULL;
        for (uint8_t kind = 0; kind < 3; kind++) {
            if (rows[kind] == KC_NONE) continue;
            check(rows[kind] < count && !used[rows[kind]]++);
            const kc_message *message = &messages[rows[kind]];
            check(message->kind == kind && message->stream == each->stream);
            check(!first || (kind == KC_RESPONSE && !(message->bits & KC_INTERIM) && !(first->bits & KC_ONE_WAY) &&
                             first->key == message->key && by_place(first, message) <= 0));
            if (!first) first = message;
        }
        check(first != NULL);
        check(!before || before->stream != first->stream || by_place(before, first) <= 0);
        before = first;
    }
    for (size_t i = 0; i < count; i++) check(used[i] || (messages[i].bits & KC_INTERIM));
    free(used);
}

/* Run every scanner over every stream; false without memory. */
static bool fuzz_scan(const kc_decoded *decoded, const kc_assembled *from, uint32_t protocol) {
    kc_scan *scan = kc_scan_new();
    if (!scan) return false;
    uint32_t *chosen = allocate(from->count, sizeof *chosen);
    uint8_t *taken = allocate(from->count, 1);
    for (size_t i = 0; i < from->count; i++) chosen[i] = (uint32_t)i;
    kc_status status = kc_scan_streams(scan, protocol, decoded, from, chosen, from->count, taken);
    if (status == KC_OK) {
        kc_scan_counts counts;
        kc_scan_count(scan, &counts);
        kc_message *messages = allocate(counts.messages, sizeof *messages);
        kc_exchange *exchanges = allocate(counts.exchanges, sizeof *exchanges);
        uint8_t *text = allocate(counts.text_bytes, 1);
        kc_scan_take(scan, messages, exchanges, text);
        size_t at = 0;
        for (size_t i = 0; i < from->count; i++) {
            size_t start = at;
            for (; at < counts.messages && messages[at].stream == i; at++) {
                check_message(&messages[at], decoded, from, &counts);
            }
            check(taken[i] == (at > start));
        }
        check(at == counts.messages);
        check_exchanges(messages, counts.messages, exchanges, counts.exchanges);
        free(messages), free(exchanges), free(text);
    }
    check(status == KC_OK || status == KC_NO_MEMORY);
    kc_scan_free(scan);
    free(chosen), free(taken);
    return status == KC_OK;
}

/* Reassemble every flow, and scan what that gives; whatever is promised about the arrays must hold. */
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
    uint32_t *chunk_skips = allocate(counts.chunks, sizeof *chunk_skips);
    kc_gap *gaps = allocate(counts.gaps, sizeof *gaps);
    uint8_t *data = allocate(counts.data_bytes, 1);
    uint64_t data_used;
    check(kc_streams_take(streams, decoded, starts, packets, sides, chunk_starts, chunk_packets, chunk_skips, gaps,
                          data, &data_used) == KC_OK);
    uint64_t all = 0, used = 0;
    for (size_t i = 0; i < counts.sides; i++) {
        all += sides[i].data_length;
        if (sides[i].has_place) check(sides[i].data_start == used), used += sides[i].data_length;
    }
    check(all == counts.data_bytes && used == data_used && starts[decoded->flow_count] == counts.packets);
    kc_streams_free(streams);
    uint32_t *first_side = allocate(decoded->flow_count, sizeof *first_side), next_side = 0;
    for (size_t i = 0; i < decoded->flow_count; i++) {
        first_side[i] = next_side;
        if (decoded->flows[wanted[i]].transport == PROTOCOL_TCP) next_side += 2;
    }
    const kc_assembled assembled = {wanted,       decoded->flow_count, starts,        packets,       counts.packets,
                                    first_side,   sides,               counts.sides,  chunk_starts,  chunk_packets,
                                    chunk_skips,  counts.chunks,       data,          counts.data_bytes, &data_used};
    fuzz_heads(decoded, &assembled);
    for (uint32_t protocol = 0; protocol < SCANNERS; protocol++) {
        allocations_left = may_fail ? (unsigned)(counts.data_bytes % MAX_SCAN_FAILURE) + 1 : 0;
        check(fuzz_scan(decoded, &assembled, protocol) || may_fail);
    }
    check(kc_lay_out(decoded, &assembled, 0, counts.sides) == KC_OK);
    for (size_t i = 0; i < counts.sides; i++) check(sides[i].is_laid_out || !sides[i].data_length);
    check(data_used <= counts.data_bytes); /* every side has one place, at most */
    check(kc_lay_out(decoded, &assembled, counts.sides, 1) == KC_BAD_INPUT);
    free(first_side);
    free(wanted), free(starts), free(packets), free(sides), free(chunk_starts), free(chunk_packets), free(chunk_skips),
        free(gaps),
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

#define TALK "talk"
#define TURN 0xFE /* in no text, and rare in binary protocols */
#define MAX_PIECE 1400u
#define RAW_IP 101u
#define IP_HEADER 20u
#define TCP_HEADER 20u
#define UDP_HEADER 8u

static void store_be16(uint8_t *at, uint16_t value) { at[0] = (uint8_t)(value >> 8), at[1] = (uint8_t)value; }

/* Write a record of raw IP whose payload is `piece`, from one of two ends; returns where it ends. */
static size_t put_packet(uint8_t *out, uint8_t transport, bool is_back, uint32_t sequence, const uint8_t *piece,
                         size_t length) {
    uint32_t header = transport == PROTOCOL_TCP ? TCP_HEADER : transport == PROTOCOL_UDP ? UDP_HEADER : 0;
    uint32_t size = (uint32_t)(IP_HEADER + header + length);
    memset(out, 0, KC_RECORD_HEADER + IP_HEADER + header);
    store_le32(out + 8, size), store_le32(out + 12, size);
    uint8_t *ip = out + KC_RECORD_HEADER, *next = ip + IP_HEADER;
    ip[0] = 0x45, ip[2] = (uint8_t)(size >> 8), ip[3] = (uint8_t)size, ip[8] = 64, ip[9] = transport;
    ip[12] = ip[16] = 10, ip[is_back ? 15 : 19] = 1;
    uint16_t port = transport == PROTOCOL_UDP ? DNS_PORT : transport == PROTOCOL_TCP ? MEMCACHED_PORT : 0;
    if (header) store_be16(next + (is_back ? 0 : 2), port), next[is_back ? 2 : 0] = 0x80; /* others take any port */
    if (transport == PROTOCOL_TCP) {
        for (int i = 0; i < 4; i++) next[4 + i] = (uint8_t)(sequence >> (24 - 8 * i));
        next[12] = TCP_HEADER << 2;
        next[13] = sequence ? 0x18 : is_back ? 0x12 : 0x02; /* PSH ACK, SYN ACK, SYN */
    }
    if (transport == PROTOCOL_UDP) next[4] = (uint8_t)((length + header) >> 8), next[5] = (uint8_t)(length + header);
    memcpy(next + header, piece, length);
    return KC_RECORD_HEADER + size;
}

/* Let two ends talk: a byte chooses the transport, then come pieces, each by a packet of its own; TURN changes the
 * direction. */
static void converse(const uint8_t *data, size_t length) {
    static const uint8_t transports[] = {PROTOCOL_TCP, PROTOCOL_UDP, 1, 58};
    if (length == 0) return;
    uint8_t transport = transports[data[0] % sizeof transports];
    uint8_t *records = allocate(length + 1, KC_RECORD_HEADER + IP_HEADER + TCP_HEADER + 1);
    size_t end = 0;
    uint32_t sequence[2] = {0, 0};
    if (transport == PROTOCOL_TCP) {
        for (int side = 0; side < 2; side++) end += put_packet(records + end, transport, side, sequence[side]++, data, 0);
    }
    bool is_back = false;
    for (size_t at = 1; at < length;) {
        const uint8_t *turn = memchr(data + at, TURN, length - at);
        size_t size = turn ? (size_t)(turn - data) - at : length - at;
        if (size > MAX_PIECE) size = MAX_PIECE, turn = NULL;
        if (size) end += put_packet(records + end, transport, is_back, sequence[is_back], data + at, size);
        sequence[is_back] += (uint32_t)size;
        at += size + (turn ? 1 : 0);
        if (turn) is_back = !is_back;
    }
    uint8_t *tight = realloc(records, end + 1);
    check(tight != NULL);
    fuzz_decode(tight, end, RAW_IP, 64, 0);
    fuzz_decode(tight, end, RAW_IP, 64, (unsigned)(length % MAX_FAILURE) + 1);
    allocations_left = 0;
    free(tight);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length) {
    static const uint32_t link_types[] = {1,   0,   8,   9,   12,  14,  50,  51,  101, 104, 105, 107,
                                          108, 113, 127, 129, 226, 228, 229, 239, 258, 276, 147};
    uint32_t link_type;
    if (length >= strlen(TALK) && memcmp(data, TALK, strlen(TALK)) == 0) {
        converse(data + strlen(TALK), length - strlen(TALK));
        return 0;
    }
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
