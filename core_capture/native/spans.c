#include "spans.h"

static void spans_clear(span_list *list) {
    for (size_t i = 0; i < list->count; i++) {
        list->leaves[i]->next_free = list->free;
        list->free = list->leaves[i];
    }
    list->count = 0;
}

static void spans_free(span_list *list) {
    spans_clear(list);
    while (list->free) {
        span_leaf *next = list->free->next_free;
        free(list->free);
        list->free = next;
    }
    free(list->leaves);
}

/* The span at a place, or NULL at the end. */
static inline span *spans_at(const span_list *list, span_place place) {
    if (place.leaf == list->count) return NULL;
    return &list->leaves[place.leaf]->spans[place.index];
}

static inline span_place spans_next(const span_list *list, span_place place) {
    if (++place.index == list->leaves[place.leaf]->count) place = (span_place){place.leaf + 1, 0};
    return place;
}

/* The last span that starts at or before a position, else the first span. */
static span_place spans_find(const span_list *list, int64_t position) {
    size_t low = 0,
           high = list->count; /* the first leaf whose first span starts behind the position lies in [low, high] */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (list->leaves[middle]->spans[0].start <= position) low = middle + 1;
        else high = middle;
    }
    if (low == 0) return (span_place){0, 0};
    const span_leaf *leaf = list->leaves[low - 1];
    uint32_t first = 0, last = leaf->count;
    while (first < last) {
        uint32_t middle = first + (last - first) / 2;
        if (leaf->spans[middle].start <= position) first = middle + 1;
        else last = middle;
    }
    return (span_place){low - 1, first - 1}; /* first >= 1: the leaf's first span starts at or before the position */
}

/* Put an empty leaf into the list at `at`. NULL without memory. */
static span_leaf *spans_open_leaf(span_list *list, size_t at) {
    if (!array_reserve((void **)&list->leaves, &list->capacity, list->count, sizeof *list->leaves)) return NULL;
    span_leaf *leaf = list->free;
    if (leaf) {
        list->free = leaf->next_free;
    } else {
        leaf = malloc(sizeof *leaf);
        if (!leaf) return NULL;
    }
    leaf->count = 0;
    memmove(list->leaves + at + 1, list->leaves + at, (list->count - at) * sizeof *list->leaves);
    list->leaves[at] = leaf;
    list->count++;
    return leaf;
}

/* Insert before a place, which then is the new span's. False without memory. */
static bool spans_insert(span_list *list, span_place *place, span one) {
    if (place->leaf == list->count) { /* at the end: the last leaf, or a new one where that is full */
        if (list->count && list->leaves[list->count - 1]->count < LEAF_SPANS) {
            *place = (span_place){list->count - 1, list->leaves[list->count - 1]->count};
        } else if (!spans_open_leaf(list, list->count)) {
            return false;
        }
    } else if (list->leaves[place->leaf]->count == LEAF_SPANS) {
        span_leaf *behind = spans_open_leaf(list, place->leaf + 1);
        if (!behind) return false;
        span_leaf *before = list->leaves[place->leaf];
        before->count = LEAF_SPANS / 2;
        behind->count = LEAF_SPANS - LEAF_SPANS / 2;
        memcpy(behind->spans, before->spans + before->count, behind->count * sizeof one);
        if (place->index > before->count) *place = (span_place){place->leaf + 1, place->index - before->count};
    }
    span_leaf *leaf = list->leaves[place->leaf];
    memmove(leaf->spans + place->index + 1, leaf->spans + place->index, (leaf->count - place->index) * sizeof one);
    leaf->spans[place->index] = one;
    leaf->count++;
    return true;
}

static uint64_t count_differing(const uint8_t *a, const uint8_t *b, size_t length) {
    if (memcmp(a, b, length) == 0) return 0;
    uint64_t count = 0;
    for (size_t i = 0; i < length; i++) count += a[i] != b[i];
    return count;
}

/* Insert the part of a piece that covers [from, to). */
static bool spans_insert_part(span_list *list, span_place *place, span piece, int64_t from, int64_t to) {
    piece.bytes += from - piece.start; /* within the piece */
    piece.length = (uint32_t)(to - from);
    piece.start = from;
    return spans_insert(list, place, piece);
}

/* Add what is new of a piece, which is not empty. False without memory. */
static bool spans_add(span_list *list, span piece, span_added *added) {
    int64_t at = piece.start, end = piece.start + piece.length;
    span_place place = {list->count, 0};
    *added = (span_added){0, 0};
    if (list->count) {
        const span_leaf *leaf = list->leaves[list->count - 1];
        const span *last = &leaf->spans[leaf->count - 1];
        if (at < last->start + last->length) place = spans_find(list, at);
    }
    while (at < end) {
        const span *here = spans_at(list, place);
        if (!here || here->start >= end) { /* nothing more in the way */
            added->new_bytes += (uint64_t)(end - at);
            return spans_insert_part(list, &place, piece, at, end);
        }
        if (at < here->start) {
            int64_t stop = here->start;
            added->new_bytes += (uint64_t)(stop - at);
            if (!spans_insert_part(list, &place, piece, at, stop)) return false;
            at = stop;
            place = spans_next(list, place);
            here = spans_at(list, place);
        }
        int64_t there = here->start + here->length, stop = end < there ? end : there;
        if (at < stop) {
            added->differing += count_differing(piece.bytes + (at - piece.start), here->bytes + (at - here->start),
                                                (size_t)(stop - at));
            at = stop;
        }
        place = spans_next(list, place);
    }
    return true;
}

/* The byte at a position, or -1 if it is missing. */
static int spans_byte(const span_list *list, int64_t position) {
    const span *one = spans_at(list, spans_find(list, position));
    if (!one || position < one->start || position >= one->start + one->length) return -1;
    return one->bytes[position - one->start];
}
