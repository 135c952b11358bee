/* The head of an HTTP request, as far as row 8 asks: the same work in every language and for every peer. */
#ifndef HEADS_H
#define HEADS_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

typedef struct {
    uint32_t method_end, path, path_end, host, host_end; /* offsets in the head; the method begins at 0 */
    uint32_t headers, end;
    int64_t length; /* of the body; -1: not said */
} head;

static inline const uint8_t *head_find(const uint8_t *data, uint32_t from, uint32_t to, uint8_t what) {
    return from < to ? (const uint8_t *)memchr(data + from, what, to - from) : NULL;
}

static inline bool head_named(const uint8_t *name, uint32_t length, const char *wanted, uint32_t wanted_length) {
    if (length != wanted_length) return false;
    for (uint32_t i = 0; i < length; i++) {
        uint8_t c = name[i];
        if (c >= 'A' && c <= 'Z') c = (uint8_t)(c + 32);
        if (c != (uint8_t)wanted[i]) return false;
    }
    return true;
}

/* False: no whole head. */
static inline bool head_parse(const uint8_t *data, uint32_t size, head *out) {
    const uint8_t *space = head_find(data, 0, size, ' ');
    if (!space || space == data) return false;
    out->method_end = (uint32_t)(space - data);
    out->path = out->method_end + 1;
    space = head_find(data, out->path, size, ' ');
    if (!space) return false;
    out->path_end = (uint32_t)(space - data);
    const uint8_t *line_end = head_find(data, out->path_end, size, '\n');
    if (!line_end) return false;
    out->headers = out->host = out->host_end = 0;
    out->length = -1;
    for (uint32_t at = (uint32_t)(line_end - data) + 1;;) {
        line_end = head_find(data, at, size, '\n');
        if (!line_end) return false;
        uint32_t end = (uint32_t)(line_end - data), stop = end > at && data[end - 1] == '\r' ? end - 1 : end;
        if (stop == at) {
            out->end = end + 1;
            return true;
        }
        const uint8_t *colon = head_find(data, at, stop, ':');
        if (!colon) return false;
        uint32_t name = (uint32_t)(colon - data) - at, value = at + name + 1;
        while (value < stop && data[value] == ' ') value++;
        out->headers++;
        if (head_named(data + at, name, "host", 4)) {
            out->host = value;
            out->host_end = stop;
        } else if (head_named(data + at, name, "content-length", 14) && stop - value <= 18) {
            int64_t number = 0;
            for (uint32_t i = value; i < stop && data[i] >= '0' && data[i] <= '9'; i++) number = number * 10 + (data[i] - '0');
            out->length = number;
        }
        at = end + 1;
    }
}

#endif
