/* Link layers of other media than Ethernet's: to the LLC or the frame inside. Oracle: reference/_media.py. */
#include "walk.h"

#define AVS_MAGIC 0x80211000u /* its last four bits are the version */

/* IEEE 802.11 data frames that are neither protected nor aggregates: their LLC. */
static layer media_wireless(packet_walk *walk) {
    if (!walk_has(walk, 24)) return LAYER_NONE;
    uint8_t control = walk_u8(walk, 0), flags = walk_u8(walk, 1), subtype = control >> 4;
    if ((control & 0x0F) != 0x08 || (subtype & 4) || (flags & 0x40)) return LAYER_NONE;
    uint64_t header = (flags & 3) == 3 ? 30 : 24;
    if (subtype & 8) {
        if (!walk_has(walk, header + 2) || (walk_u8(walk, header) & 0x80)) return LAYER_NONE;
        header += flags & 0x80 ? 6 : 2;
    }
    walk->at += header;
    return LAYER_LLC;
}

static layer media_radiotap(packet_walk *walk) {
    if (!walk_has(walk, 8)) return LAYER_NONE;
    uint16_t length = walk_le16(walk, 2);
    if (length < 8) return LAYER_NONE;
    walk->at += length;
    return media_wireless(walk);
}

/* A header of AVS, which tells its length, or of 144 bytes of Prism. */
static layer media_prism(packet_walk *walk) {
    if (!walk_has(walk, 8)) return LAYER_NONE;
    uint32_t length = (walk_u32(walk, 0) & 0xFFFFFFF0u) == AVS_MAGIC ? walk_u32(walk, 4) : 144;
    if (length < 8) return LAYER_NONE;
    walk->at += length;
    return media_wireless(walk);
}

/* IEEE 802.5: access and frame control, two addresses, a source route if the source says so. */
static layer media_token_ring(packet_walk *walk) {
    if (!walk_has(walk, 14) || walk_u8(walk, 1) >> 6 != 1) return LAYER_NONE;
    uint64_t header = 14;
    if (walk_u8(walk, 8) & 0x80) {
        uint8_t route = walk_u8(walk, 14) & 0x1F;
        if (route < 2) return LAYER_NONE;
        header += route;
    }
    walk->at += header;
    return LAYER_LLC;
}

/* ANSI X3.139: frame control (asynchronous LLC), two addresses. */
static layer media_fddi(packet_walk *walk) {
    if (!walk_has(walk, 13) || (walk_u8(walk, 0) & 0x70) != 0x50) return LAYER_NONE;
    walk->at += 13;
    return LAYER_LLC;
}

/* Traffic type, path, channel. */
static layer media_sunatm(packet_walk *walk) {
    if (!walk_has(walk, 4) || (walk_u8(walk, 0) & 15) != 2) return LAYER_NONE;
    walk->at += 4;
    return LAYER_LLC;
}

/* Endace's record: extension headers of 8 bytes, each telling whether another one follows, then by type. */
static layer media_erf(packet_walk *walk) {
    if (!walk_has(walk, 16)) return LAYER_NONE;
    uint8_t kind = walk_u8(walk, 8) & 0x7F;
    bool more = walk_u8(walk, 8) & 0x80;
    walk->at += 16;
    while (more) {
        if (!walk_has(walk, 8)) return LAYER_NONE;
        more = walk_u8(walk, 0) & 0x80;
        walk->at += 8;
    }
    switch (kind) {
    case 2:  /* Ethernet */
    case 11: /* with a colour */
    case 16: /* of a coprocessor */ walk->at += 2; return LAYER_ETHERNET;
    case 22: return LAYER_IPV4;
    case 23: return LAYER_IPV6;
    default: return LAYER_NONE;
    }
}
