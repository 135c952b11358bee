/* Datagrams put together from IP fragments, in bounded memory, and what that makes of the packets that took part.
 *
 * What a fragment's packet is depends on packets behind it (definition 6 of _columns.py), so the store is filled by a
 * walk ahead of the flow table: fragments_add during the walk of a packet, fragments_keep after it, fragments_settle at
 * the end. Then `entries` tells, by packet, what every packet is that met a fragment. Oracle: reference/_fragments.py,
 * _decode.py.
 */
#ifndef KUBESHARK_FRAGMENTS_H
#define KUBESHARK_FRAGMENTS_H

#include "walk.h"

#define MAX_DATAGRAM 65535u /* bytes: IPv4's total length and IPv6's fragment offset are 16 bits */
#define MAX_DATAGRAMS 1024u /* unfinished ones: at most 72 MiB */
/* RFC 8200 §4.5 waits a minute; identifications are used again. */
#define FRAGMENT_TIMEOUT_NS (60u * (uint64_t)NS_PER_SECOND)
#define NO_ENTRY 0xFFFFFFFFu
#define DATAGRAM_BUCKETS 1024u /* of the hash: about one datagram each */

typedef struct {
    uint8_t source[16];
    uint8_t destination[16];
    uint32_t identification;
    uint8_t version;
    uint8_t protocol; /* IPv4 only: IPv6 identifies without it */
    uint8_t zero[2];
} datagram_key;

typedef struct {
    datagram_key key;
    uint64_t began_ns;
    uint32_t number; /* of all datagrams ever begun */
    uint32_t bucket; /* which list it is in */
    uint32_t next;   /* in its bucket, or in the list of unused ones */
    uint32_t older, newer;
    uint32_t count;    /* bytes held, each once */
    uint32_t total;    /* bytes it has; 0: not known yet */
    uint32_t capacity; /* of bytes; `held` has a bit for each */
    uint8_t *bytes;
    uint8_t *held;
    uint8_t protocol; /* of its head */
    bool has_head;
    uint32_t head_entry;
    packet_walk head; /* of the first fragment with offset 0, stopped behind the fragment's header */
} datagram;

/* A packet that met a fragment. */
typedef struct {
    uint32_t packet;
    uint32_t waits_for; /* datagram number, or NO_DATAGRAM */
    uint32_t speaker;   /* index of the entry that represents its datagram, or NO_ENTRY */
    uint32_t first_carrier;
    bool is_shadow; /* found and carriers are the speaker's */
    found_packet found;
} fragment_entry;

struct fragment_store {
    datagram *open; /* MAX_DATAGRAMS of them */
    uint32_t open_count;
    uint32_t oldest, newest, unused;
    uint32_t bucket[DATAGRAM_BUCKETS];
    uint64_t seed[2];
    const uint8_t *data;
    fragment_entry *entries;
    size_t entry_count, entry_capacity;
    found_packet *carriers;
    size_t carrier_count, carrier_capacity;
    uint32_t *represented_by; /* datagram number → index of an entry, or NO_ENTRY */
    size_t datagram_count, datagram_capacity;
    uint8_t *arena;
    size_t arena_count, arena_capacity;
    kc_arena_entry *arena_index; /* filled by fragments_settle */
    size_t arena_entries;
    bool no_memory;
};

/* Add the fragment whose bytes begin at walk->at. True: that made its datagram whole, and the walk is now inside it. */
static bool fragments_add(fragment_store *store, packet_walk *walk, uint32_t identification, uint8_t protocol,
                          uint32_t offset, bool more);

#endif
