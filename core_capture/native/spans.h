/* Byte ranges of a TCP direction by position, in which the byte that came first stays. Oracle: reference/_spans.py.
 *
 * A list of leaves with up to LEAF_SPANS spans each: appending costs O(1), inserting anywhere at most one leaf's
 * length, so segments sent in the worst order stay cheap. The bytes themselves stay in their packets.
 */
#ifndef KUBESHARK_SPANS_H
#define KUBESHARK_SPANS_H

#include "core.h"

#define LEAF_SPANS 128u /* 3 KiB: one leaf holds most directions, and a split copies little */

typedef struct {
    int64_t start; /* position in the direction; negative before the first byte that was seen */
    const uint8_t *bytes;
    uint32_t length;
    uint32_t packet;
} span;

typedef struct span_leaf {
    struct span_leaf *next_free;
    uint32_t count;
    span spans[LEAF_SPANS];
} span_leaf;

typedef struct {
    span_leaf **leaves; /* none of them empty */
    size_t count, capacity;
    span_leaf *free; /* for the next direction */
} span_list;

typedef struct {
    size_t leaf;
    uint32_t index;
} span_place;

typedef struct {
    uint64_t new_bytes; /* that were not there */
    uint64_t differing; /* that were there, with other contents */
} span_added;

#endif
