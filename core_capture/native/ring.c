/* Copies packets out of a ring of TPACKET_V3 blocks, as records of _records.py. The fields lie where <linux/if_packet.h>
 * has them; they are named here, so that the parser builds, and is fuzzed, anywhere. The kernel writes a block and then
 * hands it over by its status; that is believed, but no length in it is. */
#include "core.h"

#if defined(__linux__)
#include <linux/if_packet.h>
#endif

enum { /* struct tpacket_block_desc */
    BLOCK_STATUS = 8,
    BLOCK_PACKETS = 12,
    BLOCK_FIRST = 16,
    BLOCK_LENGTH = 20,
    BLOCK_HEADER = 48
};
enum { /* struct tpacket3_hdr, and the struct sockaddr_ll behind it */
    PACKET_NEXT = 0,
    PACKET_SECONDS = 4,
    PACKET_NANOSECONDS = 8,
    PACKET_CAPTURED = 12,
    PACKET_LENGTH = 16,
    PACKET_STATUS = 20,
    PACKET_MAC = 24,
    PACKET_TCI = 32,
    PACKET_TPID = 36,
    PACKET_PROTOCOL = 50,
    PACKET_IFINDEX = 52,
    PACKET_HATYPE = 56,
    PACKET_TYPE = 58, /* one byte, and one for the length of the address behind it */
    PACKET_ADDRESS = 60,
    PACKET_HEADER = 68
};
enum { STATUS_KERNEL = 0, STATUS_USER = 1, STATUS_VLAN = 1 << 4, STATUS_TPID = 1 << 6 };
#define STATUS_ADAPTER_TIME 0x80000000u
enum { MACS = 12, TAG = 4, COOKED = 20 /* LINKTYPE_LINUX_SLL2 */, TPID_8021Q = 0x8100 };

#if defined(__linux__)
_Static_assert(offsetof(struct tpacket_block_desc, hdr.bh1.block_status) == BLOCK_STATUS, "block_status");
_Static_assert(offsetof(struct tpacket_block_desc, hdr.bh1.num_pkts) == BLOCK_PACKETS, "num_pkts");
_Static_assert(offsetof(struct tpacket_block_desc, hdr.bh1.offset_to_first_pkt) == BLOCK_FIRST, "first");
_Static_assert(offsetof(struct tpacket_block_desc, hdr.bh1.blk_len) == BLOCK_LENGTH, "blk_len");
_Static_assert(sizeof(struct tpacket_block_desc) == BLOCK_HEADER, "block header");
_Static_assert(offsetof(struct tpacket3_hdr, tp_snaplen) == PACKET_CAPTURED, "tp_snaplen");
_Static_assert(offsetof(struct tpacket3_hdr, tp_status) == PACKET_STATUS, "tp_status");
_Static_assert(offsetof(struct tpacket3_hdr, tp_mac) == PACKET_MAC, "tp_mac");
_Static_assert(offsetof(struct tpacket3_hdr, hv1.tp_vlan_tci) == PACKET_TCI, "tp_vlan_tci");
_Static_assert(offsetof(struct tpacket3_hdr, hv1.tp_vlan_tpid) == PACKET_TPID, "tp_vlan_tpid");
_Static_assert(TP_STATUS_TS_RAW_HARDWARE == STATUS_ADAPTER_TIME, "whose time");
_Static_assert(sizeof(struct tpacket3_hdr) % TPACKET_ALIGNMENT == 0, "the address follows at once");
_Static_assert(sizeof(struct tpacket3_hdr) + sizeof(struct sockaddr_ll) == PACKET_HEADER, "address");
_Static_assert(sizeof(struct tpacket3_hdr) + offsetof(struct sockaddr_ll, sll_addr) == PACKET_ADDRESS, "sll_addr");
#endif

static inline uint32_t native32(const uint8_t *at) {
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

static inline uint16_t native16(const uint8_t *at) {
    uint16_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

static inline void ring_be16(uint8_t *at, uint16_t value) {
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static inline void ring_be32(uint8_t *at, uint32_t value) {
    ring_be16(at, (uint16_t)(value >> 16));
    ring_be16(at + 2, (uint16_t)value);
}

/* What is written in front of a packet's bytes: nothing, or a cooked header, and the tag that the kernel took out. */
static size_t write_front(const uint8_t *packet, const uint8_t *bytes, size_t captured, bool cooked, uint8_t *front,
                          size_t *from) {
    uint32_t status = native32(packet + PACKET_STATUS);
    bool tagged = (status & STATUS_VLAN) != 0;
    uint16_t tpid = (status & STATUS_TPID) ? native16(packet + PACKET_TPID) : TPID_8021Q;
    uint16_t tci = (uint16_t)native32(packet + PACKET_TCI);
    *from = 0;
    if (cooked) {
        memcpy(front, packet + PACKET_PROTOCOL, 2);
        memset(front + 2, 0, 2);
        ring_be32(front + 4, native32(packet + PACKET_IFINDEX));
        ring_be16(front + 8, native16(packet + PACKET_HATYPE));
        memcpy(front + 10, packet + PACKET_TYPE, 2);
        memcpy(front + 12, packet + PACKET_ADDRESS, 8);
        if (!tagged) return COOKED;
        memcpy(front + COOKED + 2, front, 2);
        ring_be16(front, tpid);
        ring_be16(front + COOKED, tci);
        return COOKED + TAG;
    }
    if (!tagged || captured < MACS) return 0;
    memcpy(front, bytes, MACS);
    ring_be16(front + MACS, tpid);
    ring_be16(front + MACS + 2, tci);
    *from = MACS;
    return MACS + TAG;
}

/* Copy the packet at `packet`, of which `room` bytes belong to the block. Returns false, and writes nothing, if `out`
 * has no room for it. A packet that claims more than its block has is counted as damaged and left out. */
static bool copy_packet(kc_ring *ring, const uint8_t *packet, size_t room, uint8_t *out, size_t capacity,
                        size_t *size) {
    size_t mac = native16(packet + PACKET_MAC), captured = native32(packet + PACKET_CAPTURED);
    if (mac < PACKET_HEADER || mac > room || captured > room - mac || captured > KC_MAX_CAPTURED / 2) {
        ring->damaged++;
        return true;
    }
    const uint8_t *bytes = packet + mac;
    uint8_t front[COOKED + TAG];
    size_t from, before = write_front(packet, bytes, captured, ring->cooked != 0, front, &from);
    size_t rest = captured - from, total = before + rest;
    uint32_t original = native32(packet + PACKET_LENGTH);
    size_t added = total - captured;
    original = original > UINT32_MAX - added ? UINT32_MAX : original + (uint32_t)added;
    if (total > ring->snaplen) total = ring->snaplen;
    if (original < total) original = (uint32_t)total;
    if (capacity - *size < KC_RECORD_HEADER + total) return false;
    uint8_t *record = out + *size;
    store_le32(record, native32(packet + PACKET_SECONDS));
    store_le32(record + 4, native32(packet + PACKET_NANOSECONDS));
    store_le32(record + 8, (uint32_t)total);
    store_le32(record + 12, original);
    if (before > total) before = total;
    if (before) memcpy(record + KC_RECORD_HEADER, front, before);
    memcpy(record + KC_RECORD_HEADER + before, bytes + from, total - before);
    *size += KC_RECORD_HEADER + total;
    ring->delivered++;
    ring->truncated += original > total;
    ring->stamped += (native32(packet + PACKET_STATUS) & STATUS_ADAPTER_TIME) != 0;
    return true;
}

/* Copy what is left of one block; false if `out` is full before its end. */
static bool copy_block(kc_ring *ring, const uint8_t *block, size_t block_size, uint8_t *out, size_t capacity,
                       size_t *size) {
    size_t limit = native32(block + BLOCK_LENGTH);
    if (limit > block_size) limit = block_size;
    if (!ring->is_inside) {
        ring->left = native32(block + BLOCK_PACKETS);
        ring->at = native32(block + BLOCK_FIRST);
        ring->is_inside = 1;
    }
    while (ring->left > 0) {
        if (ring->at < BLOCK_HEADER || ring->at > limit || limit - ring->at < PACKET_HEADER) break;
        const uint8_t *packet = block + ring->at;
        size_t room = limit - ring->at;
        if (!copy_packet(ring, packet, room, out, capacity, size)) return false;
        ring->left--;
        uint32_t next = native32(packet + PACKET_NEXT);
        if (ring->left == 0) break;
        if (next < PACKET_HEADER || next > room) break;
        ring->at += next;
    }
    ring->damaged += ring->left; /* not one of them can be found */
    ring->left = 0;
    ring->is_inside = 0;
    return true;
}

size_t kc_ring_read(kc_ring *ring, uint8_t *blocks, size_t block_size, size_t count, uint8_t *out, size_t capacity) {
    size_t size = 0;
    if (block_size < BLOCK_HEADER) return 0;
    for (size_t turns = 0; turns < count && ring->block < count; turns++) {
        uint8_t *block = blocks + ring->block * block_size;
        uint32_t *status = (uint32_t *)(void *)(block + BLOCK_STATUS); /* blocks are pages: aligned */
        if (!(__atomic_load_n(status, __ATOMIC_ACQUIRE) & STATUS_USER)) break;
        if (!copy_block(ring, block, block_size, out, capacity, &size)) break;
        __atomic_store_n(status, STATUS_KERNEL, __ATOMIC_RELEASE);
        ring->block = (uint32_t)((ring->block + 1) % count);
    }
    return size;
}
