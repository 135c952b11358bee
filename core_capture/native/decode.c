/* Records to packet rows and flows.
 *
 * Packets go through in batches: first the lengths are walked (each needs the one before it), then headers are read,
 * then flows are looked up; every step starts the loads of the next, so that waiting for memory overlaps.
 */
#include "flows.h"
#include "fragments.h"

#define BATCH 16u /* fills the wait for memory; 64 was no faster and leaves the first-level cache */

struct kc_decoder {
    flow_table flows;
    uint32_t link_type;
    size_t packets;
    size_t position;
    fragment_store *fragments; /* from the first packet on that met a fragment */
    size_t next_entry;         /* of its entries */
    packet_walk walk;          /* of the slow path, one packet after the other */
};

#define LINKTYPE_ETHERNET 1u

#define TCP_FIN 0x01u
#define TCP_SYN 0x02u
#define TCP_RST 0x04u
#define TCP_ACK 0x10u

/* _columns.FlowBit */
#define FLOW_CARRIER 1u
#define FLOW_FRAGMENTS 2u
#define FLOW_SYN_SEEN 4u
#define FLOW_SYN_ACK_SEEN 8u
#define FLOW_FIN_A 16u /* times 2 for b */
#define FLOW_RST_A 64u /* times 2 for b */
#define FLOW_ENDED (FLOW_FIN_A * 3 | FLOW_RST_A * 3)

/* Only while the table grows, taken back by kc_decoder_take: */
#define IS_CARRIER 0x80u /* in a key's ip_version: a carrier is another flow than the 5-tuple it shares */
#define ISN_KNOWN 1u     /* in a row's `reserved`, shifted by the direction */

/* Compare two addresses that lie one behind the other, as memcmp does, which would cost a call for each packet. */
static inline int address_order(const uint8_t *addresses, size_t address_bytes) {
    for (size_t at = 0; at < address_bytes; at += 4) {
        uint32_t source = load_be32(addresses + at), destination = load_be32(addresses + address_bytes + at);
        if (source != destination) return source > destination ? 1 : -1;
    }
    return 0;
}

/* Put both ends of a packet in canonical order. `addresses` are source, destination, each of address_bytes. */
static inline void make_key(layers *out, const uint8_t *addresses, size_t address_bytes, uint16_t source_port,
                            uint16_t destination_port, uint8_t transport, uint8_t version) {
    int order = address_order(addresses, address_bytes);
    bool from_b = order > 0 || (order == 0 && source_port > destination_port);
    memset(&out->key, 0, sizeof out->key);
    memcpy(out->key.field.a, addresses + (from_b ? address_bytes : 0), address_bytes);
    memcpy(out->key.field.b, addresses + (from_b ? 0 : address_bytes), address_bytes);
    out->key.field.port_a = from_b ? destination_port : source_port;
    out->key.field.port_b = from_b ? source_port : destination_port;
    out->key.field.transport = transport;
    out->key.field.ip_version = version;
    out->direction = from_b;
}

/* The common packet: Ethernet, at most one VLAN tag, IP without options or extensions, whole, TCP or UDP, no tunnel
 * port. Everything else, and everything odd, is refused and takes the slow path. Hand-checked instead of a cursor:
 * `left` is what remains at `at`, and each block starts by comparing it with all that the block reads. */
static inline bool fast_layers(const uint8_t *record, uint32_t captured, layers *out) {
    const uint8_t *at = record + KC_RECORD_HEADER;
    uint32_t left = captured;
    if (left < 14 + 4 + 20) return false;
    uint16_t type = load_be16(at + 12), vlan = 0;
    at += 14, left -= 14;
    if (type == ETHERTYPE_VLAN) {
        vlan = load_be16(at) & 0x0FFF;
        type = load_be16(at + 2);
        at += 4, left -= 4;
    }
    uint32_t inner; /* bytes of transport header and payload */
    const uint8_t *addresses;
    uint8_t transport;
    if (KC_LIKELY(type == ETHERTYPE_IPV4)) { /* left >= 20 here */
        uint32_t total = load_be16(at + 2);
        if (at[0] != 0x45 || total > left || total < 20 || (load_be16(at + 6) & 0x3FFF)) return false;
        transport = at[9];
        addresses = at + 12;
        inner = total - 20;
        at += 20;
    } else if (type == ETHERTYPE_IPV6) {
        if (left < 40) return false;
        inner = load_be16(at + 4);
        if (at[0] >> 4 != 6 || inner > left - 40 || inner == 0) return false;
        transport = at[6];
        addresses = at + 8;
        at += 40;
    } else {
        return false;
    }
    uint32_t header;
    if (KC_LIKELY(transport == PROTOCOL_TCP)) {
        if (inner < 20) return false;
        header = (uint32_t)(at[12] >> 4) * 4;
        if (header < 20 || header > inner) return false;
        out->seq = load_be32(at + 4);
        out->flags = at[13];
    } else if (transport == PROTOCOL_UDP) {
        if (inner < 8 || load_be16(at + 4) != inner) return false;
        if (is_tunnel_port(load_be16(at)) || is_tunnel_port(load_be16(at + 2))) return false;
        header = 8;
        out->seq = 0;
        out->flags = 0;
    } else {
        return false;
    }
    if (KC_LIKELY(type == ETHERTYPE_IPV4)) {
        make_key(out, addresses, 4, load_be16(at), load_be16(at + 2), transport, 4);
    } else {
        make_key(out, addresses, 16, load_be16(at), load_be16(at + 2), transport, 6);
    }
    out->transport_offset = (uint16_t)(at - record);
    out->payload_offset = (uint16_t)(out->transport_offset + header);
    out->payload_length = out->wire_length = inner - header;
    out->vlan = vlan;
    out->bits = 0;
    out->tunnel = 0;
    return true;
}

/* Server ports at or above 1024: SERVER_PORTS of _columns.py, which a test compares. */
static bool is_server_port(uint16_t port) {
    static const uint16_t listed[] = {
        1433, 1521, 1812, 1813, 1883, 2049,  3128,  3260,  3306,  3389,  3868,  4222, 4789,
        5060, 5353, 5355, 5432, 5671, 5672,  6081,  6379,  8000,  8080,  8081,  8443, 8883,
        8888, 9000, 9042, 9092, 9200, 11211, 11300, 15672, 27017, 50051, 61613,
    };
    if (port < 1024) return true;
    for (size_t i = 0; i < sizeof listed / sizeof *listed; i++) {
        if (listed[i] == port) return true;
    }
    return false;
}

/* Which end opened the flow, as far as one packet tells (definition 3). */
static uint8_t first_guess(const layers *one) {
    bool a = is_server_port(one->key.field.port_a), b = is_server_port(one->key.field.port_b);
    if (a != b) return a;
    return one->direction;
}

/* Append a row for this packet and name it in its slot. NULL without memory. */
static kc_flow *flow_open(flow_table *table, flow_slot *slot, const layers *one, uint32_t carrier, uint32_t packet,
                          uint64_t time_ns) {
    if (table->count == table->capacity) {
        if (!flows_grow(table)) return NULL;
        slot = flow_find(table, &one->key, one->hash);
    }
    kc_flow *row = &table->rows[table->count];
    memset(row, 0, sizeof *row);
    memcpy(row, &one->key, sizeof one->key);
    row->client = first_guess(one);
    row->tunnel = one->tunnel;
    row->vlan = one->vlan;
    row->bits = one->key.field.ip_version & IS_CARRIER ? FLOW_CARRIER : 0;
    row->carrier = carrier;
    row->first_packet = packet;
    row->first_ns = row->last_ns = time_ns;
    *slot = (flow_slot){(uint32_t)table->count++, (uint32_t)(one->hash >> 32)};
    return row;
}

#define LATE_NS 1000000000u /* by which a SYN may be written behind what followed it (definition 17) */

/* Was there payload, FIN or RST? */
static bool is_under_way(const kc_flow *row) { return row->bytes[0] || row->bytes[1] || (row->bits & FLOW_ENDED); }

/* Is this TCP packet the SYN of the next flow of the same 5-tuple (definition 1)? */
static bool ends_before(const kc_flow *row, const layers *one, uint64_t time_ns) {
    if ((one->flags & (TCP_SYN | TCP_ACK | TCP_RST)) != TCP_SYN) return false;
    if (!(row->reserved & (ISN_KNOWN << one->direction))) {
        bool is_late = time_ns < row->first_ns && row->first_ns - time_ns <= LATE_NS;
        return is_under_way(row) && !is_late;
    }
    return row->isn[one->direction] != one->seq;
}

/* What SYN, FIN and RST tell (definitions 1 and 3). */
static void flow_flags(kc_flow *row, const layers *one) {
    uint8_t side = one->direction;
    if ((one->flags & (TCP_SYN | TCP_RST)) == TCP_SYN) {
        if (!(row->reserved & (ISN_KNOWN << side)) || !is_under_way(row)) {
            row->isn[side] = one->seq;
            row->reserved |= ISN_KNOWN << side;
        }
        if (one->flags & TCP_ACK) {
            if (!(row->bits & (FLOW_SYN_SEEN | FLOW_SYN_ACK_SEEN))) row->client = !side;
            row->bits |= FLOW_SYN_ACK_SEEN;
        } else {
            if (!(row->bits & FLOW_SYN_SEEN)) row->client = side;
            row->bits |= FLOW_SYN_SEEN;
        }
    }
    if (one->flags & TCP_FIN) row->bits |= (uint16_t)(FLOW_FIN_A << side);
    if (one->flags & TCP_RST) row->bits |= (uint16_t)(FLOW_RST_A << side);
}

/* Count one packet in its flow and return the row's number; KC_NO_FLOW without memory. */
static inline uint32_t flow_count(flow_table *table, const layers *one, uint32_t carrier, uint32_t packet,
                                  uint64_t time_ns) {
    flow_slot *slot = flow_find(table, &one->key, one->hash);
    bool has_tcp_event = one->key.field.transport == PROTOCOL_TCP && (one->flags & (TCP_SYN | TCP_FIN | TCP_RST));
    kc_flow *row = slot->row == KC_NO_FLOW ? NULL : &table->rows[slot->row];
    if (KC_UNLIKELY(!row || (has_tcp_event && ends_before(row, one, time_ns)))) {
        row = flow_open(table, slot, one, carrier, packet, time_ns);
        if (!row) return KC_NO_FLOW;
    }
    if (KC_UNLIKELY(has_tcp_event)) flow_flags(row, one);
    if (one->bits & BIT_FRAGMENT) row->bits |= FLOW_FRAGMENTS;
    row->packets[one->direction]++;
    row->bytes[one->direction] += one->wire_length;
    if (time_ns < row->first_ns) row->first_ns = time_ns;
    if (time_ns > row->last_ns) row->last_ns = time_ns;
    return (uint32_t)(row - table->rows);
}

/* Turn what a walk found into a key and counts. A shadow is a fragment that is not its datagram's representative. */
static void layers_of(layers *out, const flow_table *table, const found_packet *found, bool is_shadow,
                      bool is_carrier) {
    size_t address_bytes = found->version == 4 ? 4 : 16;
    uint8_t addresses[32];
    memcpy(addresses, found->source, address_bytes);
    memcpy(addresses + address_bytes, found->destination, address_bytes);
    make_key(out, addresses, address_bytes, found->ports[0], found->ports[1], found->transport,
             (uint8_t)(found->version | (is_carrier ? IS_CARRIER : 0)));
    out->hash = flow_hash(table, &out->key);
    out->seq = found->seq;
    out->payload_length = found->payload_length;
    out->wire_length = is_shadow ? 0 : found->wire_length;
    out->payload_offset = found->payload_offset;
    out->transport_offset = found->transport_offset;
    out->vlan = found->vlan;
    out->flags = found->flags;
    out->bits = is_shadow ? (uint8_t)(found->bits | BIT_FRAGMENT) : found->bits;
    out->tunnel = found->tunnel;
}

/* Count a packet of the slow path for its flow and for its carriers. KC_NO_FLOW without memory. */
static uint32_t slow_count(flow_table *table, layers *one, const found_packet *found, const found_packet *carriers,
                           bool is_shadow, uint32_t packet, uint64_t time_ns) {
    uint32_t carrier = KC_NO_FLOW;
    for (uint32_t i = 0; i < found->carrier_count; i++) {
        layers_of(one, table, &carriers[i], is_shadow, true);
        carrier = flow_count(table, one, carrier, packet, time_ns);
        if (carrier == KC_NO_FLOW) return KC_NO_FLOW;
    }
    layers_of(one, table, found, is_shadow, false);
    return flow_count(table, one, carrier, packet, time_ns);
}

kc_decoder *kc_decoder_new(const uint8_t *seed, uint32_t link_type) {
    uint64_t words[FLOW_SEED_WORDS];
    memcpy(words, seed, sizeof words);
    kc_decoder *decoder = calloc(1, sizeof *decoder);
    if (!decoder) return NULL;
    decoder->link_type = link_type;
    if (!flows_start(&decoder->flows, words)) {
        kc_decoder_free(decoder);
        return NULL;
    }
    return decoder;
}

void kc_decoder_free(kc_decoder *decoder) {
    if (!decoder) return;
    flows_end(&decoder->flows);
    fragments_free(decoder->fragments);
    free(decoder);
}

/* The part of a row that every packet has, decodable or not. */
static inline void start_row(kc_packet *row, const uint8_t *record, size_t at) {
    memset(row, 0, sizeof *row);
    row->time_ns = record_time(record);
    row->offset = (uint32_t)at;
    row->flow = KC_NO_FLOW;
}

static inline void fill_row(kc_packet *row, const layers *one, uint32_t flow) {
    row->flow = flow;
    row->seq = one->seq;
    row->payload_length = one->payload_length;
    row->payload_offset = one->payload_offset;
    row->transport_offset = one->transport_offset;
    row->flags = one->flags;
    row->direction = one->direction;
    row->transport = one->key.field.transport;
    row->bits = one->bits;
}

/* Walk from the first packet that met a fragment to the last, to learn what every packet is that meets one. */
static kc_status settle_fragments(kc_decoder *decoder, const uint8_t *data, size_t length, size_t at) {
    fragment_store *store = fragments_new(data, decoder->flows.seed);
    if (!store) return KC_NO_MEMORY;
    decoder->fragments = store;
    uint32_t captured, packet = (uint32_t)decoder->packets;
    layers ignored;
    for (; record_at(data, length, at, &captured); at += KC_RECORD_HEADER + captured, packet++) {
        if (decoder->link_type == LINKTYPE_ETHERNET && fast_layers(data + at, captured, &ignored)) continue;
        walk_record(&decoder->walk, data, at, captured, decoder->link_type, store);
        if (decoder->walk.met_fragment) fragments_keep(store, packet, &decoder->walk);
        if (store->no_memory) return KC_NO_MEMORY;
    }
    return fragments_settle(store) ? KC_OK : KC_NO_MEMORY;
}

/* Decode one record the careful way. */
static kc_status decode_slowly(kc_decoder *decoder, const uint8_t *data, size_t length, size_t at, kc_packet *row) {
    packet_walk *walk = &decoder->walk;
    uint32_t packet = (uint32_t)decoder->packets;
    const found_packet *found = &walk->found, *carriers = walk->carriers;
    bool is_shadow = false;
    uint32_t captured;
    if (!record_at(data, length, at, &captured)) return KC_BAD_INPUT; /* it was whole a moment ago */
    walk_record(walk, data, at, captured, decoder->link_type, NULL);
    if (walk->met_fragment) {
        if (!decoder->fragments) {
            kc_status status = settle_fragments(decoder, data, length, at);
            if (status != KC_OK) return status;
        }
        const fragment_store *store = decoder->fragments;
        if (decoder->next_entry == store->entry_count || store->entries[decoder->next_entry].packet != packet) {
            return KC_BAD_INPUT; /* the data changed between two looks at it */
        }
        const fragment_entry *entry = &store->entries[decoder->next_entry++];
        found = &entry->found;
        carriers = found->carrier_count ? store->carriers + entry->first_carrier : NULL;
        is_shadow = entry->is_shadow;
    }
    if (found->version == 0) return KC_OK;
    layers one;
    uint32_t flow = slow_count(&decoder->flows, &one, found, carriers, is_shadow, packet, row->time_ns);
    if (flow == KC_NO_FLOW) return KC_NO_MEMORY;
    fill_row(row, &one, flow);
    return KC_OK;
}

kc_status kc_decode(kc_decoder *decoder, const uint8_t *data, size_t length, kc_packet *out, size_t capacity) {
    size_t starts[BATCH];
    layers batch[BATCH];
    bool is_fast[BATCH];
    size_t asked = decoder->position;
    for (;;) {
        size_t at = decoder->position, room = capacity > decoder->packets ? capacity - decoder->packets : 0, count = 0;
        uint32_t captured;
        while (count < BATCH && record_at(data, length, at, &captured)) {
            if (count == room) break;
            asked = prefetch_ahead(data, length, at, asked);
            starts[count] = at;
            is_fast[count] = decoder->link_type == LINKTYPE_ETHERNET && fast_layers(data + at, captured, &batch[count]);
            count++;
            at += KC_RECORD_HEADER + captured;
        }
        if (count == 0) return record_at(data, length, at, &captured) ? KC_FULL : KC_OK;
        for (size_t i = 0; i < count; i++) {
            if (KC_UNLIKELY(!is_fast[i])) continue;
            batch[i].hash = flow_hash(&decoder->flows, &batch[i].key);
            KC_PREFETCH(&decoder->flows.slots[batch[i].hash & decoder->flows.mask]);
        }
        for (size_t i = 0; i < count; i++) {
            if (KC_UNLIKELY(!is_fast[i])) continue;
            uint32_t row = decoder->flows.slots[batch[i].hash & decoder->flows.mask].row;
            if (row != KC_NO_FLOW) KC_PREFETCH(&decoder->flows.rows[row]);
        }
        for (size_t i = 0; i < count; i++) {
            kc_packet *row = &out[decoder->packets];
            start_row(row, data + starts[i], starts[i]);
            if (KC_LIKELY(is_fast[i])) {
                uint32_t flow =
                    flow_count(&decoder->flows, &batch[i], KC_NO_FLOW, (uint32_t)decoder->packets, row->time_ns);
                if (flow == KC_NO_FLOW) return KC_NO_MEMORY;
                fill_row(row, &batch[i], flow);
            } else {
                kc_status status = decode_slowly(decoder, data, length, starts[i], row);
                if (status != KC_OK) return status;
            }
            decoder->packets++;
        }
        decoder->position = at;
    }
}

void kc_decoder_counts(const kc_decoder *decoder, kc_counts *counts) {
    const fragment_store *store = decoder->fragments;
    *counts = (kc_counts){
        .packets = decoder->packets,
        .flows = decoder->flows.count,
        .arena_bytes = store ? store->arena_count : 0,
        .arena_entries = store ? store->arena_entries : 0,
        .end = decoder->position,
    };
}

void kc_decoder_take(const kc_decoder *decoder, kc_flow *flows, uint8_t *arena, kc_arena_entry *arena_index) {
    const fragment_store *store = decoder->fragments;
    for (size_t i = 0; i < decoder->flows.count; i++) {
        flows[i] = decoder->flows.rows[i];
        flows[i].ip_version &= (uint8_t)~IS_CARRIER;
        flows[i].reserved = 0;
    }
    if (!store || !store->arena_entries) return;
    memcpy(arena, store->arena, store->arena_count);
    memcpy(arena_index, store->arena_index, store->arena_entries * sizeof *arena_index);
}
