#include "flows.h"

#define FIRST_FLOWS 1024u          /* 104 KiB of rows: most batches need no second allocation */
#define MAX_FLOWS (UINT32_MAX - 1) /* a row number and KC_NO_FLOW must fit in 32 bits; memory ends sooner */

/* Two multiplications in parallel, a third to mix: 4 ns. Needs secret seeds to be fair. */
static inline uint64_t flow_hash(const flow_table *table, const flow_key *key) {
    uint64_t low = multiply_fold(key->word[0] ^ table->seed[0], key->word[2] ^ table->seed[1]);
    uint64_t high = multiply_fold(key->word[1] ^ table->seed[2], key->word[3] ^ table->seed[3]);
    return multiply_fold(low ^ key->word[4], high ^ table->seed[0]);
}

static inline bool flow_is(const kc_flow *row, const flow_key *key) {
    uint64_t word[5];
    memcpy(word, row, sizeof word);
    uint64_t tail = (word[4] ^ key->word[4]) & 0x0000FFFFFFFFFFFFu; /* without client and tunnel */
    return ((word[0] ^ key->word[0]) | (word[1] ^ key->word[1]) | (word[2] ^ key->word[2]) | (word[3] ^ key->word[3]) |
            tail) == 0;
}

static bool flows_start(flow_table *table, const uint64_t seed[FLOW_SEED_WORDS]) {
    size_t slots = 2 * FIRST_FLOWS;
    memcpy(table->seed, seed, sizeof table->seed);
    table->count = 0;
    table->capacity = FIRST_FLOWS;
    table->mask = slots - 1;
    table->rows = malloc(FIRST_FLOWS * sizeof *table->rows);
    table->slots = malloc(slots * sizeof *table->slots);
    if (!table->rows || !table->slots) return false;
    memset(table->slots, 0xFF, slots * sizeof *table->slots); /* KC_NO_FLOW everywhere */
    return true;
}

static void flows_end(flow_table *table) {
    free(table->rows);
    free(table->slots);
}

/* Double both arrays. Rows of older uses of a tuple are overwritten in their slot by newer ones, as when they came. */
static bool flows_grow(flow_table *table) {
    if (table->capacity > MAX_FLOWS / 2 || table->capacity > SIZE_MAX / (4 * sizeof *table->rows)) return false;
    size_t capacity = 2 * table->capacity, slots = 2 * capacity;
    kc_flow *rows = realloc(table->rows, capacity * sizeof *rows);
    if (!rows) return false;
    table->rows = rows;
    flow_slot *fresh = malloc(slots * sizeof *fresh);
    if (!fresh) return false;
    memset(fresh, 0xFF, slots * sizeof *fresh);
    for (size_t row = 0; row < table->count; row++) {
        flow_key key;
        memcpy(&key, &rows[row], sizeof key);
        key.field.zero[0] = key.field.zero[1] = 0;
        uint64_t hash = flow_hash(table, &key);
        size_t at = (size_t)hash & (slots - 1);
        while (fresh[at].row != KC_NO_FLOW && !flow_is(&rows[fresh[at].row], &key)) at = (at + 1) & (slots - 1);
        fresh[at] = (flow_slot){(uint32_t)row, (uint32_t)(hash >> 32)};
    }
    free(table->slots);
    table->slots = fresh;
    table->capacity = capacity;
    table->mask = slots - 1;
    return true;
}

/* Find the slot that names this key's newest row, or the empty one where it would go. Half the slots are always empty.
 */
static inline flow_slot *flow_find(const flow_table *table, const flow_key *key, uint64_t hash) {
    uint32_t tag = (uint32_t)(hash >> 32);
    for (size_t at = (size_t)hash & table->mask;; at = (at + 1) & table->mask) {
        flow_slot *slot = &table->slots[at];
        if (slot->row == KC_NO_FLOW) return slot;
        if (slot->tag == tag && flow_is(&table->rows[slot->row], key)) return slot;
    }
}
