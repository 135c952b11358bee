/* The flow table: rows in order of first packet, found through open addressing.
 *
 * A tuple that is used again (definition 1 of _columns.py) gets a new row and its slot then names the newest one, so a
 * slot never has to be searched for older rows. Oracle: core_capture/reference.
 */
#ifndef KUBESHARK_FLOWS_H
#define KUBESHARK_FLOWS_H

#include "layers.h"

#define FLOW_SEED_WORDS 4

typedef struct {
    uint32_t row; /* KC_NO_FLOW: empty */
    uint32_t tag; /* upper half of the hash: spares a look at most rows that are not it */
} flow_slot;

typedef struct {
    kc_flow *rows;
    size_t count, capacity;
    flow_slot *slots;
    size_t mask;
    uint64_t seed[FLOW_SEED_WORDS]; /* random: a sender must not choose who shares a slot */
} flow_table;

#endif
