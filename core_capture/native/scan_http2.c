/* HTTP/2 by prior knowledge (RFC 9113), with gRPC on it, from the preface on or from any frame on: connections live
 * long, so what the dissector calls unknown is unknown here, too.
 *
 * Left to the dissector: pushes, CONNECT, header blocks in several frames, frames of extensions or behind the end of
 * their stream, and what may be GraphQL. Streams that were reset are scanned: nothing but `error` tells of it.
 * Protocol: 1 is gRPC. Numbers: status (responses), bytes of the header blocks, bytes of the body. Texts of requests:
 * method, path, authority; of responses: status and message of gRPC, nothing, content type. Key: the stream.
 * Oracle: pipeline/dissectors/web/http2.py and _http2_halves.py. */
#include "scan.h"

#define H2_PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#define H2_PREFACE_BYTES 24u
#define H2_HEADER 9u
#define H2_BLOCK (64u << 10) /* bytes of a header block; the dissector takes more */
#define H2_MAX_SURE (0x4000u + 256u) /* the dissector's MAX_FOUND: longest frame that begins a side in the middle */
#define H2_SURE 3                    /* frames that must be sure there */
#define H2_PROBED (64u << 10)        /* bytes of such a side that the dissector's probe reads */
#define H2_PROBED_FIELDS 4u          /* of a header section, in which it looks for one of HTTP's */
#define H2_MOVED (1u << 20)          /* exchanges moved for others that belong between them, in all */
#define H2_CARRY 15u         /* of a body, kept to find words across frames: one less than the longest, with quotes */
#define H2_GRPC 1u

enum { H2_DATA, H2_HEADERS, H2_PRIORITY, H2_RESET, H2_SETTINGS, H2_PUSH, H2_PING, H2_GOAWAY, H2_WINDOW };
enum { H2_END_STREAM = 1, H2_END_HEADERS = 4, H2_PADDED = 8, H2_HAS_PRIORITY = 32 };

/* What one side says on a stream. */
typedef struct {
    uint32_t row; /* of the scan's messages; KC_NONE before it begins */
    bool has_head, has_ended, is_interim, is_grpc, is_searched, has_late_status, has_late_message;
    bool has_method, has_status; /* that say something */
    uint8_t carry_length;
    uint8_t carry[H2_CARRY];
} h2_half;

typedef struct {
    uint32_t stream;
    h2_half half[2];
} h2_exchange;

struct h2_reader {
    hpack_decoder hpack;
    h2_exchange *exchanges; /* by stream */
    size_t count, capacity, last, moved;
    bool is_sure_of_http; /* the dissector's probe would be, by a header section of the client's */
};

typedef struct {
    uint8_t kind, flags;
    uint32_t stream;
    size_t start, body, end; /* the body without padding and priority */
    size_t next;
} h2_frame;

static void h2_free(struct h2_reader *reader) {
    if (reader) free(reader->exchanges);
    free(reader);
}

/* Do type, stream and length agree (RFC 9113 §6)? */
static bool is_frame(uint8_t kind, uint8_t flags, uint32_t stream, uint32_t length) {
    switch (kind) {
        case H2_DATA:
        case H2_HEADERS: return stream != 0;
        case H2_PRIORITY: return stream != 0 && length == 5;
        case H2_RESET: return stream != 0 && length == 4;
        case H2_SETTINGS: return stream == 0 && length % 6 == 0 && !((flags & 1) && length);
        case H2_PING: return stream == 0 && length == 8;
        case H2_GOAWAY: return stream == 0 && length >= 8;
        case H2_WINDOW: return length == 4;
        default: return false;
    }
}

/* Read the frame at side[at..]; false unless it is whole and plain. */
static bool read_frame(const scan_side *side, size_t at, h2_frame *out) {
    if (side->length - at < H2_HEADER) return false;
    const uint8_t *head = side->data + at;
    uint32_t length = load_be32(head) >> 8;
    *out = (h2_frame){head[3], head[4], load_be32(head + 5) & 0x7FFFFFFFu, at, at + H2_HEADER, at + H2_HEADER + length, 0};
    if (length > side->length - at - H2_HEADER || !is_frame(out->kind, out->flags, out->stream, length)) return false;
    out->next = out->end;
    if (out->kind > H2_HEADERS) return true;
    size_t extra = (out->flags & H2_PADDED ? 1u : 0u) + (out->kind == H2_HEADERS && out->flags & H2_HAS_PRIORITY ? 5u : 0u);
    size_t padding = out->flags & H2_PADDED && length ? side->data[out->body] : 0u;
    out->body += extra;
    out->end -= padding;
    return extra + padding <= length;
}

/* Find the exchange of a stream, or add it; NULL if the dissector had better look. Clients number theirs upwards, so few
 * are added between others. */
static h2_exchange *find_exchange(struct h2_reader *reader, uint32_t stream) {
    if (reader->last < reader->count && reader->exchanges[reader->last].stream == stream) {
        return &reader->exchanges[reader->last];
    }
    size_t low = 0, high = reader->count;
    if (high && reader->exchanges[high - 1].stream < stream) low = high;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (reader->exchanges[middle].stream < stream) low = middle + 1;
        else high = middle;
    }
    reader->last = low;
    if (low < reader->count && reader->exchanges[low].stream == stream) return &reader->exchanges[low];
    size_t behind = reader->count - low;
    reader->moved += behind;
    if (reader->moved > H2_MOVED || !array_reserve((void **)&reader->exchanges, &reader->capacity, reader->count,
                                                   sizeof *reader->exchanges)) {
        return NULL;
    }
    h2_exchange *exchange = &reader->exchanges[low];
    memmove(exchange + 1, exchange, behind * sizeof *exchange);
    reader->count++;
    *exchange = (h2_exchange){.stream = stream, .half = {{.row = KC_NONE}, {.row = KC_NONE}}};
    return exchange;
}

/* Find what a side says on a stream; its message begins with this frame if it is the first. NULL if it had ended. */
static h2_half *find_half(kc_scan *scan, const scan_stream *stream, const h2_frame *frame, uint32_t direction,
                          struct h2_reader *reader) {
    h2_exchange *exchange = find_exchange(reader, frame->stream);
    h2_half *half = exchange ? &exchange->half[direction] : NULL;
    if (!half || half->has_ended) return NULL;
    if (half->row == KC_NONE) {
        half->row = (uint32_t)scan->message_count;
        kc_message *message = append_message(scan);
        if (!message) return NULL;
        message->stream = stream->number;
        message->direction = (uint8_t)direction;
        message->kind = direction ? KC_RESPONSE : KC_REQUEST;
        message->key = frame->stream;
        message->start = (uint32_t)frame->start;
    }
    scan->messages[half->row].end = (uint32_t)frame->next;
    half->has_ended = frame->flags & H2_END_STREAM;
    return half;
}

/* What a header block says: of each kind the first field counts. */
typedef struct {
    uint32_t seen;
    kc_text text[HPACK_KINDS];
    int32_t status;
    bool is_interim, has_status, has_pseudo;
    bool is_text;    /* so are all values */
    bool has_method; /* among the first fields, where the dissector's probe looks */
} h2_block;

static int32_t read_status(const hpack_string *value) {
    int32_t status = 0;
    if (value->length != 3) return 0;
    for (int i = 0; i < 3; i++) {
        if (value->at[i] < '0' || value->at[i] > '9') return 0;
        status = status * 10 + (value->at[i] - '0');
    }
    return status;
}

static bool read_block(kc_scan *scan, hpack_decoder *decoder, const uint8_t *data, size_t length, h2_block *block) {
    size_t room = HPACK_LIST;
    *block = (h2_block){.seen = 1u << HPACK_OTHER, .is_text = true};
    for (size_t at = 0, count = 0; at < length;) {
        hpack_field field;
        bool is_field;
        if (!hpack_next(decoder, data, length, &at, &field, &is_field)) return false;
        if (!is_field) continue;
        if (field.name_length + field.value.length > room) return false;
        room -= field.name_length + field.value.length;
        block->has_pseudo |= field.is_pseudo;
        block->is_text &= field.is_text;
        block->has_method |= count++ < H2_PROBED_FIELDS && field.kind == HPACK_METHOD;
        if (block->seen >> field.kind & 1u) continue;
        block->seen |= 1u << field.kind;
        if (field.kind == HPACK_STATUS) {
            block->status = read_status(&field.value);
            block->has_status = field.value.length > 0;
            block->is_interim = block->has_status && field.value.at[0] == '1';
        } else if (!add_text(scan, field.value.at, field.value.length, &block->text[field.kind])) {
            return false;
        }
    }
    return true;
}

static bool text_equals(const kc_scan *scan, kc_text text, const char *word) {
    return text.length == strlen(word) && memcmp(scan->text + text.at, word, text.length) == 0;
}

/* May a GraphQL operation be in a request, or must its body tell? False if the dissector had better look. */
static bool check_request(const kc_scan *scan, const h2_block *block, h2_half *half) {
    kc_text method = block->text[HPACK_METHOD], path = block->text[HPACK_PATH], type = block->text[HPACK_CONTENT_TYPE];
    if (text_equals(scan, method, "CONNECT")) return false;
    if (half->is_grpc) return true;
    if (text_equals(scan, method, "GET")) {
        return !contains(scan->text + path.at, path.length, "query=") &&
               !contains(scan->text + path.at, path.length, "persistedQuery");
    }
    if (!text_equals(scan, method, "POST")) return true;
    for (size_t i = 0; i < type.length; i++) {
        const uint8_t *at = scan->text + type.at + i;
        if (starts_lower(at, type.length - i, "graphql")) return false;
        if (starts_lower(at, type.length - i, "json")) half->is_searched = true;
    }
    return !half->is_searched || !block->text[HPACK_CONTENT_ENCODING].length;
}

static bool is_grpc_head(const kc_scan *scan, const h2_block *block) {
    kc_text type = block->text[HPACK_CONTENT_TYPE];
    return block->text[HPACK_GRPC_STATUS].length ||
           (type.length >= 16 && memcmp(scan->text + type.at, "application/grpc", 16) == 0);
}

/* The header section of a half, or one that takes the place of an interim response. */
static bool set_head(kc_scan *scan, uint32_t direction, const h2_block *block, h2_half *half) {
    kc_message *message = &scan->messages[half->row];
    if (half->has_late_status || half->has_late_message) return false; /* trailers before it */
    half->has_head = true;
    half->is_interim = block->is_interim;
    half->is_grpc = is_grpc_head(scan, block);
    half->has_method = block->text[HPACK_METHOD].length > 0;
    half->has_status = block->has_status;
    message->number[0] = block->status;
    memset(message->text, 0, sizeof message->text);
    if (direction) {
        message->text[0] = block->text[HPACK_GRPC_STATUS];
        message->text[1] = block->text[HPACK_GRPC_MESSAGE];
        message->text[3] = block->text[HPACK_CONTENT_TYPE];
        return true;
    }
    message->text[0] = block->text[HPACK_METHOD];
    message->text[1] = block->text[HPACK_PATH];
    message->text[2] = block->text[HPACK_AUTHORITY].length ? block->text[HPACK_AUTHORITY] : block->text[HPACK_HOST];
    return check_request(scan, block, half) && !(half->is_searched && message->number[2]);
}

static void add_trailers(kc_scan *scan, uint32_t direction, const h2_block *block, h2_half *half) {
    kc_message *message = &scan->messages[half->row];
    kc_text status = block->text[HPACK_GRPC_STATUS], late = block->text[HPACK_GRPC_MESSAGE];
    if (!half->has_late_status && status.length) {
        half->is_grpc = true;
        if (direction) message->text[0] = status;
    }
    if (!half->has_late_message && late.length && direction) message->text[1] = late;
    half->has_late_status |= block->seen >> HPACK_GRPC_STATUS & 1u;
    half->has_late_message |= block->seen >> HPACK_GRPC_MESSAGE & 1u;
}

static bool take_headers(kc_scan *scan, scan_stream *stream, const h2_frame *frame, uint32_t direction,
                         struct h2_reader *reader) {
    size_t size = frame->end - frame->body;
    h2_block block;
    if (!(frame->flags & H2_END_HEADERS) || size > H2_BLOCK) return false;
    if (!read_block(scan, &reader->hpack, stream->side[direction].data + frame->body, size, &block)) return false;
    h2_half *half = find_half(scan, stream, frame, direction, reader);
    if (!half) return false;
    kc_message *message = &scan->messages[half->row];
    message->number[1] += (int32_t)size;
    if (!half->has_head && (!message->number[2] || block.has_pseudo)) {
        bool is_probed = direction == 0 && frame->next <= H2_PROBED && block.has_method && block.is_text;
        reader->is_sure_of_http |= is_probed && !block.is_interim;
        return set_head(scan, direction, &block, half);
    }
    if (half->is_interim && !message->number[2]) {
        message->start = (uint32_t)frame->start;
        message->number[1] = (int32_t)size;
        return set_head(scan, direction, &block, half);
    }
    add_trailers(scan, direction, &block, half);
    return true;
}

static bool holds_operation(const uint8_t *data, size_t length) {
    return contains(data, length, "\"query\"") || contains(data, length, "\"persistedQuery\"");
}

/* Look for an operation in the next bytes of a body, and across their beginning. */
static bool search_body(h2_half *half, const uint8_t *data, size_t length) {
    uint8_t seam[2 * H2_CARRY];
    size_t head = length < H2_CARRY ? length : H2_CARRY, carried = half->carry_length;
    memcpy(seam, half->carry, carried);
    memcpy(seam + carried, data, head);
    if (holds_operation(data, length) || holds_operation(seam, carried + head)) return true;
    const uint8_t *from = length < H2_CARRY ? seam : data;
    size_t size = length < H2_CARRY ? carried + head : length, kept = size < H2_CARRY ? size : H2_CARRY;
    memcpy(half->carry, from + size - kept, kept);
    half->carry_length = (uint8_t)kept;
    return false;
}

static bool take_data(kc_scan *scan, scan_stream *stream, const h2_frame *frame, uint32_t direction,
                      struct h2_reader *reader) {
    h2_half *half = find_half(scan, stream, frame, direction, reader);
    if (!half) return false;
    size_t size = frame->end - frame->body;
    scan->messages[half->row].number[2] += (int32_t)size;
    return !half->is_searched || !search_body(half, stream->side[direction].data + frame->body, size);
}

/* Do the first frames leave no doubt? The dissector's is_sure, of frames that are whole. */
static bool is_sure(const scan_side *side, size_t at) {
    static const uint8_t flags[] = {0x09, 0x2D, 0, 0, 0x01, 0x0C, 0x01, 0, 0};
    h2_frame frame;
    for (int count = 0; count < H2_SURE && at < side->length; count++, at = frame.next) {
        if (!read_frame(side, at, &frame) || frame.flags & ~flags[frame.kind] || side->data[at + 5] & 0x80 ||
            frame.next - at - H2_HEADER > H2_MAX_SURE) {
            return false;
        }
    }
    return true;
}

static bool scan_h2_side(kc_scan *scan, scan_stream *stream, uint32_t direction, size_t at, struct h2_reader *reader) {
    const scan_side *side = &stream->side[direction];
    h2_frame frame;
    hpack_reset(&reader->hpack, !side->starts_midway);
    if (side->starts_midway && !is_sure(side, at)) return false;
    for (; at < side->length; at = frame.next) {
        if (!read_frame(side, at, &frame)) return false;
        if (frame.kind == H2_DATA && !take_data(scan, stream, &frame, direction, reader)) return false;
        if (frame.kind == H2_HEADERS && !take_headers(scan, stream, &frame, direction, reader)) return false;
    }
    return true;
}

/* Say when a message came. */
static void place_message(kc_message *message, scan_stream *stream) {
    scan_side *side = &stream->side[message->direction];
    message->place = message->packet = packet_at(side, message->start);
    message->last_packet = packet_at(side, message->end - 1);
}

/* A half is gRPC's if the other one is; a response before its request is the dissector's. */
static bool end_exchanges(kc_scan *scan, scan_stream *stream, const struct h2_reader *reader) {
    for (size_t i = 0; i < reader->count; i++) {
        const h2_half *halves = reader->exchanges[i].half;
        bool is_grpc = halves[0].is_grpc || halves[1].is_grpc;
        for (int side = 0; side < 2; side++) {
            if (halves[side].row == KC_NONE) continue;
            kc_message *message = &scan->messages[halves[side].row];
            place_message(message, stream);
            message->protocol = is_grpc ? H2_GRPC : 0;
        }
        if (halves[0].row == KC_NONE || halves[1].row == KC_NONE) continue;
        if (scan->messages[halves[1].row].place <= scan->messages[halves[0].row].place) return false;
    }
    return true;
}

/* Does the client ask? The dissector counts header sections that only requests, or only responses, can have. */
static bool client_asks(const struct h2_reader *reader) {
    int64_t votes = 0;
    for (size_t i = 0; i < reader->count; i++) {
        const h2_half *halves = reader->exchanges[i].half;
        votes += halves[0].has_method - halves[0].has_status - halves[1].has_method + halves[1].has_status;
    }
    return votes >= 0;
}

/* Whether the probe for HTTP/1, which is asked first where no preface was seen, may find something. */
static bool may_be_http1(const scan_stream *stream) {
    for (int i = 0; i < 2; i++) {
        const scan_side *side = &stream->side[i];
        size_t length = side->length < H2_PROBED ? side->length : H2_PROBED;
        if (length && (side->data[0] != 0 || contains(side->data, length, "HTTP/1."))) return true;
    }
    return false;
}

static bool scan_http2(kc_scan *scan, scan_stream *stream) {
    const scan_side *client = &stream->side[0];
    if (stream->flow->transport != PROTOCOL_TCP || !has_no_gap(stream) || !client->length) return false;
    bool has_preface = client->length >= H2_PREFACE_BYTES && memcmp(client->data, H2_PREFACE, H2_PREFACE_BYTES) == 0;
    if (!has_preface && (!client->starts_midway || may_be_http1(stream))) return false;
    if (!scan->h2 && !(scan->h2 = calloc(1, sizeof *scan->h2))) {
        scan->no_memory = true;
        return false;
    }
    struct h2_reader *reader = scan->h2;
    reader->count = reader->last = reader->moved = 0;
    reader->is_sure_of_http = has_preface;
    return scan_h2_side(scan, stream, 0, has_preface ? H2_PREFACE_BYTES : 0, reader) && reader->is_sure_of_http &&
           scan_h2_side(scan, stream, 1, 0, reader) && (has_preface || client_asks(reader)) &&
           end_exchanges(scan, stream, reader);
}
