/* GRE and its relatives, EtherIP, and tunnels over UDP. Oracle: reference/_tunnels.py, where the sources are named. */
#include "walk.h"

#define GRE_CHECKSUM 0x8000u
#define GRE_ROUTING 0x4000u
#define GRE_KEY 0x2000u
#define GRE_SEQUENCE 0x1000u
#define GRE_ACKNOWLEDGE 0x0080u

#define BRIDGED_ETHERNET 0x6558u
#define GRE_PPP 0x880Bu
#define ERSPAN_II 0x88BEu
#define ERSPAN_III 0x22EBu
#define GRE_EOIP 0x6400u
#define GRE_FRAME_RELAY 0x6559u
#define GRE_WCCP 0x883Eu

static layer tunnel_erspan_ii(packet_walk *walk) {
    if (!walk_has(walk, 8) || walk_u8(walk, 0) >> 4 != 1) return LAYER_NONE;
    walk->at += 8;
    walk_enter(walk, TUNNEL_ERSPAN);
    return LAYER_ETHERNET;
}

static layer tunnel_erspan_iii(packet_walk *walk) {
    if (!walk_has(walk, 12) || walk_u8(walk, 0) >> 4 != 2) return LAYER_NONE;
    uint16_t last = walk_u16(walk, 10);
    walk->at += last & 1 ? 20 : 12; /* bit O: a platform's own subheader */
    walk_enter(walk, TUNNEL_ERSPAN);
    switch (last >> 10 & 31) {
    case 0: return LAYER_ETHERNET;
    case 2: return LAYER_IP;
    default: return LAYER_NONE;
    }
}

/* RFC 8300: base header, as many words as it says, then what its last byte names. */
static layer tunnel_nsh(packet_walk *walk) {
    if (!walk_has(walk, 8) || walk_u8(walk, 0) >> 6) return LAYER_NONE;
    uint64_t header = (walk_u16(walk, 0) & 63u) * 4u;
    uint8_t inside = walk_u8(walk, 3);
    if (header < 8 || !walk_has(walk, header)) return LAYER_NONE;
    walk->at += header;
    switch (inside) {
    case 1: return LAYER_IPV4;
    case 2: return LAYER_IPV6;
    case 3: return LAYER_ETHERNET;
    case 4: return LAYER_NSH;
    case 5: return LAYER_MPLS;
    default: return LAYER_NONE;
    }
}

/* MikroTik's Ethernet over IP: in place of a key, the frame's length and the tunnel. */
static layer tunnel_eoip(packet_walk *walk) {
    uint16_t length = walk_u16(walk, 4);
    walk->at += 8;
    walk_clip(walk, length);
    walk_enter(walk, TUNNEL_GRE);
    return LAYER_ETHERNET;
}

static layer tunnel_gre(packet_walk *walk) {
    if (!walk_has(walk, 4)) return LAYER_NONE;
    uint16_t flags = walk_u16(walk, 0), kind = walk_u16(walk, 2);
    unsigned version = flags & 7;
    if (version > 1 || (flags & GRE_ROUTING)) return LAYER_NONE;
    uint64_t header = 4;
    if (flags & (version == 0 ? GRE_CHECKSUM : GRE_ACKNOWLEDGE)) header += 4;
    if (flags & GRE_KEY) header += 4;
    if (flags & GRE_SEQUENCE) header += 4;
    if (!walk_has(walk, header)) return LAYER_NONE;
    if (flags == (GRE_KEY | 1) && kind == GRE_EOIP) return tunnel_eoip(walk);
    walk->at += header;
    if (version == 1) { /* PPTP's */
        walk_enter(walk, TUNNEL_GRE);
        return kind == GRE_PPP && (flags & GRE_SEQUENCE) ? LAYER_PPP : LAYER_NONE;
    }
    if (kind == ERSPAN_II) {
        if (flags & GRE_SEQUENCE) return tunnel_erspan_ii(walk);
        walk_enter(walk, TUNNEL_ERSPAN); /* type I has no header */
        return LAYER_ETHERNET;
    }
    if (kind == ERSPAN_III) return tunnel_erspan_iii(walk);
    walk_enter(walk, TUNNEL_GRE);
    switch (kind) {
    case BRIDGED_ETHERNET: return LAYER_ETHERNET;
    case GRE_PPP: return LAYER_PPP;
    case GRE_FRAME_RELAY: return link_frame_relay(walk);
    case GRE_WCCP: /* version 2 puts four bytes before the packet */
        if (walk_u8(walk, 0) >> 4 != 4) walk->at += 4;
        return LAYER_IPV4;
    default: return ethertype(kind);
    }
}

static layer tunnel_etherip(packet_walk *walk) {
    if (!walk_has(walk, 2) || walk_u16(walk, 0) != 0x3000) return LAYER_NONE;
    walk->at += 2;
    return LAYER_ETHERNET;
}

static layer tunnel_vxlan(packet_walk *walk, bool names_inside) {
    if (!walk_has(walk, 8) || !(walk_u8(walk, 0) & 8) || walk_u8(walk, 7)) return LAYER_NONE;
    uint8_t inside = names_inside && (walk_u8(walk, 0) & 4) ? walk_u8(walk, 3) : 3;
    walk->at += 8;
    walk_enter(walk, TUNNEL_VXLAN);
    switch (inside) {
    case 1: return LAYER_IPV4;
    case 2: return LAYER_IPV6;
    case 3: return LAYER_ETHERNET;
    case 4: return LAYER_NSH;
    case 5: return LAYER_MPLS;
    default: return LAYER_NONE;
    }
}

static layer tunnel_geneve(packet_walk *walk) {
    if (!walk_has(walk, 8) || walk_u8(walk, 0) >> 6 || walk_u8(walk, 7)) return LAYER_NONE;
    uint64_t header = 8 + (walk_u8(walk, 0) & 63u) * 4;
    uint16_t kind = walk_u16(walk, 2);
    if (!walk_has(walk, header)) return LAYER_NONE;
    walk->at += header;
    walk_enter(walk, TUNNEL_GENEVE);
    return kind == BRIDGED_ETHERNET ? LAYER_ETHERNET : ethertype(kind);
}

/* Is an IP packet here that fits into what is left? */
static bool starts_ip(const packet_walk *walk) {
    uint64_t left = walk->wire_end > walk->at ? walk->wire_end - walk->at : 0;
    uint16_t total = walk_u16(walk, 2);
    switch (walk_u8(walk, 0) >> 4) {
    case 4: return walk_has(walk, 20) && (walk_u8(walk, 0) & 15) >= 5 && total >= 20 && total <= left;
    case 6: return walk_has(walk, 40) && 40u + walk_u16(walk, 4) <= left;
    default: return false;
    }
}

/* Authentication and origin may come before the IPv6 packet. */
static layer tunnel_teredo(packet_walk *walk) {
    if (walk_has(walk, 4) && walk_u16(walk, 0) == 1) walk->at += 13u + walk_u8(walk, 2) + walk_u8(walk, 3);
    if (walk_has(walk, 8) && walk_u16(walk, 0) == 0) walk->at += 8;
    if (walk_u8(walk, 0) >> 4 != 6 || !starts_ip(walk)) return LAYER_NONE;
    walk_enter(walk, TUNNEL_TEREDO);
    return LAYER_IPV6;
}

/* RFC 6830: data have 8 bytes before them; of control messages (port 4342) type 8 holds another packet. */
static layer tunnel_lisp(packet_walk *walk, bool is_control) {
    if (!walk_has(walk, 8) || (is_control && walk_u8(walk, 0) >> 4 != 8)) return LAYER_NONE;
    walk->at += is_control ? 4 : 8;
    if (!starts_ip(walk)) return LAYER_NONE;
    walk_enter(walk, TUNNEL_LISP);
    return LAYER_IP;
}

static layer tunnel_gtp(packet_walk *walk) {
    if (!walk_has(walk, 8) || walk_u8(walk, 0) >> 4 != 3 || walk_u8(walk, 1) != 255) return LAYER_NONE;
    uint8_t flags = walk_u8(walk, 0);
    walk_clip(walk, 8u + walk_u16(walk, 2));
    walk->at += 8;
    if (flags & 7) {
        if (!walk_has(walk, 4)) return LAYER_NONE;
        uint8_t extension = walk_u8(walk, 3);
        walk->at += 4;
        while (extension) {
            uint64_t length = walk_u8(walk, 0) * 4u;
            if (length == 0 || !walk_has(walk, length)) return LAYER_NONE;
            extension = walk_u8(walk, length - 1);
            walk->at += length;
        }
    }
    walk_enter(walk, TUNNEL_GTP);
    return LAYER_IP;
}

static layer tunnel_l2tp(packet_walk *walk) {
    if (!walk_has(walk, 6)) return LAYER_NONE;
    uint16_t flags = walk_u16(walk, 0);
    if ((flags & 0x800F) != 2) return LAYER_NONE;
    uint64_t header = 6;
    if (flags & 0x4000) header += 2;
    if (flags & 0x0800) header += 4;
    if (flags & 0x0200) { /* an offset field, and as many bytes of padding */
        if (!walk_has(walk, header + 2)) return LAYER_NONE;
        header += 2u + walk_u16(walk, header);
    }
    walk->at += header;
    walk_enter(walk, TUNNEL_L2TP);
    return LAYER_PPP;
}

static inline bool is_tunnel_port(uint16_t port) {
    switch (port) {
    case 1701:
    case 2152:
    case 3544:
    case 4341:
    case 4342:
    case 4789:
    case 4790:
    case 6081:
    case 8472: return true;
    default: return false;
    }
}

/* Open what this UDP port may carry. A port proves nothing, so each looks whether its header is sane. */
static layer tunnel_over_udp(packet_walk *walk, uint16_t port) {
    switch (port) {
    case 1701: return tunnel_l2tp(walk);
    case 2152: return tunnel_gtp(walk);
    case 3544: return tunnel_teredo(walk);
    case 4341: return tunnel_lisp(walk, false);
    case 4342: return tunnel_lisp(walk, true);
    case 4789:
    case 8472: return tunnel_vxlan(walk, false); /* 8472: Linux before IANA's number */
    case 4790: return tunnel_vxlan(walk, true);
    case 6081: return tunnel_geneve(walk);
    default: return LAYER_NONE;
    }
}
