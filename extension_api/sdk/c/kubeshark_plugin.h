/* Write a kubeshark plugin in C (C11) or C++.
 *
 * Include this header in exactly one source file, define `ks_plugin`, build with `kubeshark plugin build`:
 *
 *     #include "kubeshark_plugin.h"
 *     enum { F_COMMAND };                                   // positions of [[fields]] in plugin.toml
 *     static uint32_t dissect(const ks_item *item, ks_writer *out) {
 *         ks_cursor c = ks_cursor_of(item);
 *         ks_bytes line;
 *         while (ks_line(&c, &line)) {                      // false: the rest comes again, with more behind it
 *             ks_message(out, item->direction ? KS_RESPONSE : KS_REQUEST, ks_offset(item, line), ks_position(&c));
 *             ks_text(out, F_COMMAND, line);
 *         }
 *         return ks_position(&c);                           // bytes consumed
 *     }
 *     const ks_plugin_hooks ks_plugin = { .dissect = dissect };
 *
 * Ownership: an item's bytes are valid during the call that got them. Whatever you give a writer is copied or refers to
 * the item. You free nothing. Calls come from one thread. Keep nothing between calls that a later call needs: a frame may
 * be given again, to a new process, after a crash.
 *
 * The wire format behind it (docs/adr/0003-batch-abi.md) is no business of a plugin's author. Its oracle in tests is
 * extension_api/_frame.py. Reads are checked by the cursor, writes by the buffers: there is no other pointer arithmetic.
 */
#ifndef KUBESHARK_PLUGIN_H
#define KUBESHARK_PLUGIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#define KS_ABI 1u
#define KS_EXPORT __attribute__((visibility("default")))

/* ---- what a plugin gets ---------------------------------------------------------------------------------------- */

typedef struct {
    const uint8_t *data;
    uint32_t length;
} ks_bytes;

enum { KS_CLIENT = 0, KS_SERVER = 1 };                    /* direction: who sent it */
enum { KS_FIRST = 1, KS_LAST = 2, KS_GAP = 4, KS_CUT = 8 }; /* flags */
enum { KS_TCP = 6, KS_UDP = 17, KS_SCTP = 132 };          /* transport; all but TCP are datagrams */

typedef struct {
    ks_bytes bytes;
    uint64_t stream;   /* the same for all items of one flow */
    uint64_t time_ns;  /* since 1970, of the first byte */
    uint64_t base;     /* offset of the first byte in its stream side */
    uint32_t argument;
    uint16_t flags;
    uint16_t client_port, server_port;
    uint8_t direction;
    uint8_t transport;
} ks_item;

/* ---- checked reading ------------------------------------------------------------------------------------------- */

typedef struct {
    const uint8_t *data;
    uint32_t length, at;
} ks_cursor;

static inline ks_cursor ks_cursor_over(ks_bytes bytes) {
    ks_cursor cursor = {bytes.data, bytes.length, 0};
    return cursor;
}

static inline ks_cursor ks_cursor_of(const ks_item *item) { return ks_cursor_over(item->bytes); }

static inline uint32_t ks_position(const ks_cursor *cursor) { return cursor->at; }

static inline uint32_t ks_left(const ks_cursor *cursor) { return cursor->length - cursor->at; }

static inline bool ks_take(ks_cursor *cursor, uint32_t count, ks_bytes *out) {
    if (ks_left(cursor) < count) return false;
    out->data = cursor->data + cursor->at;
    out->length = count;
    cursor->at += count;
    return true;
}

static inline bool ks_u8(ks_cursor *cursor, uint8_t *out) {
    if (ks_left(cursor) < 1) return false;
    *out = cursor->data[cursor->at++];
    return true;
}

static inline bool ks_u16(ks_cursor *cursor, uint16_t *out) { /* network byte order */
    ks_bytes b;
    if (!ks_take(cursor, 2, &b)) return false;
    *out = (uint16_t)((uint16_t)(b.data[0] << 8) | b.data[1]);
    return true;
}

static inline bool ks_u32(ks_cursor *cursor, uint32_t *out) { /* network byte order */
    ks_bytes b;
    if (!ks_take(cursor, 4, &b)) return false;
    *out = (uint32_t)b.data[0] << 24 | (uint32_t)b.data[1] << 16 | (uint32_t)b.data[2] << 8 | b.data[3];
    return true;
}

static inline bool ks_until(ks_cursor *cursor, uint8_t end, ks_bytes *out) { /* takes `end` too, gives what is before */
    uint32_t left = ks_left(cursor);
    const uint8_t *start = cursor->data + cursor->at;
    const uint8_t *found = left ? (const uint8_t *)memchr(start, end, left) : NULL;
    if (!found) return false;
    out->data = start;
    out->length = (uint32_t)(found - start);
    cursor->at += out->length + 1;
    return true;
}

static inline bool ks_line(ks_cursor *cursor, ks_bytes *out) { /* up to LF; a CR before it is dropped */
    if (!ks_until(cursor, '\n', out)) return false;
    if (out->length && out->data[out->length - 1] == '\r') out->length--;
    return true;
}

static inline ks_bytes ks_literal(const char *text) {
    ks_bytes bytes = {(const uint8_t *)text, (uint32_t)strlen(text)};
    return bytes;
}

static inline bool ks_equal(ks_bytes a, ks_bytes b) {
    return a.length == b.length && (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
}

static inline bool ks_equal_nocase(ks_bytes a, ks_bytes b) { /* ASCII */
    if (a.length != b.length) return false;
    for (uint32_t i = 0; i < a.length; i++) {
        uint8_t x = a.data[i], y = b.data[i];
        if (x >= 'A' && x <= 'Z') x = (uint8_t)(x + 32);
        if (y >= 'A' && y <= 'Z') y = (uint8_t)(y + 32);
        if (x != y) return false;
    }
    return true;
}

static inline bool ks_decimal(ks_bytes text, int64_t *out) { /* digits only, at most 18: cannot overflow */
    if (text.length < 1 || text.length > 18) return false;
    int64_t value = 0;
    for (uint32_t i = 0; i < text.length; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') return false;
        value = value * 10 + (text.data[i] - '0');
    }
    *out = value;
    return true;
}

/* Offset of a part of an item in it; 0 for bytes that are not the item's. */
static inline uint32_t ks_offset(const ks_item *item, ks_bytes part) {
    uintptr_t start = (uintptr_t)item->bytes.data, at = (uintptr_t)part.data;
    return at >= start && at - start <= item->bytes.length ? (uint32_t)(at - start) : 0;
}

/* ---- growing buffers (internal) -------------------------------------------------------------------------------- */

#define KS_MAX_KEPT (2u << 20)    /* from call to call */
#define KS_MAX_BUFFER (16u << 20) /* twice what the host takes: growing beyond it helps nobody */

typedef struct {
    uint8_t *data;
    size_t length, capacity;
    bool failed;
} ks_buffer;

/* The rare part of ks_grow: NULL once it failed. Out of line, so that the other part is inlined everywhere. */
static __attribute__((noinline, unused)) void *ks_grow_more(ks_buffer *buffer, size_t count) {
    if (!buffer->failed && count <= KS_MAX_BUFFER - buffer->length) {
        size_t capacity = buffer->capacity ? buffer->capacity : 4096;
        while (capacity - buffer->length < count) capacity *= 2; /* at most 2 * KS_MAX_BUFFER */
        uint8_t *data = (uint8_t *)realloc(buffer->data, capacity);
        if (data) {
            void *at = data + buffer->length;
            buffer->data = data;
            buffer->capacity = capacity;
            buffer->length += count;
            return at;
        }
    }
    buffer->failed = true;
    buffer->capacity = buffer->length; /* nothing fits any more */
    return NULL;
}

static inline void *ks_grow(ks_buffer *buffer, size_t count) { /* NULL once it failed */
    if (count == 0 || count > buffer->capacity - buffer->length) return ks_grow_more(buffer, count);
    void *at = buffer->data + buffer->length;
    buffer->length += count;
    return at;
}

static inline void ks_append(ks_buffer *buffer, const void *data, size_t length) {
    if (length == 0) return;
    void *at = ks_grow(buffer, length);
    if (at) memcpy(at, data, length);
}

/* Length of the UTF-8 character at the start of `text`, 0 if it is none (Unicode 15, table 3-7). */
static inline uint32_t ks_utf8(ks_bytes text) {
    const uint8_t *p = text.data;
    if (text.length == 0) return 0;
    if (p[0] < 0x80) return 1;
    uint32_t need = p[0] >= 0xC2 && p[0] <= 0xDF ? 2 : p[0] >= 0xE0 && p[0] <= 0xEF ? 3 : p[0] >= 0xF0 && p[0] <= 0xF4 ? 4 : 0;
    if (need == 0 || text.length < need) return 0;
    uint8_t low = p[0] == 0xE0 ? 0xA0 : p[0] == 0xF0 ? 0x90 : 0x80;
    uint8_t high = p[0] == 0xED ? 0x9F : p[0] == 0xF4 ? 0x8F : 0xBF;
    if (p[1] < low || p[1] > high) return 0;
    for (uint32_t i = 2; i < need; i++)
        if (p[i] < 0x80 || p[i] > 0xBF) return 0;
    return need;
}

/* Length of the UTF-8 at the start of `text` that a JSON string (or, if not `json`, any text) can hold as it is. */
static inline uint32_t ks_plain(ks_bytes text, bool json) {
    uint32_t at = 0;
    while (at < text.length) {
        ks_bytes rest = {text.data + at, text.length - at};
        uint8_t c = rest.data[0];
        uint32_t n = ks_utf8(rest);
        if (!n || (json && (c < 0x20 || c == '"' || c == '\\'))) break;
        at += n;
    }
    return at;
}

static inline bool ks_is_utf8(ks_bytes text) { return ks_plain(text, false) == text.length; }

static inline ks_bytes ks_skip(ks_bytes text, uint32_t count) { /* count <= text.length */
    ks_bytes rest = {text.data + count, text.length - count};
    return rest;
}

static inline void ks_append_text(ks_buffer *buffer, ks_bytes text) { /* what is not UTF-8 becomes U+FFFD */
    for (;;) {
        uint32_t plain = ks_plain(text, false);
        ks_append(buffer, text.data, plain);
        if (plain == text.length) return;
        ks_append(buffer, "\xEF\xBF\xBD", 3);
        text = ks_skip(text, plain + 1);
    }
}

static inline void ks_append_json(ks_buffer *buffer, ks_bytes text) { /* a JSON string with its quotes */
    ks_append(buffer, "\"", 1);
    for (;;) {
        uint32_t plain = ks_plain(text, true);
        char escape[8] = "\\";
        ks_append(buffer, text.data, plain);
        if (plain == text.length) break;
        uint8_t c = text.data[plain];
        if (c == '"' || c == '\\') {
            escape[1] = (char)c;
            ks_append(buffer, escape, 2);
        } else if (c < 0x20) {
            snprintf(escape, sizeof escape, "\\u%04x", c);
            ks_append(buffer, escape, 6);
        } else {
            ks_append(buffer, "\xEF\xBF\xBD", 3);
        }
        text = ks_skip(text, plain + 1);
    }
    ks_append(buffer, "\"", 1);
}

/* ---- what a dissector writes ----------------------------------------------------------------------------------- */

typedef enum { KS_REQUEST = 0, KS_RESPONSE = 1, KS_EVENT = 2 } ks_kind;
enum { KS_ONE_WAY = 1, KS_INTERIM = 4 }; /* flags of a message */

typedef struct {
    uint32_t item;
    uint8_t kind, flags;
    uint16_t fields;
    uint32_t start, end;
    uint64_t key;
    uint32_t first_field, reserved;
} ks_wire_message;

typedef struct {
    uint16_t id;
    uint8_t type, zero;
    uint32_t zeros;
    uint64_t value;
} ks_wire_field;

typedef struct {
    const ks_item *item;
    uint32_t index;
    ks_buffer messages, fields, heap;
} ks_writer;

/* The message that the following calls describe; not valid after the next ks_message. Never NULL inside. */
static inline ks_wire_message *ks_last_message(ks_writer *out) {
    if (out->messages.failed || out->messages.length < sizeof(ks_wire_message)) return NULL;
    return (ks_wire_message *)(void *)(out->messages.data + out->messages.length - sizeof(ks_wire_message));
}

/* Begin a message that lies at [start, end) of the item. Messages come in order of start. */
static inline void ks_message(ks_writer *out, ks_kind kind, uint32_t start, uint32_t end) {
    ks_wire_message *message = (ks_wire_message *)ks_grow(&out->messages, sizeof *message);
    if (!message) return;
    message->item = out->index;
    message->kind = (uint8_t)kind;
    message->flags = 0;
    message->fields = 0;
    message->start = start;
    message->end = end;
    message->key = 0;
    message->first_field = (uint32_t)(out->fields.length / sizeof(ks_wire_field));
    message->reserved = 0;
}

/* Pair request and response of equal keys; 0 pairs them in order. */
static inline void ks_key(ks_writer *out, uint64_t key) {
    ks_wire_message *message = ks_last_message(out);
    if (message) message->key = key;
}

static inline void ks_mark(ks_writer *out, uint8_t flags) {
    ks_wire_message *message = ks_last_message(out);
    if (message) message->flags |= flags;
}

static inline void ks_field(ks_writer *out, uint16_t id, uint8_t type, uint64_t value) {
    ks_wire_message *message = ks_last_message(out);
    if (!message || message->fields == UINT16_MAX) return;
    ks_wire_field *field = (ks_wire_field *)ks_grow(&out->fields, sizeof *field);
    if (!field) return;
    message->fields++;
    field->id = id;
    field->type = type;
    field->zero = 0;
    field->zeros = 0;
    field->value = value;
}

static inline void ks_int(ks_writer *out, uint16_t id, int64_t value) { ks_field(out, id, 0, (uint64_t)value); }

static inline void ks_double(ks_writer *out, uint16_t id, double value) {
    uint64_t raw;
    memcpy(&raw, &value, 8);
    ks_field(out, id, 1, raw);
}

static inline void ks_bool(ks_writer *out, uint16_t id, bool value) { ks_field(out, id, 2, value ? 1 : 0); }

static inline bool ks_inside(const ks_item *item, ks_bytes part) {
    uintptr_t start = (uintptr_t)item->bytes.data, at = (uintptr_t)part.data;
    return at >= start && at - start <= item->bytes.length && part.length <= item->bytes.length - (at - start);
}

/* Text or bytes: a part of the item is referred to, everything else is copied. */
static inline void ks_text(ks_writer *out, uint16_t id, ks_bytes text) {
    if (ks_inside(out->item, text)) {
        ks_field(out, id, 3, (uint64_t)ks_offset(out->item, text) | (uint64_t)text.length << 32);
        return;
    }
    size_t at = out->heap.length;
    ks_append_text(&out->heap, text);
    ks_field(out, id, 4, (uint64_t)at | (uint64_t)(out->heap.length - at) << 32);
}

static inline void ks_string(ks_writer *out, uint16_t id, const char *text) { ks_text(out, id, ks_literal(text)); }

static inline void ks_blob(ks_writer *out, uint16_t id, ks_bytes bytes) {
    if (ks_inside(out->item, bytes)) {
        ks_field(out, id, 6, (uint64_t)ks_offset(out->item, bytes) | (uint64_t)bytes.length << 32);
        return;
    }
    size_t at = out->heap.length;
    ks_append(&out->heap, bytes.data, bytes.length);
    ks_field(out, id, 5, (uint64_t)at | (uint64_t)bytes.length << 32);
}

/* A field of type `map`: names and values in turn, `pairs` of them. */
static inline void ks_map(ks_writer *out, uint16_t id, const ks_bytes *names_and_values, uint32_t pairs) {
    size_t at = out->heap.length;
    for (uint32_t i = 0; i < pairs; i++) {
        ks_append(&out->heap, i ? "," : "{", 1);
        ks_append_json(&out->heap, names_and_values[2 * (size_t)i]);
        ks_append(&out->heap, ":", 1);
        ks_append_json(&out->heap, names_and_values[2 * (size_t)i + 1]);
    }
    ks_append(&out->heap, pairs ? "}" : "{}", pairs ? 1 : 2);
    ks_field(out, id, 7, (uint64_t)at | (uint64_t)(out->heap.length - at) << 32);
}

/* A field of type `list`. */
static inline void ks_list(ks_writer *out, uint16_t id, const ks_bytes *values, uint32_t count) {
    size_t at = out->heap.length;
    for (uint32_t i = 0; i < count; i++) {
        ks_append(&out->heap, i ? "," : "[", 1);
        ks_append_json(&out->heap, values[i]);
    }
    ks_append(&out->heap, count ? "]" : "[]", count ? 1 : 2);
    ks_field(out, id, 7, (uint64_t)at | (uint64_t)(out->heap.length - at) << 32);
}

/* Say what is wrong with this message; its neighbours are not touched. Once a message. */
static inline void ks_error(ks_writer *out, const char *text) {
    ks_mark(out, 2);
    ks_string(out, 0xFFFF, *text ? text : "error");
}

/* ---- what a filter reads --------------------------------------------------------------------------------------- */

typedef struct {
    ks_bytes bytes;
    uint32_t count;
} ks_values; /* the call's arguments, then the variables that the manifest says the filter reads */

static inline bool ks_value(const ks_values *values, uint32_t index, uint8_t *type, uint64_t *raw) {
    if (index >= values->count) return false;
    const uint8_t *field = values->bytes.data + 8 + 16 * (size_t)index; /* count was checked */
    *type = field[2];
    memcpy(raw, field + 8, 8);
    return true;
}

static inline bool ks_value_int(const ks_values *values, uint32_t index, int64_t *out) {
    uint8_t type;
    uint64_t raw;
    if (!ks_value(values, index, &type, &raw) || type != 0) return false;
    *out = (int64_t)raw;
    return true;
}

static inline bool ks_value_double(const ks_values *values, uint32_t index, double *out) {
    uint8_t type;
    uint64_t raw;
    if (!ks_value(values, index, &type, &raw) || type != 1) return false;
    memcpy(out, &raw, 8);
    return true;
}

static inline bool ks_value_bool(const ks_values *values, uint32_t index, bool *out) {
    uint8_t type;
    uint64_t raw;
    if (!ks_value(values, index, &type, &raw) || type != 2) return false;
    *out = raw != 0;
    return true;
}

static inline bool ks_value_bytes(const ks_values *values, uint32_t index, ks_bytes *out) { /* text, bytes, JSON */
    uint8_t type;
    uint64_t raw;
    if (!ks_value(values, index, &type, &raw) || (type != 4 && type != 5 && type != 7)) return false;
    uint64_t offset = raw & 0xFFFFFFFFu, length = raw >> 32;
    if (offset > values->bytes.length || length > values->bytes.length - offset) return false;
    out->data = values->bytes.data + offset;
    out->length = (uint32_t)length;
    return true;
}

/* ---- what a renderer writes ------------------------------------------------------------------------------------ */

typedef struct {
    ks_buffer json;
    char list; /* what the section begun last still takes: 't' rows, 'p' points, 'r' ranges, 0 nothing */
    bool row;
} ks_render_side;

typedef struct {
    int32_t priority;        /* 10 unless set; below 0: not mine */
    ks_render_side sides[3]; /* by ks_kind */
} ks_render;

static inline void ks_close_list(ks_render_side *side) {
    if (side->list) ks_append(&side->json, "]}", 2);
    side->list = 0;
    side->row = false;
}

static inline void ks_open_list(ks_render_side *side, char list, const char *name) {
    ks_append(&side->json, name, strlen(name));
    side->list = list;
}

static inline bool ks_next_of_list(ks_render_side *side, char list) {
    if (side->list != list) return false;
    if (side->row) ks_append(&side->json, ",", 1);
    side->row = true;
    return true;
}

static inline void ks_json_number(ks_buffer *json, const char *name, uint64_t value) {
    char digits[48];
    int length = snprintf(digits, sizeof digits, "%s%llu", name, (unsigned long long)value);
    ks_append(json, digits, length > 0 ? (size_t)length : 0);
}

static inline void ks_section(ks_render_side *side, const char *type, const char *title) {
    ks_close_list(side);
    if (side->json.length) ks_append(&side->json, ",", 1);
    ks_append(&side->json, "{\"type\":", 8);
    ks_append_json(&side->json, ks_literal(type));
    ks_append(&side->json, ",\"title\":", 9);
    ks_append_json(&side->json, ks_literal(title));
}

/* Begin a table; rows follow. */
static inline void ks_table(ks_render *out, ks_kind kind, const char *title) {
    ks_render_side *side = &out->sides[kind];
    ks_section(side, "table", title);
    ks_open_list(side, 't', ",\"tableData\":[");
}

static inline bool ks_row(ks_render_side *side, const char *name, const char *selector) { /* up to the value */
    if (!ks_next_of_list(side, 't')) return false;
    ks_append(&side->json, "{\"name\":", 8);
    ks_append_json(&side->json, ks_literal(name));
    ks_append(&side->json, ",\"selector\":", 12);
    ks_append_json(&side->json, ks_literal(selector));
    ks_append(&side->json, ",\"value\":", 9);
    return true;
}

/* A row of the table begun last; `selector` is the left side of `selector == value` in KFL, "" if there is none. */
static inline void ks_row_text(ks_render *out, ks_kind kind, const char *name, ks_bytes value, const char *selector) {
    ks_render_side *side = &out->sides[kind];
    if (!ks_row(side, name, selector)) return;
    ks_append_json(&side->json, value);
    ks_append(&side->json, "}", 1);
}

static inline void ks_row_int(ks_render *out, ks_kind kind, const char *name, int64_t value, const char *selector) {
    ks_render_side *side = &out->sides[kind];
    char digits[24];
    if (!ks_row(side, name, selector)) return;
    int length = snprintf(digits, sizeof digits, "%lld", (long long)value);
    ks_append(&side->json, digits, length > 0 ? (size_t)length : 0);
    ks_append(&side->json, "}", 1);
}

static inline void ks_append_base64(ks_buffer *json, ks_bytes data) {
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    ks_append(json, ",\"encoding\":\"base64\",\"body\":\"", 29);
    for (uint32_t i = 0; i < data.length; i += 3) {
        uint32_t rest = data.length - i;
        uint32_t bits = (uint32_t)data.data[i] << 16;
        if (rest > 1) bits |= (uint32_t)data.data[i + 1] << 8;
        if (rest > 2) bits |= data.data[i + 2];
        char four[4] = {letters[bits >> 18], letters[bits >> 12 & 63], rest > 1 ? letters[bits >> 6 & 63] : '=',
                        rest > 2 ? letters[bits & 63] : '='};
        ks_append(json, four, 4);
    }
    ks_append(json, "\"", 1);
}

static inline void ks_text_section(ks_render_side *side, const char *type, const char *title, ks_bytes data,
                                   const char *mime_type) {
    ks_section(side, type, title);
    ks_append(&side->json, ",\"mimeType\":", 12);
    ks_append_json(&side->json, ks_literal(mime_type));
    if (ks_is_utf8(data)) {
        ks_append(&side->json, ",\"body\":", 8);
        ks_append_json(&side->json, data);
    } else {
        ks_append_base64(&side->json, data);
    }
    ks_append(&side->json, "}", 1);
}

/* A body: text where it is UTF-8, base64 otherwise. */
static inline void ks_body(ks_render *out, ks_kind kind, const char *title, ks_bytes data, const char *mime_type) {
    ks_text_section(&out->sides[kind], "body", title, data, mime_type);
}

/* Text that is shown as it is: a statement, a dump. */
static inline void ks_code(ks_render *out, ks_kind kind, const char *title, ks_bytes text, const char *mime_type) {
    ks_text_section(&out->sides[kind], "code", title, text, mime_type);
}

/* A picture: image/png, jpeg, gif or webp. */
static inline void ks_image(ks_render *out, ks_kind kind, const char *title, ks_bytes data, const char *mime_type) {
    ks_render_side *side = &out->sides[kind];
    ks_section(side, "image", title);
    ks_append(&side->json, ",\"mimeType\":", 12);
    ks_append_json(&side->json, ks_literal(mime_type));
    ks_append_base64(&side->json, data);
    ks_append(&side->json, "}", 1);
}

/* Begin a dump of bytes; ranges may follow. */
static inline void ks_hex(ks_render *out, ks_kind kind, const char *title, ks_bytes data) {
    ks_render_side *side = &out->sides[kind];
    ks_section(side, "hex", title);
    ks_append_base64(&side->json, data);
    ks_open_list(side, 'r', ",\"ranges\":[");
}

/* What the bytes [start, end) of the dump begun last are; rows with the same selector are linked to them. */
static inline void ks_range(ks_render *out, ks_kind kind, uint32_t start, uint32_t end, const char *name,
                            const char *selector) {
    ks_render_side *side = &out->sides[kind];
    if (!ks_next_of_list(side, 'r')) return;
    ks_json_number(&side->json, "{\"start\":", start);
    ks_json_number(&side->json, ",\"end\":", end);
    ks_append(&side->json, ",\"name\":", 8);
    ks_append_json(&side->json, ks_literal(name));
    ks_append(&side->json, ",\"selector\":", 12);
    ks_append_json(&side->json, ks_literal(selector));
    ks_append(&side->json, "}", 1);
}

/* Begin a timeline; points follow. */
static inline void ks_timeline(ks_render *out, ks_kind kind, const char *title) {
    ks_render_side *side = &out->sides[kind];
    ks_section(side, "timeline", title);
    ks_open_list(side, 'p', ",\"points\":[");
}

/* A point of the timeline begun last: microseconds from its start, and who did it: KS_CLIENT or KS_SERVER. */
static inline void ks_point(ks_render *out, ks_kind kind, uint64_t micros, const char *label, uint8_t direction) {
    ks_render_side *side = &out->sides[kind];
    if (!ks_next_of_list(side, 'p')) return;
    ks_json_number(&side->json, "{\"t\":", micros);
    ks_append(&side->json, ",\"label\":", 9);
    ks_append_json(&side->json, ks_literal(label));
    ks_append(&side->json, ",\"direction\":", 13);
    ks_append_json(&side->json, ks_literal(direction == KS_CLIENT ? "client" : "server"));
    ks_append(&side->json, "}", 1);
}

/* ---- what `enrich` writes -------------------------------------------------------------------------------------- */

typedef struct {
    ks_buffer tags, set, redact;
    bool drop;
} ks_enrichment;

static inline void ks_comma(ks_buffer *list) {
    if (list->length) ks_append(list, ",", 1);
}

/* No query shows the entry; its packets stay in the store. */
static inline void ks_drop(ks_enrichment *out) { out->drop = true; }

static inline void ks_tag(ks_enrichment *out, const char *tag) {
    ks_comma(&out->tags);
    ks_append_json(&out->tags, ks_literal(tag));
}

static inline void ks_set_name(ks_enrichment *out, const char *variable) {
    ks_comma(&out->set);
    ks_append_json(&out->set, ks_literal(variable));
    ks_append(&out->set, ":", 1);
}

/* Set a variable of [[enrich.variables]]. */
static inline void ks_set_text(ks_enrichment *out, const char *variable, ks_bytes text) {
    ks_set_name(out, variable);
    ks_append_json(&out->set, text);
}

static inline void ks_append_int(ks_buffer *out, int64_t value) {
    char digits[24];
    int length = snprintf(digits, sizeof digits, "%lld", (long long)value);
    ks_append(out, digits, length > 0 ? (size_t)length : 0);
}

static inline void ks_set_int(ks_enrichment *out, const char *variable, int64_t value) {
    ks_set_name(out, variable);
    ks_append_int(&out->set, value);
}

static inline void ks_set_bool(ks_enrichment *out, const char *variable, bool value) {
    ks_set_name(out, variable);
    ks_append(&out->set, value ? "true" : "false", value ? 4 : 5);
}

static inline void ks_redaction(ks_enrichment *out, const char *key, ks_bytes what, const char *value) {
    ks_comma(&out->redact);
    ks_append(&out->redact, "{", 1);
    ks_append_json(&out->redact, ks_literal(key));
    ks_append(&out->redact, ":", 1);
    ks_append_json(&out->redact, what);
    ks_append(&out->redact, ",\"value\":", 9);
    ks_append_json(&out->redact, ks_literal(value));
    ks_append(&out->redact, "}", 1);
}

/* Redact a variable, a key of a map (`request.headers["cookie"]`) or a place in the JSON entry. */
static inline void ks_redact(ks_enrichment *out, const char *path, const char *value) {
    ks_redaction(out, "path", ks_literal(path), value);
}

/* Redact a text wherever it occurs in the entry. */
static inline void ks_redact_text(ks_enrichment *out, ks_bytes text, const char *value) {
    if (text.length) ks_redaction(out, "text", text, value);
}

/* ---- what `summarize` writes ----------------------------------------------------------------------------------- */

typedef struct {
    ks_buffer json;
} ks_cells;

static inline void ks_cell(ks_cells *out, const char *name, ks_bytes text) {
    ks_comma(&out->json);
    ks_append_json(&out->json, ks_literal(name));
    ks_append(&out->json, ":", 1);
    ks_append_json(&out->json, text);
}

/* `variable == "text"` under the name of a query; nothing for a cell that selects nothing. */
static inline void ks_cell_query(ks_cells *out, const char *name, const char *variable, ks_bytes literal) {
    ks_buffer kfl;
    if (!*variable) return;
    memset(&kfl, 0, sizeof kfl);
    ks_append(&kfl, variable, strlen(variable));
    ks_append(&kfl, " == ", 4);
    ks_append(&kfl, literal.data, literal.length);
    if (kfl.failed) {
        out->json.failed = true;
    } else {
        ks_bytes query = {kfl.data, (uint32_t)kfl.length};
        ks_cell(out, name, query);
    }
    free(kfl.data);
}

static inline void ks_text_cell(ks_cells *out, const char *name, const char *query, ks_bytes text, const char *variable) {
    ks_buffer literal;
    memset(&literal, 0, sizeof literal);
    ks_cell(out, name, text);
    ks_append_json(&literal, text); /* KFL writes strings as JSON does */
    if (literal.failed) {
        out->json.failed = true;
    } else {
        ks_bytes quoted = {literal.data, (uint32_t)literal.length};
        ks_cell_query(out, query, variable, quoted);
    }
    free(literal.data);
}

/* The cells of a row. `variable` is the one that the cell shows: a click selects its equals; "" selects nothing. */
static inline void ks_cell_method(ks_cells *out, ks_bytes text, const char *variable) {
    ks_text_cell(out, "method", "methodQuery", text, variable);
}

static inline void ks_cell_summary(ks_cells *out, ks_bytes text, const char *variable) {
    ks_text_cell(out, "summary", "summaryQuery", text, variable);
}

static inline void ks_cell_status(ks_cells *out, int64_t status, const char *variable) {
    ks_buffer digits;
    memset(&digits, 0, sizeof digits);
    ks_append_int(&digits, status);
    ks_comma(&out->json);
    ks_append(&out->json, "\"status\":", 9);
    ks_append(&out->json, digits.data, digits.length);
    if (!digits.failed) {
        ks_bytes literal = {digits.data, (uint32_t)digits.length};
        ks_cell_query(out, "statusQuery", variable, literal);
    }
    free(digits.data);
}

/* ---- what jobs and the life cycle write ------------------------------------------------------------------------ */

typedef struct {
    ks_buffer error, log;
} ks_report;

/* Say why it cannot be done: settings are refused, a job failed. The first text counts. */
static inline void ks_refuse(ks_report *out, const char *text) {
    if (!out->error.length) ks_append_json(&out->error, ks_literal(*text ? text : "refused"));
}

/* A line for the plugin's log. */
static inline void ks_log(ks_report *out, ks_bytes line) {
    ks_comma(&out->log);
    ks_append_json(&out->log, line);
}

/* ---- packets and segments -------------------------------------------------------------------------------------- */

typedef enum { KS_KEEP = 0, KS_DROP_PACKET = 1, KS_MARK_PACKET = 2 } ks_packet_verdict;

typedef struct {
    ks_bytes bytes;     /* from the link layer on */
    uint64_t time_ns;   /* since 1970 */
    uint32_t length;    /* on the wire; `bytes` may be fewer */
    uint32_t link_type; /* LINKTYPE_* of the tcpdump.org registry: 1 is Ethernet */
} ks_packet;

typedef struct {
    ks_bytes name;
    ks_bytes path; /* of the encrypted packets */
    int64_t first_ns, last_ns;
    int64_t packets, flows;
    int64_t bytes, stored_bytes; /* captured; compressed, before encryption */
    int64_t link_type;
    ks_bytes source; /* name of the capture file */
} ks_segment;

/* ---- asking for what the manifest's permissions name ------------------------------------------------------------ */

/* Only in segment_sealed, job, configure, start and stop: elsewhere every request is refused. A function waits for its
 * answer and is false for a refusal or a failure: then ks_answer_error says why. What an answer's parts point to is valid
 * until the next request. */
typedef struct {
    uint32_t status; /* 0: done; KS_REFUSED and others */
    uint32_t count;  /* parts */
    ks_bytes message;
} ks_answer;

enum { KS_REFUSED = 1, KS_SERVICE_FAILED = 2, KS_TOO_LATE = 3, KS_INVALID = 4 };
#define KS_MAX_MESSAGE (8u << 20)

typedef int64_t (*ks_ask_function)(const uint8_t *request, uint64_t length, const uint8_t **answer);

/* One of the answer's parts; empty if there is none. */
static inline ks_bytes ks_answer_part(const ks_answer *answer, uint32_t index) {
    ks_bytes part = {(const uint8_t *)"", 0};
    uint64_t at = 8 + 4 * (uint64_t)answer->count;
    if (index >= answer->count || at > answer->message.length) return part;
    for (uint32_t i = 0;; i++) {
        uint32_t length;
        memcpy(&length, answer->message.data + 8 + 4 * (size_t)i, 4);
        if (length > answer->message.length - at) return part;
        if (i == index) {
            part.data = answer->message.data + at;
            part.length = length;
            return part;
        }
        at += length;
    }
}

static inline ks_bytes ks_answer_error(const ks_answer *answer) {
    return answer->status ? ks_answer_part(answer, 0) : ks_literal("");
}

static ks_ask_function ks_ask_host; /* set by the host, once */

static inline bool ks_ask(ks_answer *out, const ks_bytes *parts, uint32_t count) {
    static const uint8_t nobody[] = "\1\0\0\0\1\0\0\0\27\0\0\0nobody can be asked yet";
    uint64_t length = 8 + 4 * (uint64_t)count, at = length;
    uint8_t *request = NULL;
    const uint8_t *answer = nobody;
    int64_t got = sizeof nobody - 1;
    for (uint32_t i = 0; i < count; i++) length += parts[i].length;
    if (ks_ask_host && length <= KS_MAX_MESSAGE + 4096) request = (uint8_t *)calloc(1, (size_t)length);
    if (request) {
        memcpy(request + 4, &count, 4);
        for (uint32_t i = 0; i < count; i++) {
            memcpy(request + 8 + 4 * (size_t)i, &parts[i].length, 4);
            if (parts[i].length) memcpy(request + at, parts[i].data, parts[i].length);
            at += parts[i].length;
        }
        got = ks_ask_host(request, length, &answer);
        free(request);
    } else if (ks_ask_host) {
        static const uint8_t large[] = "\4\0\0\0\1\0\0\0\37\0\0\0a request has at most 8 MiB bytes";
        answer = large;
        got = sizeof large - 1;
    }
    memset(out, 0, sizeof *out);
    out->status = KS_SERVICE_FAILED;
    if (got < 8 || got > KS_MAX_MESSAGE || !answer) return false;
    memcpy(&out->status, answer, 4);
    memcpy(&out->count, answer + 4, 4);
    out->message.data = answer;
    out->message.length = (uint32_t)got;
    return out->status == 0;
}

#include "kubeshark_services.h"

/* ---- what a plugin defines ------------------------------------------------------------------------------------- */

typedef enum { KS_NOT_MINE = 0, KS_MINE = 1, KS_NEED_MORE = 2 } ks_verdict;
typedef enum { KS_FALSE = 0, KS_TRUE = 1, KS_FAILED = 2 } ks_truth;

#include "kubeshark_hooks.h"

extern const ks_plugin_hooks ks_plugin; /* NULL for a hook that you lack */

/* ---- the ABI (internal) ---------------------------------------------------------------------------------------- */

enum { KS_REQUEST_HEADER = 32, KS_ITEM_SIZE = 48, KS_RESULT_HEADER = 32 };
enum { KS_AHEAD = 512, KS_PREFETCHED = 4096 }; /* bytes from an item's end on; the longest item that it is done for */
#define KS_REQUEST_MAGIC 0x3142534Bu
#define KS_RESULT_MAGIC 0x3152534Bu

typedef struct {
    uint32_t magic;
    uint16_t abi, hook;
    uint32_t items, messages, fields, heap_bytes, total, reserved;
} ks_wire_result;

#ifdef __cplusplus
static_assert(sizeof(ks_wire_message) == 32 && sizeof(ks_wire_field) == 16 && sizeof(ks_wire_result) == 32, "ABI");
#else
_Static_assert(sizeof(ks_wire_message) == 32 && sizeof(ks_wire_field) == 16 && sizeof(ks_wire_result) == 32, "ABI");
#endif

typedef struct {
    const uint8_t *data;
    uint64_t length;
    uint32_t items, payload_offset;
} ks_request;

static inline bool ks_request_of(const uint8_t *data, uint64_t length, uint32_t hook, ks_request *out) {
    uint32_t magic, items, payload_offset, total;
    uint16_t abi, its_hook;
    if (length < KS_REQUEST_HEADER) return false;
    memcpy(&magic, data, 4);
    memcpy(&abi, data + 4, 2);
    memcpy(&its_hook, data + 6, 2);
    memcpy(&items, data + 8, 4);
    memcpy(&payload_offset, data + 16, 4);
    memcpy(&total, data + 20, 4);
    if (magic != KS_REQUEST_MAGIC || abi != KS_ABI || its_hook != hook || total > length) return false;
    if (payload_offset > total || items > (payload_offset - KS_REQUEST_HEADER) / KS_ITEM_SIZE) return false;
    out->data = data;
    out->length = total;
    out->items = items;
    out->payload_offset = payload_offset;
    return true;
}

static inline bool ks_item_of(const ks_request *request, uint32_t index, ks_item *out) {
    const uint8_t *at = request->data + KS_REQUEST_HEADER + KS_ITEM_SIZE * (size_t)index; /* index < items */
    uint32_t offset;
    uint64_t payload = request->length - request->payload_offset;
    memcpy(&offset, at, 4);
    memcpy(&out->bytes.length, at + 4, 4);
    if (offset > payload || out->bytes.length > payload - offset) return false;
    out->bytes.data = request->data + request->payload_offset + offset;
    memcpy(&out->stream, at + 8, 8);
    memcpy(&out->time_ns, at + 16, 8);
    out->direction = at[24];
    out->transport = at[25];
    memcpy(&out->flags, at + 26, 2);
    memcpy(&out->client_port, at + 28, 2);
    memcpy(&out->server_port, at + 30, 2);
    memcpy(&out->argument, at + 32, 4);
    memcpy(&out->base, at + 40, 8);
    return true;
}

/* Have the bytes behind an item fetched while it is looked at: another core wrote them. */
static inline void ks_prefetch_next(const ks_request *request, const ks_item *item) {
    const uint64_t end = request->length;
    uint64_t at = (uint64_t)(item->bytes.data - request->data) + item->bytes.length + KS_AHEAD, stop = at + item->bytes.length;
    if (item->bytes.length > KS_PREFETCHED) return; /* the processor notices by itself */
    for (; at < stop && at < end; at += 64) __builtin_prefetch(request->data + at);
}

static inline size_t ks_aligned(size_t length) { return (length + 7) & ~(size_t)7; }

/* Writes parts behind each other into `out`; counts on when it is full. */
typedef struct {
    uint8_t *out;
    uint64_t capacity, length;
} ks_result;

static inline void ks_part(ks_result *result, const void *data, size_t length) {
    size_t padded = ks_aligned(length);
    if (result->length <= result->capacity && padded <= result->capacity - result->length) {
        uint8_t *at = result->out + result->length;
        if (length) memcpy(at, data, length);
        memset(at + length, 0, padded - length);
    }
    result->length += padded;
}

static inline int64_t ks_finish(ks_result *result, ks_wire_result header) {
    if (result->length > UINT32_MAX) return 0;
    if (result->length > result->capacity) return -(int64_t)result->length;
    header.magic = KS_RESULT_MAGIC;
    header.abi = (uint16_t)KS_ABI;
    header.total = (uint32_t)result->length;
    memcpy(result->out, &header, sizeof header);
    return (int64_t)result->length;
}

static inline bool ks_values_of(const ks_item *item, ks_values *out) {
    uint32_t fits = item->bytes.length < 8 ? 0 : (item->bytes.length - 8) / 16;
    out->bytes = item->bytes;
    out->count = 0;
    if (item->bytes.length >= 8) memcpy(&out->count, item->bytes.data, 4);
    return out->count <= fits;
}

static inline bool ks_answer_one(uint32_t hook, const ks_item *item, uint8_t *answer) {
    ks_values values;
    ks_packet packet = {item->bytes, item->time_ns, item->argument, (uint32_t)item->base};
    switch (hook) {
        case KS_HOOK_PROBE: *answer = (uint8_t)ks_plugin.probe(item); return true;
        case KS_HOOK_PACKET_FILTER: *answer = (uint8_t)ks_plugin.packet_filter(&packet); return true;
        default:
            if (!ks_values_of(item, &values)) return false;
            *answer = (uint8_t)ks_plugin.filter(item->argument, &values);
            return true;
    }
}

static inline int64_t ks_answer_each(const ks_request *request, uint32_t hook, uint8_t *out, uint64_t capacity) {
    ks_result result = {out, capacity, KS_RESULT_HEADER + (uint64_t)ks_aligned(request->items)};
    if (result.length <= capacity) {
        memset(out + KS_RESULT_HEADER, 0, (size_t)(result.length - KS_RESULT_HEADER));
        for (uint32_t i = 0; i < request->items; i++) {
            ks_item item;
            if (!ks_item_of(request, i, &item) || !ks_answer_one(hook, &item, out + KS_RESULT_HEADER + i)) return 0;
        }
    }
    ks_wire_result header = {0, 0, (uint16_t)hook, request->items, 0, 0, 0, 0, 0};
    return ks_finish(&result, header);
}

/* Kept from call to call: growing, and the pages of new memory, cost a third of a small dissector's time. */
static inline void ks_reuse(ks_buffer *buffer) {
    if (buffer->failed || buffer->capacity > KS_MAX_KEPT) {
        free(buffer->data);
        memset(buffer, 0, sizeof *buffer);
    }
    buffer->length = 0;
}

static inline int64_t ks_answer_dissect(const ks_request *request, uint8_t *out, uint64_t capacity) {
    static ks_writer writer; /* calls come from one thread */
    static ks_buffer consumed;
    ks_buffer *const parts[4] = {&consumed, &writer.messages, &writer.fields, &writer.heap};
    for (int i = 0; i < 4; i++) ks_reuse(parts[i]);
    for (uint32_t i = 0; i < request->items; i++) {
        ks_item item;
        uint32_t count;
        if (!ks_item_of(request, i, &item)) return 0;
        ks_prefetch_next(request, &item);
        writer.item = &item;
        writer.index = i;
        count = ks_plugin.dissect(&item, &writer);
        if (item.transport != KS_TCP) count = item.bytes.length; /* a datagram is always done with */
        ks_append(&consumed, &count, sizeof count);
    }
    writer.item = NULL;
    if (consumed.failed || writer.messages.failed || writer.fields.failed || writer.heap.failed) return 0;
    ks_result result = {out, capacity, KS_RESULT_HEADER};
    ks_wire_result header = {0, 0, KS_HOOK_DISSECT, request->items, 0, 0, 0, 0, 0};
    header.messages = (uint32_t)(writer.messages.length / sizeof(ks_wire_message));
    header.fields = (uint32_t)(writer.fields.length / sizeof(ks_wire_field));
    header.heap_bytes = (uint32_t)writer.heap.length;
    for (int i = 0; i < 4; i++) ks_part(&result, parts[i]->data, parts[i]->length);
    return ks_finish(&result, header);
}

static inline void ks_render_json(ks_render *render, ks_buffer *heap) {
    static const char *const names[3] = {",\"request\":[", ",\"response\":[", ",\"event\":["};
    char head[40];
    int length = snprintf(head, sizeof head, "{\"priority\":%d", (int)render->priority);
    ks_append(heap, head, length > 0 ? (size_t)length : 0);
    for (int kind = 0; kind < 3; kind++) {
        ks_render_side *side = &render->sides[kind];
        ks_close_list(side);
        ks_append(heap, names[kind], strlen(names[kind]));
        ks_append(heap, side->json.data, side->json.length);
        ks_append(heap, "]", 1);
        if (side->json.failed) heap->failed = true;
        free(side->json.data);
    }
    ks_append(heap, "}", 1);
}

static inline void ks_json_part(ks_buffer *heap, const char *head, ks_buffer *part, const char *tail) {
    ks_append(heap, head, strlen(head));
    ks_append(heap, part->data, part->length);
    ks_append(heap, tail, strlen(tail));
    if (part->failed) heap->failed = true;
    free(part->data);
}

static inline bool ks_text_render(const ks_item *request, const ks_item *response, ks_buffer *heap) {
    ks_render render;
    memset(&render, 0, sizeof render);
    render.priority = 10;
    if (ks_plugin.render(request, response, &render)) {
        ks_render_json(&render, heap);
    } else {
        for (int kind = 0; kind < 3; kind++) free(render.sides[kind].json.data);
    }
    return true;
}

static inline bool ks_text_enrich(const ks_item *item, ks_buffer *heap) {
    ks_values values;
    ks_enrichment out;
    if (!ks_values_of(item, &values)) return false;
    memset(&out, 0, sizeof out);
    ks_plugin.enrich(&values, &out);
    ks_json_part(heap, out.drop ? "{\"drop\":true,\"tags\":[" : "{\"tags\":[", &out.tags, "]");
    ks_json_part(heap, ",\"set\":{", &out.set, "}");
    ks_json_part(heap, ",\"redact\":[", &out.redact, "]}");
    return true;
}

static inline bool ks_text_summarize(const ks_item *item, ks_buffer *heap) {
    ks_values values;
    ks_cells out;
    if (!ks_values_of(item, &values)) return false;
    memset(&out, 0, sizeof out);
    if (ks_plugin.summarize(&values, &out)) {
        ks_json_part(heap, "{", &out.json, "}");
    } else {
        free(out.json.data);
    }
    return true;
}

static inline bool ks_segment_of(const ks_values *values, ks_segment *out) {
    memset(out, 0, sizeof *out);
    return ks_value_bytes(values, 0, &out->name) && ks_value_bytes(values, 1, &out->path) &&
           ks_value_int(values, 2, &out->first_ns) && ks_value_int(values, 3, &out->last_ns) &&
           ks_value_int(values, 4, &out->packets) && ks_value_int(values, 5, &out->flows) &&
           ks_value_int(values, 6, &out->bytes) && ks_value_int(values, 7, &out->stored_bytes) &&
           ks_value_int(values, 8, &out->link_type) && ks_value_bytes(values, 9, &out->source);
}

static inline bool ks_text_report(uint32_t hook, const ks_item *item, ks_buffer *heap) {
    ks_values values;
    ks_report out;
    ks_segment segment;
    int64_t due_ns = 0;
    if (!ks_values_of(item, &values)) return false;
    memset(&out, 0, sizeof out);
    switch (hook) {
        case KS_HOOK_SEGMENT_SEALED:
            if (!ks_segment_of(&values, &segment)) return false;
            ks_plugin.segment_sealed(&segment, &out);
            break;
        case KS_HOOK_JOB:
            if (!ks_value_int(&values, 0, &due_ns)) return false;
            ks_plugin.job(item->argument, due_ns, &out);
            break;
        case KS_HOOK_CONFIGURE: ks_plugin.configure(&values, &out); break;
        case KS_HOOK_START: ks_plugin.start(&out); break;
        default: ks_plugin.stop(&out); break;
    }
    if (!out.error.length && !out.error.failed) ks_append_json(&out.error, ks_literal(""));
    ks_json_part(heap, "{\"error\":", &out.error, "");
    ks_json_part(heap, ",\"log\":[", &out.log, "]}");
    return true;
}

static inline int64_t ks_answer_texts(const ks_request *request, uint32_t hook, uint8_t *out, uint64_t capacity) {
    const uint32_t each = hook == KS_HOOK_RENDER ? 2 : 1;
    ks_buffer spans, heap;
    int64_t written = 0;
    memset(&spans, 0, sizeof spans);
    memset(&heap, 0, sizeof heap);
    for (uint32_t i = 0; i + each <= request->items; i += each) {
        ks_item items[2];
        uint32_t span[2] = {(uint32_t)heap.length, 0};
        bool done;
        if (!ks_item_of(request, i, &items[0]) || !ks_item_of(request, i + each - 1, &items[1])) goto end;
        switch (hook) {
            case KS_HOOK_RENDER: done = ks_text_render(&items[0], &items[1], &heap); break;
            case KS_HOOK_ENRICH: done = ks_text_enrich(&items[0], &heap); break;
            case KS_HOOK_SUMMARIZE: done = ks_text_summarize(&items[0], &heap); break;
            default: done = ks_text_report(hook, &items[0], &heap); break;
        }
        if (!done) goto end;
        span[1] = (uint32_t)heap.length - span[0];
        ks_append(&spans, span, sizeof span);
    }
    if (!spans.failed && !heap.failed) {
        ks_result result = {out, capacity, KS_RESULT_HEADER};
        ks_wire_result header = {0, 0, (uint16_t)hook, request->items / each, 0, 0, 0, 0, 0};
        header.heap_bytes = (uint32_t)heap.length;
        ks_part(&result, spans.data, spans.length);
        ks_part(&result, heap.data, heap.length);
        written = ks_finish(&result, header);
    }
end:
    free(spans.data);
    free(heap.data);
    return written;
}

KS_EXPORT uint32_t ks_abi(void) { return KS_ABI; }

KS_EXPORT void ks_connect(ks_ask_function ask) { ks_ask_host = ask; }

KS_EXPORT uint32_t ks_hooks(void) { return ks_hook_bits(&ks_plugin); }

KS_EXPORT int64_t ks_call(uint32_t hook, const uint8_t *in, uint64_t in_len, uint8_t *out, uint64_t out_cap) {
    ks_request request;
    if (hook > 31 || !(ks_hooks() >> hook & 1) || !ks_request_of(in, in_len, hook, &request)) return 0;
    switch (hook) {
        case KS_HOOK_DISSECT: return ks_answer_dissect(&request, out, out_cap);
        case KS_HOOK_PACKET_FILTER:
        case KS_HOOK_PROBE:
        case KS_HOOK_FILTER: return ks_answer_each(&request, hook, out, out_cap);
        default: return ks_answer_texts(&request, hook, out, out_cap);
    }
}

#ifdef __cplusplus
}
#endif

#endif
