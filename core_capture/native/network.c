/* IPv4, IPv6 and its extension headers, the layer-4 headers, and the loop over layers. Oracle: reference/_network.py.
 */
#include "fragments.h"
#include "walk.h"

#define PROTOCOL_IPIP 4u
#define PROTOCOL_IPV6 41u
#define PROTOCOL_FRAGMENT 44u
#define PROTOCOL_GRE 47u
#define PROTOCOL_AH 51u
#define PROTOCOL_ETHERIP 97u
#define PROTOCOL_SCTP 132u
#define PROTOCOL_MPLS 137u

static void ip_begin(packet_walk *walk, uint8_t version, uint64_t addresses_at, size_t address_bytes) {
    const uint8_t *source = walk->buffer + walk->at + addresses_at; /* the caller looked that the header is there */
    walk->ip_depth++;
    walk->version = version;
    memset(walk->source, 0, sizeof walk->source);
    memset(walk->destination, 0, sizeof walk->destination);
    memcpy(walk->source, source, address_bytes);
    memcpy(walk->destination, source + address_bytes, address_bytes);
}

/* Add a fragment to its datagram; go on inside the datagram if that made it whole. */
static layer ip_fragment(packet_walk *walk, uint32_t identification, uint8_t key_protocol, uint32_t offset, bool more) {
    walk->bits |= BIT_FRAGMENT;
    if (walk->is_head) return offset == 0 ? LAYER_TRANSPORT : LAYER_NONE;
    walk->met_fragment = true;
    if (!walk->fragments) return LAYER_NONE;
    return fragments_add(walk->fragments, walk, identification, key_protocol, offset, more) ? LAYER_TRANSPORT
                                                                                            : LAYER_NONE;
}

/* Total length 0 is what an offloading network card leaves: the packet reaches to its end. */
static layer ip_v4(packet_walk *walk) {
    if (walk->ip_depth == MAX_IP_DEPTH || !walk_has(walk, 20)) return LAYER_NONE;
    uint8_t first = walk_u8(walk, 0);
    uint64_t header = (first & 15u) * 4;
    uint16_t total = walk_u16(walk, 2), identification = walk_u16(walk, 4), fragment = walk_u16(walk, 6);
    if (first >> 4 != 4 || header < 20 || !walk_has(walk, header) || (total > 0 && total < header)) return LAYER_NONE;
    if (total) walk_believe(walk, total);
    ip_begin(walk, 4, 12, 4);
    walk->protocol = walk_u8(walk, 9);
    walk->at += header;
    if ((fragment & 0x3FFF) == 0) return LAYER_TRANSPORT;
    return ip_fragment(walk, identification, walk->protocol, (fragment & 0x1FFFu) * 8, fragment & 0x2000);
}

/* Payload length 0 is a jumbogram or offloading: the packet reaches to its end. */
static layer ip_v6(packet_walk *walk) {
    if (walk->ip_depth == MAX_IP_DEPTH || !walk_has(walk, 40) || walk_u8(walk, 0) >> 4 != 6) return LAYER_NONE;
    uint16_t length = walk_u16(walk, 4);
    if (length) walk_believe(walk, 40u + length);
    ip_begin(walk, 6, 8, 16);
    walk->protocol = walk_u8(walk, 6);
    walk->at += 40;
    return LAYER_TRANSPORT;
}

static layer ip_any(packet_walk *walk) {
    if (!walk_has(walk, 1)) return LAYER_NONE;
    switch (walk_u8(walk, 0) >> 4) {
    case 4: return LAYER_IPV4;
    case 6: return LAYER_IPV6;
    default: return LAYER_NONE;
    }
}

/* Next header, then the length beyond 8 bytes in units of 8, or for AH beyond 8 in units of 4. */
static layer ip_skip_extension(packet_walk *walk) {
    if (!walk_has(walk, 2)) return LAYER_NONE;
    uint64_t length = walk->protocol == PROTOCOL_AH ? (walk_u8(walk, 1) + 2u) * 4 : (walk_u8(walk, 1) + 1u) * 8;
    if (!walk_has(walk, length)) return LAYER_NONE;
    walk->protocol = walk_u8(walk, 0);
    walk->at += length;
    return LAYER_TRANSPORT;
}

/* One with offset 0 and no more to come is a whole packet. */
static layer ip_fragment_header(packet_walk *walk) {
    if (!walk_has(walk, 8)) return LAYER_NONE;
    walk->protocol = walk_u8(walk, 0);
    uint16_t fragment = walk_u16(walk, 2);
    uint32_t identification = walk_u32(walk, 4);
    walk->at += 8;
    if ((fragment & 0xFFF9) == 0) return LAYER_TRANSPORT;
    return ip_fragment(walk, identification, 0, fragment & 0xFFF8, fragment & 1);
}

/* Take only the ports from a header whose length is too small to be true. */
static layer transport_bogus(packet_walk *walk, uint64_t header) {
    walk_clip(walk, header);
    walk->bits |= BIT_BAD_LENGTH;
    walk_find(walk, header, walk_u16(walk, 0), walk_u16(walk, 2), 0, 0);
    return LAYER_NONE;
}

static layer transport_tcp(packet_walk *walk) {
    if (!walk_has(walk, 20)) return LAYER_NONE;
    uint64_t header = (uint64_t)(walk_u8(walk, 12) >> 4) * 4;
    if (header < 20) return transport_bogus(walk, 20);
    if (walk->at + header > walk->wire_end && !walk->is_head) walk->bits |= BIT_BAD_LENGTH;
    walk_find(walk, header, walk_u16(walk, 0), walk_u16(walk, 2), walk_u32(walk, 4), walk_u8(walk, 13));
    return LAYER_NONE;
}

/* Length 0 is a jumbogram's. */
static layer transport_udp(packet_walk *walk) {
    if (!walk_has(walk, 8)) return LAYER_NONE;
    uint16_t source = walk_u16(walk, 0), destination = walk_u16(walk, 2), length = walk_u16(walk, 4);
    if (length > 0 && length < 8) return transport_bogus(walk, 8);
    if (length) walk_believe(walk, length);
    uint16_t port = is_tunnel_port(destination) ? destination : source;
    if (!walk_find(walk, 8, source, destination, 0, 0) || !is_tunnel_port(port)) return LAYER_NONE;
    found_packet carrier = walk->found;
    walk->at += 8;
    layer inside = tunnel_over_udp(walk, port);
    if (inside != LAYER_NONE && walk->carrier_count < MAX_IP_DEPTH) walk->carriers[walk->carrier_count++] = carrier;
    return inside;
}

static layer transport_sctp(packet_walk *walk) {
    if (walk_has(walk, 12)) walk_find(walk, 12, walk_u16(walk, 0), walk_u16(walk, 2), 0, 0);
    return LAYER_NONE;
}

/* Skip one extension header, or find the packet's transport and look into it if it is a tunnel. */
static layer transport_any(packet_walk *walk) {
    bool is_v6 = walk->version == 6;
    switch (walk->protocol) {
    case PROTOCOL_TCP: return transport_tcp(walk);
    case PROTOCOL_UDP: return transport_udp(walk);
    case PROTOCOL_SCTP: return transport_sctp(walk);
    case PROTOCOL_AH: return ip_skip_extension(walk);
    case 0:  /* hop-by-hop options */
    case 43: /* routing */
    case 60: /* destination options */
        if (is_v6) return ip_skip_extension(walk);
        break;
    case PROTOCOL_FRAGMENT:
        if (is_v6) return ip_fragment_header(walk);
        break;
    default: break;
    }
    if (!walk_find(walk, 0, 0, 0, 0, 0)) return LAYER_NONE;
    switch (walk->protocol) {
    case PROTOCOL_IPIP: walk_enter(walk, TUNNEL_IPIP); return LAYER_IPV4;
    case PROTOCOL_IPV6: walk_enter(walk, TUNNEL_IPIP); return LAYER_IPV6;
    case PROTOCOL_GRE: return LAYER_GRE; /* its header tells GRE from ERSPAN */
    case PROTOCOL_ETHERIP: walk_enter(walk, TUNNEL_ETHERIP); return LAYER_ETHERIP;
    case PROTOCOL_MPLS: return LAYER_MPLS;
    default: return LAYER_NONE;
    }
}

/* Walk inwards from a layer. It ends: IP headers are counted, and every other layer that leads on moves `at`. */
static void walk_on(packet_walk *walk, layer next) {
    while (next != LAYER_NONE) {
        switch (next) {
        case LAYER_ETHERNET: next = link_ethernet(walk); break;
        case LAYER_VLAN: next = link_vlan(walk); break;
        case LAYER_LLC: next = link_llc(walk); break;
        case LAYER_MPLS: next = link_mpls(walk); break;
        case LAYER_PPPOE: next = link_pppoe(walk); break;
        case LAYER_PPP: next = link_ppp(walk); break;
        case LAYER_PBB: next = link_pbb(walk); break;
        case LAYER_TAG_OF_4: next = link_type_behind(walk, 4); break;
        case LAYER_TAG_OF_6: next = link_type_behind(walk, 6); break;
        case LAYER_MACSEC: next = link_macsec(walk); break;
        case LAYER_NSH: next = tunnel_nsh(walk); break;
        case LAYER_PPI: next = link_ppi(walk); break;
        case LAYER_CISCO_HDLC: next = link_cisco_hdlc(walk); break;
        case LAYER_PKTAP: next = link_pktap(walk); break;
        case LAYER_IP: next = ip_any(walk); break;
        case LAYER_IPV4: next = ip_v4(walk); break;
        case LAYER_IPV6: next = ip_v6(walk); break;
        case LAYER_TRANSPORT: next = transport_any(walk); break;
        case LAYER_GRE: next = tunnel_gre(walk); break;
        case LAYER_ETHERIP: next = tunnel_etherip(walk); break;
        case LAYER_NONE: break;
        }
    }
}

/* Walk the record at data[at], which is whole with this many captured bytes. */
static void walk_record(packet_walk *walk, const uint8_t *data, size_t at, uint32_t captured, uint32_t link_type,
                        fragment_store *fragments) {
    const uint8_t *record = data + at;
    uint32_t original = load_le32(record + 12);
    if (original > KC_MAX_CAPTURED) original = KC_MAX_CAPTURED;
    memset(walk, 0, offsetof(packet_walk, carriers));
    walk->fragments = fragments;
    walk->buffer = data;
    walk->base = at;
    walk->at = (uint64_t)at + KC_RECORD_HEADER;
    walk->end = walk->at + captured;
    walk->wire_end = walk->at + (original > captured ? original : captured);
    walk->time_ns = record_time(record);
    walk->waits_for = NO_DATAGRAM;
    walk_on(walk, link_first(walk, link_type));
}
