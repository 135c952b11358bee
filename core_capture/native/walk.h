/* One packet while it is walked inwards, and what was found in it so far. Oracle: reference/_walk.py.
 *
 * The walk is the one checked cursor of the slow path: every read compares with `end` first and gives 0 outside, so no
 * header can be read beyond its layer; walk_has says whether it is there. Positions are 64-bit and never more than some
 * 32-bit lengths beyond a record of at most KC_MAX_CAPTURED bytes, so sums cannot wrap. `at` may lie beyond `end`.
 */
#ifndef KUBESHARK_WALK_H
#define KUBESHARK_WALK_H

#include "layers.h"

#define MAX_IP_DEPTH 8u /* IP headers in one packet; real tunnels nest two or three deep */
#define NO_DATAGRAM 0xFFFFFFFFu
#define MAX_COMPLETED 8u   /* datagrams one packet completes, nested: each is up to 64 KiB more to look at */
#define MAX_OFFSET 0xFFFFu /* PACKET holds the offsets of layer 4 and its payload in 16 bits */

/* What lies at `at`. */
typedef enum {
    LAYER_NONE, /* the walk stops */
    LAYER_ETHERNET,
    LAYER_VLAN,
    LAYER_LLC,
    LAYER_MPLS,
    LAYER_PPPOE,
    LAYER_PPP,
    LAYER_PBB,
    LAYER_TAG_OF_4, /* so many bytes, then an EtherType */
    LAYER_TAG_OF_6,
    LAYER_MACSEC,
    LAYER_NSH,
    LAYER_PPI,
    LAYER_CISCO_HDLC,
    LAYER_PKTAP,
    LAYER_IP, /* IPv4 or IPv6, by its first four bits */
    LAYER_IPV4,
    LAYER_IPV6,
    LAYER_TRANSPORT, /* the header whose number is `protocol` */
    LAYER_GRE,
    LAYER_ETHERIP
} layer;

/* One readable IP packet with a readable layer-4 header. */
typedef struct {
    uint8_t source[16];
    uint8_t destination[16];
    uint16_t ports[2]; /* source, destination */
    uint16_t transport_offset;
    uint16_t payload_offset;
    uint32_t payload_length; /* captured */
    uint32_t wire_length;    /* of the payload */
    uint32_t seq;
    uint32_t arena_at; /* with BIT_ARENA: where the datagram lies that offsets count from, and its length */
    uint32_t arena_length;
    uint32_t carrier_count; /* how many of the walk's carriers enclose it */
    uint16_t vlan;
    uint8_t version; /* 0: nothing was found */
    uint8_t transport;
    uint8_t flags;
    uint8_t bits;
    uint8_t tunnel;
} found_packet;

typedef struct fragment_store fragment_store;

typedef struct {
    uint32_t number;
    uint32_t find_count; /* of the walk when it entered the datagram: it represents it if it found more */
} completed_datagram;

typedef struct {
    fragment_store *fragments; /* where fragments go; NULL: the walk stops at the first one and sets met_fragment */
    const uint8_t *buffer;
    uint64_t base; /* offsets in PACKET count from here */
    uint64_t at;
    uint64_t end;      /* of this layer's captured bytes */
    uint64_t wire_end; /* and where they ended on the wire */
    uint64_t time_ns;
    uint8_t source[16];
    uint8_t destination[16];
    uint16_t vlan;
    uint8_t version;
    uint8_t protocol;
    uint8_t bits;
    uint8_t tunnel;
    uint8_t ip_depth;
    bool is_head; /* inside the first fragment of a datagram that never became whole */
    bool met_fragment;
    uint32_t waits_for; /* number of the unfinished datagram that the walk ended in, or NO_DATAGRAM */
    uint32_t arena_at;  /* with BIT_ARENA: where the buffer lies, and its length */
    uint32_t arena_length;
    uint32_t find_count;
    uint32_t carrier_count;
    uint32_t completed_count;
    found_packet found;
    completed_datagram completed[MAX_COMPLETED];
    found_packet carriers[MAX_IP_DEPTH]; /* enclosing UDP packets, outermost first; one for each IP header at most */
} packet_walk;

static inline bool walk_has(const packet_walk *walk, uint64_t count) { return walk->at + count <= walk->end; }

static inline uint8_t walk_u8(const packet_walk *walk, uint64_t offset) {
    return walk_has(walk, offset + 1) ? walk->buffer[walk->at + offset] : 0;
}

static inline uint16_t walk_u16(const packet_walk *walk, uint64_t offset) {
    return walk_has(walk, offset + 2) ? load_be16(walk->buffer + walk->at + offset) : 0;
}

static inline uint32_t walk_u32(const packet_walk *walk, uint64_t offset) {
    return walk_has(walk, offset + 4) ? load_be32(walk->buffer + walk->at + offset) : 0;
}

static inline uint32_t walk_le32(const packet_walk *walk, uint64_t offset) {
    return walk_has(walk, offset + 4) ? load_le32(walk->buffer + walk->at + offset) : 0;
}

static inline uint16_t walk_le16(const packet_walk *walk, uint64_t offset) {
    uint16_t value = walk_u16(walk, offset);
    return (uint16_t)((value << 8) | (value >> 8));
}

/* End the layer `length` bytes after `at`; false, and unchanged, where the wire ended before that. */
static inline bool walk_clip(packet_walk *walk, uint64_t length) {
    uint64_t claimed = walk->at + length;
    if (claimed > walk->wire_end) return false;
    walk->wire_end = claimed;
    if (claimed < walk->end) walk->end = claimed;
    return true;
}

/* Clip to the length an IP or UDP header claims; one that is longer than the packet is a contradiction. */
static inline void walk_believe(packet_walk *walk, uint64_t length) {
    if (!walk_clip(walk, length) && !walk->is_head) walk->bits |= BIT_BAD_LENGTH;
}

static inline void walk_enter(packet_walk *walk, uint8_t tunnel) {
    if (walk->tunnel == TUNNEL_NONE) walk->tunnel = tunnel;
}

/* Take the layer-4 header at `at` for what the packet is; false if its offsets do not fit. `at <= end` must hold. */
static bool walk_find(packet_walk *walk, uint64_t header, uint16_t source_port, uint16_t destination_port, uint32_t seq,
                      uint8_t flags) {
    uint64_t claimed = walk->at + header, payload = claimed < walk->end ? claimed : walk->end;
    if (payload - walk->base > MAX_OFFSET) return false;
    uint8_t bits = walk->bits;
    if (walk->end < walk->wire_end || walk->is_head) bits |= BIT_CUT;
    if (walk->tunnel != TUNNEL_NONE) bits |= BIT_TUNNELLED;
    found_packet *found = &walk->found;
    memcpy(found->source, walk->source, sizeof found->source);
    memcpy(found->destination, walk->destination, sizeof found->destination);
    found->ports[0] = source_port;
    found->ports[1] = destination_port;
    found->transport_offset = (uint16_t)(walk->at - walk->base);
    found->payload_offset = (uint16_t)(payload - walk->base);
    found->payload_length = (uint32_t)(walk->end - payload);
    found->wire_length = claimed < walk->wire_end ? (uint32_t)(walk->wire_end - claimed) : 0;
    found->seq = seq;
    found->arena_at = walk->arena_at;
    found->arena_length = walk->arena_length;
    found->carrier_count = walk->carrier_count;
    found->vlan = walk->vlan;
    found->version = walk->version;
    found->transport = walk->protocol;
    found->flags = flags;
    found->bits = bits;
    found->tunnel = walk->tunnel;
    walk->find_count++;
    return true;
}

#endif
