#include "fragments.h"

#define NO_SLOT 0xFFFFFFFFu

static fragment_store *fragments_new(const uint8_t *data, const uint64_t seed[2]) {
    fragment_store *store = calloc(1, sizeof *store);
    if (!store) return NULL;
    store->open = calloc(MAX_DATAGRAMS, sizeof *store->open);
    if (!store->open) {
        free(store);
        return NULL;
    }
    for (uint32_t i = 0; i < MAX_DATAGRAMS; i++) store->open[i].next = i + 1 < MAX_DATAGRAMS ? i + 1 : NO_SLOT;
    memset(store->bucket, 0xFF, sizeof store->bucket); /* NO_SLOT */
    store->oldest = store->newest = NO_SLOT;
    memcpy(store->seed, seed, sizeof store->seed);
    store->data = data;
    return store;
}

static void fragments_close(fragment_store *store) {
    if (!store->open) return;
    for (uint32_t i = 0; i < MAX_DATAGRAMS; i++) {
        free(store->open[i].bytes);
        free(store->open[i].held);
    }
    free(store->open);
    store->open = NULL;
}

static void fragments_free(fragment_store *store) {
    if (!store) return;
    fragments_close(store);
    free(store->entries);
    free(store->carriers);
    free(store->represented_by);
    free(store->arena);
    free(store->arena_index);
    free(store);
}

static uint32_t datagram_bucket(const fragment_store *store, const datagram_key *key) {
    uint64_t word[5];
    _Static_assert(sizeof word == sizeof *key, "a key without padding");
    memcpy(word, key, sizeof word);
    uint64_t hash = store->seed[0];
    for (size_t i = 0; i < 5; i++) hash = multiply_fold(hash ^ word[i], store->seed[1] + i);
    return (uint32_t)hash & (DATAGRAM_BUCKETS - 1);
}

/* Take a datagram out of the table; its buffers stay with the slot. */
static void datagram_close(fragment_store *store, uint32_t slot) {
    datagram *one = &store->open[slot];
    uint32_t *link = &store->bucket[one->bucket];
    while (*link != slot) link = &store->open[*link].next;
    *link = one->next;
    *(one->older == NO_SLOT ? &store->oldest : &store->open[one->older].newer) = one->newer;
    *(one->newer == NO_SLOT ? &store->newest : &store->open[one->newer].older) = one->older;
    one->next = store->unused;
    store->unused = slot;
    store->open_count--;
}

static uint32_t datagram_begin(fragment_store *store, const datagram_key *key, uint64_t time_ns) {
    if (store->datagram_count == NO_DATAGRAM ||
        !array_reserve((void **)&store->represented_by, &store->datagram_capacity, store->datagram_count,
                       sizeof(uint32_t))) {
        store->no_memory = true;
        return NO_SLOT;
    }
    uint32_t slot = store->unused;
    datagram *one = &store->open[slot];
    store->unused = one->next;
    store->represented_by[store->datagram_count] = NO_ENTRY;
    one->key = *key;
    one->began_ns = time_ns;
    one->number = (uint32_t)store->datagram_count++;
    one->bucket = datagram_bucket(store, key);
    one->next = store->bucket[one->bucket];
    store->bucket[one->bucket] = slot;
    one->older = store->newest;
    one->newer = NO_SLOT;
    *(one->older == NO_SLOT ? &store->oldest : &store->open[one->older].newer) = slot;
    store->newest = slot;
    one->count = one->total = 0;
    if (one->held) memset(one->held, 0, one->capacity / 8);
    one->protocol = 0;
    one->has_head = false;
    store->open_count++;
    return slot;
}

static bool datagram_reserve(datagram *one, uint32_t end) {
    if (end <= one->capacity) return true;
    uint32_t capacity = one->capacity ? one->capacity : 2048;
    while (capacity < end) capacity *= 2; /* at most 65,536: end <= MAX_DATAGRAM */
    uint8_t *bytes = realloc(one->bytes, capacity);
    if (!bytes) return false;
    one->bytes = bytes;
    uint8_t *held = realloc(one->held, capacity / 8);
    if (!held) return false;
    memset(held + one->capacity / 8, 0, (capacity - one->capacity) / 8);
    one->held = held;
    one->capacity = capacity;
    return true;
}

/* Add a fragment's bytes where none are yet. False without memory. */
static bool datagram_add(datagram *one, const uint8_t *piece, uint64_t length, uint32_t offset, bool more) {
    if (length > MAX_DATAGRAM || offset + length > MAX_DATAGRAM) return true;
    uint32_t end = offset + (uint32_t)length;
    if (!datagram_reserve(one, end)) return false;
    if (!more && one->total == 0) one->total = end;
    for (uint32_t i = offset; i < end; i++) {
        uint8_t bit = (uint8_t)(1u << (i & 7));
        if (one->held[i / 8] & bit) continue;
        one->held[i / 8] |= bit;
        one->bytes[i] = piece[i - offset];
        one->count++;
    }
    return true;
}

static bool datagram_is_whole(const datagram *one) {
    if (one->total == 0 || one->count < one->total) return false;
    uint32_t at = 0;
    while (at + 8 <= one->total && one->held[at / 8] == 0xFF) at += 8;
    while (at < one->total && (one->held[at / 8] & (1u << (at & 7)))) at++;
    return at == one->total;
}

/* Copy a whole datagram into the arena and let the walk go on inside it. */
static bool datagram_enter(fragment_store *store, const datagram *one, packet_walk *walk) {
    size_t start = store->arena_count;
    if (one->total > UINT32_MAX - start) return false; /* ARENA counts in 32 bits */
    while (store->arena_capacity - start < one->total) {
        if (!array_reserve((void **)&store->arena, &store->arena_capacity, store->arena_capacity, 1)) return false;
    }
    memcpy(store->arena + start, one->bytes, one->total);
    store->arena_count += one->total;
    walk->buffer = store->arena + start;
    walk->base = walk->at = 0;
    walk->end = walk->wire_end = one->total;
    walk->arena_at = (uint32_t)start;
    walk->arena_length = one->total;
    walk->bits |= BIT_ARENA;
    walk->protocol = one->protocol;
    return true;
}

/* Keep the carriers of what was found; false without memory. */
static bool entry_keep(fragment_store *store, fragment_entry *entry, const packet_walk *walk) {
    entry->found = walk->found;
    entry->first_carrier = (uint32_t)store->carrier_count;
    for (uint32_t i = 0; i < walk->found.carrier_count; i++) {
        if (!array_reserve((void **)&store->carriers, &store->carrier_capacity, store->carrier_count,
                           sizeof(found_packet)))
            return false;
        store->carriers[store->carrier_count++] = walk->carriers[i];
    }
    return true;
}

/* Dissect the first fragment of a datagram that never became whole as a cut packet. */
static void datagram_give_up(fragment_store *store, uint32_t slot) {
    datagram *one = &store->open[slot];
    datagram_close(store, slot);
    if (!one->has_head) return;
    packet_walk *head = &one->head;
    uint32_t before = head->find_count;
    head->is_head = true;
    head->buffer = head->bits & BIT_ARENA ? store->arena + head->arena_at : store->data; /* the arena may have moved */
    walk_on(head, LAYER_TRANSPORT);
    if (head->find_count == before) return;
    store->represented_by[one->number] = one->head_entry;
    if (!entry_keep(store, &store->entries[one->head_entry], head)) store->no_memory = true;
}

static bool fragments_add(fragment_store *store, packet_walk *walk, uint32_t identification, uint8_t protocol,
                          uint32_t offset, bool more) {
    if (walk->completed_count == MAX_COMPLETED) return false;
    datagram_key key = {.identification = identification, .version = walk->version, .protocol = protocol};
    memcpy(key.source, walk->source, sizeof key.source);
    memcpy(key.destination, walk->destination, sizeof key.destination);
    uint32_t slot = store->bucket[datagram_bucket(store, &key)];
    while (slot != NO_SLOT && memcmp(&store->open[slot].key, &key, sizeof key) != 0) slot = store->open[slot].next;
    if (slot != NO_SLOT && walk->time_ns > store->open[slot].began_ns + FRAGMENT_TIMEOUT_NS) {
        datagram_give_up(store, slot);
        slot = NO_SLOT;
    }
    if (slot == NO_SLOT) {
        if (store->open_count == MAX_DATAGRAMS) datagram_give_up(store, store->oldest);
        slot = datagram_begin(store, &key, walk->time_ns);
        if (slot == NO_SLOT) return false;
    }
    datagram *one = &store->open[slot];
    walk->waits_for = one->number;
    if (offset == 0 && !one->has_head) {
        one->has_head = true;
        one->protocol = walk->protocol;
        one->head_entry = (uint32_t)store->entry_count; /* that of the packet being walked: fragments_keep */
        one->head = *walk;
    }
    if (walk->end != walk->wire_end) return false;
    if (!datagram_add(one, walk->buffer + walk->at, walk->end - walk->at, offset, more)) {
        store->no_memory = true;
        return false;
    }
    if (!datagram_is_whole(one)) return false;
    if (!datagram_enter(store, one, walk)) {
        store->no_memory = true;
        return false;
    }
    walk->waits_for = NO_DATAGRAM;
    walk->completed[walk->completed_count++] = (completed_datagram){one->number, walk->find_count};
    datagram_close(store, slot);
    return true;
}

/* Keep what was found in a packet that met a fragment. */
static void fragments_keep(fragment_store *store, uint32_t packet, const packet_walk *walk) {
    if (!array_reserve((void **)&store->entries, &store->entry_capacity, store->entry_count, sizeof *store->entries)) {
        store->no_memory = true;
        return;
    }
    fragment_entry *entry = &store->entries[store->entry_count];
    *entry = (fragment_entry){.packet = packet, .waits_for = walk->waits_for, .speaker = NO_ENTRY};
    if (!entry_keep(store, entry, walk)) store->no_memory = true;
    for (uint32_t i = 0; i < walk->completed_count; i++) {
        if (walk->find_count != walk->completed[i].find_count) {
            store->represented_by[walk->completed[i].number] = (uint32_t)store->entry_count;
        }
    }
    store->entry_count++;
}

/* Let the fragments of a datagram be what the packet is that represents it, without its payload. That one may have
 * waited for a datagram inside: then the end of the chain speaks. Backwards: who completes a datagram comes after all
 * who waited for it, so its own speaker is known; who represents an unfinished one has none. */
static void fragments_share(fragment_store *store) {
    for (size_t i = store->entry_count; i-- > 0;) {
        fragment_entry *entry = &store->entries[i];
        uint32_t other = entry->waits_for == NO_DATAGRAM ? NO_ENTRY : store->represented_by[entry->waits_for];
        if (other == NO_ENTRY || other == i) continue;
        uint32_t further = store->entries[other].speaker;
        entry->speaker = further == NO_ENTRY ? other : further;
        const fragment_entry *whole = &store->entries[entry->speaker];
        if (whole->found.version == 0) continue;
        entry->found = whole->found;
        entry->first_carrier = whole->first_carrier;
        entry->is_shadow = true;
        found_packet *found = &entry->found;
        found->transport_offset = found->payload_offset = 0;
        found->payload_length = found->wire_length = found->seq = 0;
        found->flags = 0;
        found->bits = (uint8_t)(BIT_FRAGMENT | (found->bits & BIT_TUNNELLED));
    }
}

/* Drop from the arena what no packet's payload lies in. */
static bool fragments_pack_arena(fragment_store *store) {
    size_t packed = 0, capacity = 0;
    for (size_t i = 0; i < store->entry_count; i++) {
        found_packet *found = &store->entries[i].found;
        if (!(found->bits & BIT_ARENA)) continue;
        if (!array_reserve((void **)&store->arena_index, &capacity, store->arena_entries, sizeof *store->arena_index)) {
            return false;
        }
        memmove(store->arena + packed, store->arena + found->arena_at, found->arena_length); /* packed <= arena_at */
        store->arena_index[store->arena_entries++] =
            (kc_arena_entry){store->entries[i].packet, (uint32_t)packed, found->arena_length};
        packed += found->arena_length;
    }
    store->arena_count = packed;
    return true;
}

/* After the last packet. False without memory, now or at any time before. */
static bool fragments_settle(fragment_store *store) {
    while (store->oldest != NO_SLOT) datagram_give_up(store, store->oldest);
    if (store->no_memory) return false;
    fragments_share(store);
    fragments_close(store);
    return fragments_pack_arena(store);
}
