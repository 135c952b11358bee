/* TCP reassembly: the packets of each flow in time order, the segments of each direction in stream order.
 * Oracle: reference/_streams.py, and _core.py for the order of packets. */
#include "layers.h"
#include "spans.h"

#define MAX_GAP_FILL ((uint64_t)1 << 20)     /* zeros for one gap; more would let one forged number allocate memory */
#define GAP_FILL_BASE ((uint64_t)1 << 16)    /* zeros a direction may hold in all: this, */
#define GAP_FILL_PER_BYTE 64u                /* and so many for each byte captured (96 of 1,500 bytes kept: 15) */
#define MAX_STREAM_BYTES ((uint64_t)1 << 30) /* of one direction, zeros included */

#define FLAG_FIN 0x01u
#define FLAG_SYN 0x02u
#define FLAG_RST 0x04u
#define FLAG_PSH 0x08u

#define NOT_WANTED SIZE_MAX

/* Bytes to copy: `length` of a packet's payload, from `skip` on, to `at` in the direction's data. */
typedef struct {
    uint64_t at;
    uint32_t packet;
    uint32_t skip;
    uint32_t length;
} copy_step;

struct kc_streams {
    uint32_t *order; /* packets of the wanted flows, by flow, then time */
    size_t order_count;
    uint64_t *packet_starts; /* of each wanted flow in `packets` */
    uint32_t *packets;       /* those of `order` in the order wanted */
    size_t wanted_count, packet_count, packet_capacity;
    kc_side *sides;
    size_t side_count, side_capacity;
    copy_step *steps; /* one for each chunk */
    size_t step_count, step_capacity;
    kc_gap *gaps;
    size_t gap_count, gap_capacity;
    uint64_t data_bytes;
    span_list spans;
};

/* One direction while its segments are placed. */
typedef struct {
    uint32_t base; /* sequence number of position 0 */
    bool has_syn;  /* then bytes below position 0 are dropped */
    bool has_fin;
    int64_t last; /* end of the segment before */
    int64_t high; /* highest end so far */
    int64_t fin;  /* where the first FIN says the side ends */
    uint64_t placed;
    kc_side counts;
} side_state;

kc_streams *kc_streams_new(void) { return calloc(1, sizeof(kc_streams)); }

void kc_streams_free(kc_streams *streams) {
    if (!streams) return;
    free(streams->order);
    free(streams->packet_starts);
    free(streams->packets);
    free(streams->sides);
    free(streams->steps);
    free(streams->gaps);
    spans_free(&streams->spans);
    free(streams);
}

/* Find a packet's captured payload; false if its row points outside. */
static bool payload_of(const kc_decoded *decoded, uint32_t packet, const uint8_t **out) {
    const kc_packet *row = &decoded->packets[packet];
    const uint8_t *buffer = decoded->data;
    uint64_t start = row->offset, length = decoded->data_length;
    if (row->bits & BIT_ARENA) {
        size_t low = 0, high = decoded->arena_entries;
        while (low < high) {
            size_t middle = low + (high - low) / 2;
            if (decoded->arena_index[middle].packet < packet) low = middle + 1;
            else high = middle;
        }
        if (low == decoded->arena_entries || decoded->arena_index[low].packet != packet) return false;
        buffer = decoded->arena;
        start = decoded->arena_index[low].offset;
        length = decoded->arena_length;
    }
    start += row->payload_offset;
    if (start > length || row->payload_length > length - start) return false;
    *out = buffer + start;
    return true;
}

/* Find `length` bytes of a packet's payload behind its first `skip`; NULL if they are not there. */
static const uint8_t *part_of_payload(const kc_decoded *decoded, uint32_t packet, uint64_t skip, uint64_t length) {
    const uint8_t *payload;
    if (packet >= decoded->packet_count || !payload_of(decoded, packet, &payload)) return NULL;
    uint64_t all = decoded->packets[packet].payload_length;
    return skip > all || length > all - skip ? NULL : payload + skip;
}

typedef struct {
    uint64_t time_ns;
    uint32_t packet;
} timed_packet;

static int compare_times(const void *left, const void *right) {
    const timed_packet *a = left, *b = right;
    if (a->time_ns != b->time_ns) return a->time_ns < b->time_ns ? -1 : 1;
    return a->packet < b->packet ? -1 : a->packet > b->packet;
}

/* Put a flow's packets, which are in record order, into time order. False without memory. */
static bool sort_by_time(const kc_packet *packets, uint32_t *own, size_t count) {
    size_t i = 1;
    while (i < count && packets[own[i - 1]].time_ns <= packets[own[i]].time_ns) i++;
    if (i >= count) return true;
    timed_packet *timed = malloc(count * sizeof *timed); /* cannot wrap: there are 32-byte packets of that number */
    if (!timed) return false;
    for (i = 0; i < count; i++) timed[i] = (timed_packet){packets[own[i]].time_ns, own[i]};
    qsort(timed, count, sizeof *timed, compare_times);
    for (i = 0; i < count; i++) own[i] = timed[i].packet;
    free(timed);
    return true;
}

/* Unwrap a sequence number around the segment before: one forged number misleads nobody but itself. */
static int64_t unwrap(const side_state *side, uint32_t seq) {
    return side->last + (int32_t)(seq - side->base - (uint32_t)(uint64_t)side->last);
}

/* RFC 9293 §3.8.4: a probe may carry one byte of garbage that was acknowledged before. */
static bool is_keep_alive(const span_list *spans, const side_state *side, const span *piece) {
    if (piece->length != 1 || piece->start != side->high - 1) return false;
    int there = spans_byte(spans, piece->start);
    return there >= 0 && there != piece->bytes[0];
}

/* Place one segment. False without memory. */
static bool place_segment(span_list *spans, side_state *side, const kc_packet *row, uint32_t packet,
                          const uint8_t *payload) {
    span piece = {.bytes = payload, .length = row->payload_length, .packet = packet};
    piece.start = unwrap(side, row->seq + (row->flags & FLAG_SYN ? 1 : 0));
    if (piece.length) side->last = piece.start + piece.length;
    if ((row->flags & FLAG_FIN) && !side->has_fin) {
        side->has_fin = true;
        side->fin = piece.start + piece.length;
    }
    if (side->has_syn && piece.start < 0) {
        if (-piece.start >= piece.length) return true;
        piece.bytes += -piece.start;
        piece.length -= (uint32_t)-piece.start;
        piece.start = 0;
    }
    if (piece.length == 0 || is_keep_alive(spans, side, &piece)) return true;
    span_added added;
    if (!spans_add(spans, piece, &added)) return false;
    int64_t end = piece.start + piece.length, beyond = end - (piece.start > side->high ? piece.start : side->high);
    side->placed += added.new_bytes;
    side->counts.overlaps += added.differing;
    side->counts.retransmissions += added.new_bytes == 0;
    side->counts.out_of_order += added.new_bytes > (beyond > 0 ? (uint64_t)beyond : 0); /* something new below high */
    if (end > side->high) side->high = end;
    return true;
}

/* Does a segment tell anything about the stream? A reset's payload is its cause, not data (RFC 9293 §3.5.2). */
static bool tells(const kc_packet *row, bool has_syn, uint32_t isn) {
    if ((row->flags & FLAG_RST) || ((row->flags & FLAG_SYN) && !(has_syn && row->seq == isn))) return false;
    return row->payload_length > 0 || (row->flags & FLAG_FIN);
}

/* Without a SYN, a first byte that nobody pushed may be a keep-alive's garbage; a lone FIN is no start either. */
static bool may_be_probe(const kc_packet *row) {
    return row->payload_length == 0 || (row->payload_length == 1 && !(row->flags & (FLAG_PSH | FLAG_FIN)));
}

static bool add_gap(kc_streams *streams, side_state *side, uint64_t missing, uint64_t *fill_left) {
    if (!array_reserve((void **)&streams->gaps, &streams->gap_capacity, streams->gap_count, sizeof *streams->gaps))
        return false;
    uint64_t fill = missing, start = side->counts.data_length;
    if (fill > MAX_GAP_FILL) fill = MAX_GAP_FILL;
    if (fill > *fill_left) fill = *fill_left;
    if (fill > MAX_STREAM_BYTES - start) fill = MAX_STREAM_BYTES - start;
    streams->gaps[streams->gap_count++] = (kc_gap){start, start + fill, missing};
    side->counts.gaps++;
    side->counts.data_length += fill;
    *fill_left -= fill;
    return true;
}

/* Join what was placed; zeros, within limits, stand for what is missing. */
static kc_status lay_out(kc_streams *streams, const kc_decoded *decoded, side_state *side) {
    const span_list *spans = &streams->spans;
    uint64_t fill_left = GAP_FILL_BASE + GAP_FILL_PER_BYTE * side->placed;
    span_place place = {0, 0};
    const span *one = spans_at(spans, place);
    int64_t position = side->has_syn || !one ? 0 : one->start;
    for (; one; place = spans_next(spans, place), one = spans_at(spans, place)) {
        if (one->start > position && !add_gap(streams, side, (uint64_t)(one->start - position), &fill_left))
            return KC_NO_MEMORY;
        uint64_t room = MAX_STREAM_BYTES - side->counts.data_length;
        if (room == 0) return KC_OK;
        const uint8_t *payload;
        if (!payload_of(decoded, one->packet, &payload)) return KC_BAD_INPUT;
        if (!array_reserve((void **)&streams->steps, &streams->step_capacity, streams->step_count,
                           sizeof *streams->steps))
            return KC_NO_MEMORY;
        uint32_t length = one->length < room ? one->length : (uint32_t)room;
        streams->steps[streams->step_count++] =
            (copy_step){side->counts.data_length, one->packet, (uint32_t)(one->bytes - payload), length};
        side->counts.chunks++;
        side->counts.data_length += length;
        position = one->start + one->length;
    }
    if (side->counts.chunks && side->has_fin && side->fin > position &&
        !add_gap(streams, side, (uint64_t)(side->fin - position), &fill_left)) {
        return KC_NO_MEMORY;
    }
    return KC_OK;
}

/* Reassemble one direction of the flow whose packets, in time order, are `own`. */
static kc_status plan_side(kc_streams *streams, const kc_decoded *decoded, const kc_flow *flow, const uint32_t *own,
                           size_t count, uint8_t direction) {
    if (!array_reserve((void **)&streams->sides, &streams->side_capacity, streams->side_count, sizeof *streams->sides))
        return KC_NO_MEMORY;
    side_state side = {.base = flow->isn[direction] + 1};
    side.counts.first_chunk = streams->step_count;
    side.counts.first_gap = streams->gap_count;
    for (size_t i = 0; i < count && !side.has_syn; i++) {
        const kc_packet *row = &decoded->packets[own[i]];
        side.has_syn = row->direction == direction && (row->flags & (FLAG_SYN | FLAG_RST)) == FLAG_SYN;
    }
    side.counts.starts_midway = !side.has_syn;
    bool has_base = side.has_syn;
    spans_clear(&streams->spans);
    for (size_t i = 0; i < count; i++) {
        const kc_packet *row = &decoded->packets[own[i]];
        if (row->direction != direction || !tells(row, side.has_syn, flow->isn[direction])) continue;
        if (!has_base) {
            if (may_be_probe(row)) continue;
            side.base = row->seq;
            has_base = true;
        }
        const uint8_t *payload;
        if (!payload_of(decoded, own[i], &payload)) return KC_BAD_INPUT;
        if (!place_segment(&streams->spans, &side, row, own[i], payload)) return KC_NO_MEMORY;
    }
    kc_status status = lay_out(streams, decoded, &side);
    if (status != KC_OK) return status;
    streams->data_bytes += side.counts.data_length;
    streams->sides[streams->side_count++] = side.counts;
    return KC_OK;
}

/* Sort the packets of the wanted flows by flow; `starts` gets, by flow, where they begin (or NOT_WANTED), and `ends`.
 */
static kc_status group_packets(kc_streams *streams, const kc_decoded *decoded, const uint64_t *wanted,
                               size_t wanted_count, size_t *starts, size_t *ends) {
    for (size_t flow = 0; flow < decoded->flow_count; flow++) starts[flow] = NOT_WANTED, ends[flow] = 0;
    for (size_t i = 0; i < wanted_count; i++) {
        if (wanted[i] >= decoded->flow_count) return KC_BAD_INPUT;
        starts[wanted[i]] = 0;
    }
    for (size_t packet = 0; packet < decoded->packet_count; packet++) {
        uint32_t flow = decoded->packets[packet].flow;
        if (flow != KC_NO_FLOW && flow >= decoded->flow_count) return KC_BAD_INPUT;
        if (flow != KC_NO_FLOW && starts[flow] != NOT_WANTED) ends[flow]++;
    }
    size_t total = 0;
    for (size_t flow = 0; flow < decoded->flow_count; flow++) {
        if (starts[flow] == NOT_WANTED) continue;
        starts[flow] = total;
        total += ends[flow];
        ends[flow] = starts[flow];
    }
    streams->order_count = total;
    streams->order = malloc((total + 1) * sizeof *streams->order);
    if (!streams->order) return KC_NO_MEMORY;
    for (size_t packet = 0; packet < decoded->packet_count; packet++) {
        uint32_t flow = decoded->packets[packet].flow;
        if (flow != KC_NO_FLOW && starts[flow] != NOT_WANTED) streams->order[ends[flow]++] = (uint32_t)packet;
    }
    return KC_OK;
}

static kc_status plan_flows(kc_streams *streams, const kc_decoded *decoded, const uint64_t *wanted, size_t wanted_count,
                            const size_t *starts, const size_t *ends) {
    for (size_t i = 0; i < wanted_count; i++) {
        const kc_flow *flow = &decoded->flows[wanted[i]];
        uint32_t *own = streams->order + starts[wanted[i]];
        size_t count = ends[wanted[i]] - starts[wanted[i]];
        if (!sort_by_time(decoded->packets, own, count)) return KC_NO_MEMORY;
        streams->packet_starts[i] = streams->packet_count;
        for (size_t k = 0; k < count; k++) {
            if (!array_reserve((void **)&streams->packets, &streams->packet_capacity, streams->packet_count,
                               sizeof *own))
                return KC_NO_MEMORY;
            streams->packets[streams->packet_count++] = own[k];
        }
        for (uint8_t direction = 0; direction < 2 && flow->transport == PROTOCOL_TCP; direction++) {
            kc_status status = plan_side(streams, decoded, flow, own, count, direction);
            if (status != KC_OK) return status;
        }
    }
    streams->packet_starts[wanted_count] = streams->packet_count;
    return KC_OK;
}

kc_status kc_streams_plan(kc_streams *streams, const kc_decoded *decoded, const uint64_t *wanted, size_t wanted_count) {
    size_t *starts = calloc(decoded->flow_count + 1, sizeof *starts);
    size_t *ends = calloc(decoded->flow_count + 1, sizeof *ends);
    streams->packet_starts = calloc(wanted_count + 1, sizeof *streams->packet_starts);
    streams->wanted_count = wanted_count;
    kc_status status = KC_NO_MEMORY;
    if (starts && ends && streams->packet_starts) {
        status = group_packets(streams, decoded, wanted, wanted_count, starts, ends);
        if (status == KC_OK) status = plan_flows(streams, decoded, wanted, wanted_count, starts, ends);
    }
    free(starts);
    free(ends);
    return status;
}

void kc_streams_counts(const kc_streams *streams, kc_stream_counts *counts) {
    *counts = (kc_stream_counts){
        .packets = streams->packet_count,
        .sides = streams->side_count,
        .chunks = streams->step_count,
        .gaps = streams->gap_count,
        .data_bytes = streams->data_bytes,
    };
}

/* Say where one direction's chunks are, and copy its bytes if some are missing: zeros stand for those. */
static kc_status take_side(const kc_streams *streams, const kc_decoded *decoded, const kc_side *side, uint64_t *chunk_starts,
                           uint32_t *chunk_packets, uint32_t *chunk_skips, uint8_t *out) {
    for (size_t i = side->first_gap; i < side->first_gap + side->gaps; i++) {
        memset(out + streams->gaps[i].start, 0, (size_t)(streams->gaps[i].end - streams->gaps[i].start));
    }
    for (size_t i = side->first_chunk; i < side->first_chunk + side->chunks; i++) {
        const copy_step *step = &streams->steps[i];
        chunk_starts[i] = i == side->first_chunk ? 0 : step->at; /* a gap before the first chunk belongs to it */
        chunk_packets[i] = step->packet;
        chunk_skips[i] = step->skip;
        if (!side->is_laid_out) continue;
        const uint8_t *payload = part_of_payload(decoded, step->packet, step->skip, step->length);
        if (!payload) return KC_BAD_INPUT;
        memcpy(out + step->at, payload, step->length);
    }
    return KC_OK;
}

kc_status kc_streams_take(const kc_streams *streams, const kc_decoded *decoded, uint64_t *packet_starts,
                          uint32_t *packets, kc_side *sides, uint64_t *chunk_starts, uint32_t *chunk_packets,
                          uint32_t *chunk_skips, kc_gap *gaps, uint8_t *data, uint64_t *data_used) {
    memcpy(packet_starts, streams->packet_starts, (streams->wanted_count + 1) * sizeof *packet_starts);
    if (streams->packet_count) memcpy(packets, streams->packets, streams->packet_count * sizeof *packets);
    if (streams->gap_count) memcpy(gaps, streams->gaps, streams->gap_count * sizeof *gaps);
    *data_used = 0;
    for (size_t i = 0; i < streams->side_count; i++) {
        kc_side *side = &sides[i];
        *side = streams->sides[i];
        side->data_start = *data_used;
        side->has_place = side->is_laid_out = side->gaps > 0;
        kc_status status = take_side(streams, decoded, side, chunk_starts, chunk_packets, chunk_skips,
                                     data + side->data_start);
        if (status != KC_OK) return status;
        if (side->is_laid_out) *data_used += side->data_length;
    }
    return KC_OK;
}
