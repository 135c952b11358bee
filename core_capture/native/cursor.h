/* The one way the slow path reads bytes: every read compares lengths first and never forms p + n beyond the end. */
#ifndef KUBESHARK_CURSOR_H
#define KUBESHARK_CURSOR_H

#include "core.h"

typedef struct {
    const uint8_t *at;
    size_t left;
} cursor;

static inline bool cursor_skip(cursor *c, size_t count) {
    if (c->left < count) return false;
    c->at += count;
    c->left -= count;
    return true;
}

/* Forget what lies behind the next `count` bytes. */
static inline void cursor_clip(cursor *c, size_t count) {
    if (count < c->left) c->left = count;
}

static inline bool cursor_bytes(cursor *c, size_t count, const uint8_t **out) {
    *out = c->at;
    return cursor_skip(c, count);
}

static inline bool cursor_u8(cursor *c, uint8_t *out) {
    if (c->left < 1) return false;
    *out = c->at[0];
    return cursor_skip(c, 1);
}

static inline bool cursor_u16(cursor *c, uint16_t *out) {
    if (c->left < 2) return false;
    *out = load_be16(c->at);
    return cursor_skip(c, 2);
}

static inline bool cursor_u32(cursor *c, uint32_t *out) {
    if (c->left < 4) return false;
    *out = load_be32(c->at);
    return cursor_skip(c, 4);
}

#endif
