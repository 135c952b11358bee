/* Link layers: from the record's first byte to the IP header. Oracle: reference/_link.py, where the sources are named.
 *
 * Each function looks at the bytes at `at`, moves `at`, and names the next layer. */
#include "walk.h"

#define LARGEST_8023_LENGTH 1500u
#define MAX_Q922_ADDRESS 4 /* bytes of a frame relay address */

#define ARPHRD_NETLINK 824u

static layer ethertype(uint16_t kind) {
    switch (kind) {
    case ETHERTYPE_IPV4: return LAYER_IPV4;
    case ETHERTYPE_IPV6: return LAYER_IPV6;
    case ETHERTYPE_VLAN:
    case 0x88A8:
    case 0x9100: return LAYER_VLAN;
    case 0x8926:
    case 0x892F:
    case 0xF1C1: return LAYER_TAG_OF_4;
    case 0x8909:
    case 0x893F: return LAYER_TAG_OF_6;
    case 0x88E5: return LAYER_MACSEC;
    case 0x894F: return LAYER_NSH;
    case 0x8847:
    case 0x8848: return LAYER_MPLS;
    case 0x8864: return LAYER_PPPOE;
    case 0x88E7: return LAYER_PBB;
    default: return LAYER_NONE;
    }
}

/* Go on at `at` after a field that is an EtherType or, up to 1,500, the length of an 802.3 frame. */
static layer type_or_length(packet_walk *walk, uint16_t kind) {
    if (kind > LARGEST_8023_LENGTH) return ethertype(kind);
    walk_clip(walk, kind);
    return LAYER_LLC;
}

/* The EtherType `offset` bytes from here, behind addresses and tags that say nothing to us. */
static layer link_type_behind(packet_walk *walk, uint64_t offset) {
    if (!walk_has(walk, offset + 2)) return LAYER_NONE;
    uint16_t kind = walk_u16(walk, offset);
    walk->at += offset + 2;
    return type_or_length(walk, kind);
}

static layer link_ethernet(packet_walk *walk) { return link_type_behind(walk, 12); }

static layer link_vlan(packet_walk *walk) {
    if (!walk_has(walk, 4)) return LAYER_NONE;
    if (walk->vlan == 0) walk->vlan = walk_u16(walk, 0) & 0x0FFF;
    return link_type_behind(walk, 2);
}

/* IEEE 802.1AE: what is authenticated alone can be read. */
static layer link_macsec(packet_walk *walk) {
    if (!walk_has(walk, 6)) return LAYER_NONE;
    uint8_t control = walk_u8(walk, 0), shorter = walk_u8(walk, 1) & 0x3F;
    if (control & 0x8C) return LAYER_NONE; /* another version, encrypted, or changed */
    uint64_t header = control & 0x20 ? 14 : 6;
    walk->at += header;
    uint64_t left = walk->wire_end > walk->at ? walk->wire_end - walk->at : 0;
    if (left < 16) return LAYER_NONE;
    walk_clip(walk, shorter && shorter < left - 16 ? shorter : left - 16);
    return link_type_behind(walk, 0);
}

/* IEEE 802.1ah: a service tag before the customer's frame. */
static layer link_pbb(packet_walk *walk) {
    walk->at += 4;
    return LAYER_ETHERNET;
}

static layer link_snap(packet_walk *walk) {
    if (!walk_has(walk, 5)) return LAYER_NONE;
    uint32_t organisation = walk_u32(walk, 0) >> 8;
    uint16_t kind = walk_u16(walk, 3);
    walk->at += 5;
    return organisation == 0 || organisation == 0xF8 ? ethertype(kind) : LAYER_NONE;
}

static layer link_llc(packet_walk *walk) {
    if (!walk_has(walk, 3)) return LAYER_NONE;
    uint16_t access_points = walk_u16(walk, 0);
    uint8_t control = walk_u8(walk, 2);
    walk->at += 3;
    if (control != 3) return LAYER_NONE;
    if (access_points == 0x0606) return LAYER_IPV4;
    return access_points == 0xAAAA ? link_snap(walk) : LAYER_NONE;
}

/* Pop the label stack. What is inside must be guessed: IP, or a pseudowire's Ethernet. */
static layer link_mpls(packet_walk *walk) {
    bool bottom = false;
    while (!bottom) {
        if (!walk_has(walk, 4)) return LAYER_NONE;
        bottom = walk_u8(walk, 2) & 1;
        walk->at += 4;
    }
    walk_enter(walk, TUNNEL_MPLS);
    if (!walk_has(walk, 1)) return LAYER_NONE;
    uint8_t first = walk_u8(walk, 0), nibble = first >> 4;
    uint64_t left = walk->wire_end - walk->at;
    if (nibble == 4 && walk_has(walk, 20)) {
        uint16_t header = (uint16_t)((first & 15) * 4), total = walk_u16(walk, 2);
        if (header >= 20 && header <= total && total <= left) return LAYER_IPV4;
    }
    if (nibble == 6 && walk_has(walk, 40) && 40u + walk_u16(walk, 4) <= left) return LAYER_IPV6;
    for (uint64_t control_word = nibble == 0 ? 4 : 0;; control_word = 0) {
        if (walk_has(walk, control_word + 14) && ethertype(walk_u16(walk, control_word + 12)) != LAYER_NONE) {
            walk->at += control_word;
            return LAYER_ETHERNET;
        }
        if (control_word == 0) return LAYER_NONE;
    }
}

static layer link_pppoe(packet_walk *walk) {
    if (!walk_has(walk, 6) || walk_u16(walk, 0) != 0x1100) return LAYER_NONE;
    uint16_t length = walk_u16(walk, 4);
    walk->at += 6;
    walk_clip(walk, length);
    walk_enter(walk, TUNNEL_PPPOE);
    return LAYER_PPP;
}

static bool starts_cisco_hdlc(const packet_walk *walk) {
    uint16_t head = walk_u16(walk, 0);
    return head == 0x0F00 || head == 0x8F00; /* unicast, broadcast */
}

/* Address and control, and the protocol's first byte, are optional; or Cisco's framing. */
static layer link_ppp(packet_walk *walk) {
    if (!walk_has(walk, 2)) return LAYER_NONE;
    if (starts_cisco_hdlc(walk)) return LAYER_CISCO_HDLC;
    if (walk_u16(walk, 0) == 0xFF03) walk->at += 2;
    uint16_t protocol;
    if (walk_u8(walk, 0) & 1) {
        protocol = walk_u8(walk, 0);
        walk->at += 1;
    } else if (walk_has(walk, 2)) {
        protocol = walk_u16(walk, 0);
        walk->at += 2;
    } else {
        return LAYER_NONE;
    }
    switch (protocol) {
    case 0x0021: return LAYER_IPV4;
    case 0x0057: return LAYER_IPV6;
    case 0x0281:
    case 0x0283: return LAYER_MPLS;
    default: return LAYER_NONE;
    }
}

static layer link_cisco_hdlc(packet_walk *walk) {
    if (!walk_has(walk, 4)) return LAYER_NONE;
    uint16_t kind = walk_u16(walk, 2);
    walk->at += 4;
    return ethertype(kind);
}

/* Linux cooked capture, after its fields were read: `hardware` is an ARPHRD number, kind 4 is LLC. */
static layer link_cooked(packet_walk *walk, uint64_t header, uint16_t kind, uint16_t hardware) {
    walk->at += header;
    if (hardware == ARPHRD_NETLINK) return LAYER_NONE; /* the kind is a netlink family */
    return kind == 4 ? LAYER_LLC : ethertype(kind);
}

static layer link_family(packet_walk *walk, uint64_t header, uint32_t family) {
    walk->at += header;
    switch (family) {
    case 2: return LAYER_IPV4;
    case 10: /* Linux */
    case 23: /* Windows */
    case 24: /* NetBSD */
    case 26: /* Solaris */
    case 28: /* FreeBSD */
    case 30: /* macOS */ return LAYER_IPV6;
    default: return LAYER_NONE;
    }
}

/* The same where the family lies first, in the byte order of the machine that captured. */
static layer link_family_of_machine(packet_walk *walk, uint64_t header) {
    if (!walk_has(walk, header)) return LAYER_NONE;
    uint32_t family = walk_u32(walk, 0);
    return link_family(walk, header, family < 0x10000 ? family : walk_le32(walk, 0));
}

/* A family; some exporters put Cisco's framing there. */
static layer link_null(packet_walk *walk) {
    return walk_has(walk, 4) && starts_cisco_hdlc(walk) ? LAYER_CISCO_HDLC : link_family_of_machine(walk, 4);
}

/* Q.922 address, then RFC 2427 (control 3, padding, NLPID) or Cisco's framing (an EtherType). */
static layer link_frame_relay(packet_walk *walk) {
    bool last = false;
    for (int i = 0; i < MAX_Q922_ADDRESS && !last; i++) {
        if (!walk_has(walk, 1)) return LAYER_NONE;
        last = walk_u8(walk, 0) & 1;
        walk->at += 1;
    }
    if (!last || !walk_has(walk, 2)) return LAYER_NONE;
    if (walk_u8(walk, 0) != 3) {
        uint16_t kind = walk_u16(walk, 0);
        walk->at += 2;
        return ethertype(kind);
    }
    walk->at += 1;
    if (walk_u8(walk, 0) == 0) walk->at += 1;
    if (!walk_has(walk, 1)) return LAYER_NONE;
    uint8_t protocol = walk_u8(walk, 0);
    walk->at += 1;
    if (protocol == 0x80) return link_snap(walk);
    if (protocol == 0xCC) return LAYER_IPV4;
    return protocol == 0x8E ? LAYER_IPV6 : LAYER_NONE;
}

static layer link_arcnet_linux(packet_walk *walk) {
    if (!walk_has(walk, 6)) return LAYER_NONE;
    uint8_t protocol = walk_u8(walk, 4), split = walk_u8(walk, 5);
    if (protocol == 240) {
        walk->at += 5;
        return LAYER_IPV4;
    }
    walk->at += 8;
    return protocol == 212 && split == 0 ? LAYER_IPV4 : LAYER_NONE;
}

/* Little-endian TLVs after a 4-byte header; attribute 9 is the packet. */
static layer link_nflog(packet_walk *walk) {
    walk->at += 4;
    while (walk_has(walk, 4)) {
        uint16_t length = walk_le16(walk, 0), kind = walk_le16(walk, 2) & 0x7FFF;
        if (length < 4) return LAYER_NONE;
        if (kind == 9) {
            walk_clip(walk, length);
            walk->at += 4;
            return LAYER_IP;
        }
        walk->at += (length + 3u) & ~3u;
    }
    return LAYER_NONE;
}

static layer link_first(packet_walk *walk, uint32_t link_type);

/* Apple's header, in little-endian words: its length, record type (1 is a packet), and the packet's link type. */
static layer link_pktap(packet_walk *walk) {
    if (!walk_has(walk, 12)) return LAYER_NONE;
    uint32_t length = walk_le32(walk, 0), kind = walk_le32(walk, 4), link_type = walk_le32(walk, 8);
    if (length < 12 || kind != 1) return LAYER_NONE;
    walk->at += length;
    return link_first(walk, link_type);
}

/* Per-packet information: its little-endian length, and the packet's link type. */
static layer link_ppi(packet_walk *walk) {
    if (!walk_has(walk, 8)) return LAYER_NONE;
    uint16_t length = walk_le16(walk, 2);
    uint32_t link_type = walk_le32(walk, 4);
    if (length < 8) return LAYER_NONE;
    walk->at += length;
    return link_first(walk, link_type);
}

/* The filter of OpenBSD and its relatives: a header that tells its length, up to a whole word, and the family. */
static layer link_pflog(packet_walk *walk) {
    if (!walk_has(walk, 2)) return LAYER_NONE;
    return link_family(walk, (walk_u8(walk, 0) + 3u) & ~3u, walk_u8(walk, 1));
}

/* Begin behind a byte that says who sent it. */
static layer link_with_direction(packet_walk *walk, layer (*next)(packet_walk *)) {
    walk->at += 1;
    return next(walk);
}

/* Begin a packet of this link type. A PKTAP or PPI inside another is a layer of its own: no recursion. */
static layer link_first(packet_walk *walk, uint32_t link_type) {
    switch (link_type) {
    case 0: return link_null(walk);
    case 1: return link_ethernet(walk);
    case 6: return media_token_ring(walk);
    case 8:
    case 12:
    case 14:
    case 101: return LAYER_IP;
    case 9:
    case 50: return link_ppp(walk);
    case 10: return media_fddi(walk);
    case 11: return LAYER_LLC; /* ATM */
    case 51: return link_pppoe(walk);
    case 104: return link_cisco_hdlc(walk);
    case 105: return media_wireless(walk);
    case 107: return link_frame_relay(walk);
    case 108: return walk_has(walk, 4) ? link_family(walk, 4, walk_u32(walk, 0)) : LAYER_NONE;
    case 109: return link_family_of_machine(walk, 12); /* OpenBSD's IPsec: with an index and flags */
    case 113: return walk_has(walk, 16) ? link_cooked(walk, 16, walk_u16(walk, 14), walk_u16(walk, 2)) : LAYER_NONE;
    case 117: return link_pflog(walk);
    case 119:
    case 163: return media_prism(walk);
    case 123: return media_sunatm(walk);
    case 127: return media_radiotap(walk);
    case 129: return link_arcnet_linux(walk);
    case 192: return LAYER_PPI;
    case 197: return media_erf(walk);
    case 204: return link_with_direction(walk, link_ppp);
    case 205: return link_with_direction(walk, link_cisco_hdlc);
    case 206: return link_with_direction(walk, link_frame_relay);
    case 226: return walk_has(walk, 24) ? link_family(walk, 24, walk_u8(walk, 1)) : LAYER_NONE;
    case 228: return LAYER_IPV4;
    case 229: return LAYER_IPV6;
    case 239: return link_nflog(walk);
    case 258: return LAYER_PKTAP;
    case 276: return walk_has(walk, 20) ? link_cooked(walk, 20, walk_u16(walk, 0), walk_u16(walk, 8)) : LAYER_NONE;
    case 281: /* Broadcom's tag, behind the addresses */
    case 284: return link_type_behind(walk, 16); /* Marvell's, there, too */
    case 282: /* and before them */ walk->at += 4; return LAYER_ETHERNET;
    case 285: return link_type_behind(walk, 20); /* Marvell's with an EtherType */
    default: return LAYER_NONE;
    }
}
