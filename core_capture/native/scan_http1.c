/* HTTP/1.0 and 1.1 (RFC 9112): streams of whole requests and responses that stay HTTP.
 *
 * A WebSocket that the last request upgrades to is read on (scan_ws.c). Left to the dissector: other upgrades, CONNECT, folded or contradicting headers, trailers, other transfer codings than
 * chunked, responses without their request, requests of events, what may be gRPC-Web or GraphQL, and bodies that were
 * announced and perhaps not sent.
 * Numbers: status (responses), bytes of the head, minor version. Texts: method, target, host (requests); content type
 * (responses). Oracle: pipeline/dissectors/web/http1.py. */
#include "scan.h"

#define MAX_HTTP_LINE 8000u         /* below the dissector's PROBE_BYTES */
#define MAX_HTTP_HEAD (64u << 10)   /* the dissector's MAX_HEAD */
#define MAX_HTTP_VALUE 1024u        /* of a header that is kept */
#define MAX_OPERATION (256u << 10)  /* bytes of a body in which a GraphQL operation is looked for: its SCANNED */
#define MAX_CHUNK_DIGITS 7u

typedef struct {
    size_t start, head_end, end;
    const uint8_t *target, *host, *type; /* with lengths; NULL without */
    size_t target_length, host_length, type_length;
    const uint8_t *method;
    size_t method_length;
    uint64_t length;
    int32_t status;
    uint8_t minor;
    bool has_length, is_chunked, is_encoded, to_websocket, has_subprotocol, awaits;
} http_head;

static bool is_blank(uint8_t c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/* Compare with a lower-case word, whatever the case of the bytes. */
static bool equals_lower(const uint8_t *bytes, size_t length, const char *word) {
    for (size_t i = 0; i < length; i++) {
        uint8_t c = bytes[i];
        if (c >= 'A' && c <= 'Z') c = (uint8_t)(c | 0x20);
        if (word[i] == '\0' || c != (uint8_t)word[i]) return false;
    }
    return word[length] == '\0';
}

static bool starts_lower(const uint8_t *bytes, size_t length, const char *word) {
    size_t size = strlen(word);
    return length >= size && equals_lower(bytes, size, word);
}

static bool contains(const uint8_t *data, size_t length, const char *word) {
    size_t size = strlen(word);
    const uint8_t *end = data + length;
    while (length >= size) {
        const uint8_t *found = memchr(data, word[0], length - size + 1);
        if (!found) return false;
        if (memcmp(found, word, size) == 0) return true;
        data = found + 1;
        length = (size_t)(end - data);
    }
    return false;
}

/* Only the methods that servers know by heart; others are the dissector's. */
static bool is_method(const uint8_t *bytes, size_t length) {
    static const char *const known[] = {"GET", "POST", "PUT", "HEAD", "DELETE", "OPTIONS", "PATCH", "TRACE", "PROPFIND"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strlen(known[i]) == length && memcmp(bytes, known[i], length) == 0) return true;
    }
    return false;
}

/* METHOD SP target SP HTTP/1.x; nothing but printable ASCII in the target. */
static bool read_request_line(const uint8_t *line, size_t length, http_head *head) {
    const uint8_t *space = memchr(line, ' ', length);
    if (!space || !is_method(line, (size_t)(space - line)) || length < 12) return false;
    head->method = line;
    head->method_length = (size_t)(space - line);
    const uint8_t *version = line + length - 8; /* HTTP/1.1 */
    if (version < space + 3 || version[-1] != ' ' || memcmp(version, "HTTP/1.", 7) != 0) return false;
    if (version[7] < '0' || version[7] > '9') return false;
    head->minor = (uint8_t)(version[7] - '0');
    head->target = space + 1;
    head->target_length = (size_t)(version - 1 - head->target);
    for (size_t i = 0; i < head->target_length; i++) {
        if (head->target[i] <= ' ' || head->target[i] > '~') return false;
    }
    return true;
}

/* HTTP/1.x SP nnn, then nothing or SP and a reason. */
static bool read_status_line(const uint8_t *line, size_t length, http_head *head) {
    if (length < 12 || memcmp(line, "HTTP/1.", 7) != 0 || line[8] != ' ') return false;
    if (line[7] < '0' || line[7] > '9') return false;
    for (int i = 9; i < 12; i++) {
        if (line[i] < '0' || line[i] > '9') return false;
        head->status = head->status * 10 + (line[i] - '0');
    }
    if (length > 12 && line[12] != ' ') return false;
    head->minor = (uint8_t)(line[7] - '0');
    return true;
}

static bool read_length(const uint8_t *value, size_t length, http_head *head) {
    if (head->has_length || length == 0 || length > 18) return false;
    for (size_t i = 0; i < length; i++) {
        if (value[i] < '0' || value[i] > '9') return false;
        head->length = head->length * 10 + (uint64_t)(value[i] - '0');
    }
    head->has_length = true;
    return true;
}

/* Whether a line is the header of that name. */
static bool is_header(const uint8_t *line, size_t length, const char *name) {
    size_t size = strlen(name);
    return length > size && line[size] == ':' && equals_lower(line, size, name);
}

/* The line's value without the white space around it. */
static scan_word value_of(const uint8_t *line, size_t length, const char *name) {
    const uint8_t *value = line + strlen(name) + 1, *end = line + length;
    while (value < end && is_blank(*value)) value++;
    while (end > value && is_blank(end[-1])) end--;
    return (scan_word){value, (size_t)(end - value)};
}

/* Keep what a header says; false if the dissector had better read it. Nearly all begin with other letters. */
static bool read_header(const uint8_t *line, size_t length, bool is_request, http_head *head) {
    scan_word value;
    switch (line[0] | 0x20) {
        case 'h':
            if (!is_request || head->host || !is_header(line, length, "host")) return true;
            value = value_of(line, length, "host");
            head->host = value.bytes;
            head->host_length = value.length;
            return value.length <= MAX_HTTP_VALUE;
        case 'u':
            if (!is_header(line, length, "upgrade")) return true;
            value = value_of(line, length, "upgrade");
            head->to_websocket = true;
            return equals_lower(value.bytes, value.length, "websocket");
        case 'c':
            if (is_header(line, length, "content-length")) {
                value = value_of(line, length, "content-length");
                return read_length(value.bytes, value.length, head);
            }
            if (is_header(line, length, "content-encoding")) head->is_encoded = true;
            if (head->type || !is_header(line, length, "content-type")) return true;
            value = value_of(line, length, "content-type");
            head->type = value.bytes;
            head->type_length = value.length;
            if (is_request && starts_lower(value.bytes, value.length, "text/event-stream"))
                return false; /* nobody asks by events */
            return value.length <= MAX_HTTP_VALUE && !starts_lower(value.bytes, value.length, "application/grpc");
        case 't':
            if (!is_header(line, length, "transfer-encoding")) return true;
            value = value_of(line, length, "transfer-encoding");
            head->is_chunked = true;
            return equals_lower(value.bytes, value.length, "chunked");
        case 'e':
            if (is_request && is_header(line, length, "expect")) head->awaits = true;
            return true;
        case 's':
            if (is_header(line, length, "sec-websocket-protocol")) head->has_subprotocol = true;
            return true;
        default: return true;
    }
}

typedef enum { HEAD_REFUSED, HEAD_CUT, HEAD_WHOLE } head_state;

/* Read start line and header section in `length` bytes, which may end too early; refused unless both are plain. */
static head_state read_head_in(const uint8_t *data, size_t length, bool is_request, http_head *head) {
    bool is_first = true;
    for (size_t at = 0; at < length;) {
        const uint8_t *line = data + at, *newline = memchr(line, '\n', length - at);
        if (!newline) return HEAD_CUT;
        size_t size = (size_t)(newline - line);
        at += size + 1;
        if (size && line[size - 1] == '\r') size--;
        if (is_first) {
            if (size > MAX_HTTP_LINE) return HEAD_REFUSED;
            if (!(is_request ? read_request_line(line, size, head) : read_status_line(line, size, head)))
                return HEAD_REFUSED;
            is_first = false;
            continue;
        }
        if (size == 0) {
            head->head_end = head->start + at;
            return HEAD_WHOLE;
        }
        if (line[0] == ' ' || line[0] == '\t') return HEAD_REFUSED;
        if (!read_header(line, size, is_request, head)) return HEAD_REFUSED;
    }
    return HEAD_CUT;
}

/* Read the head at `at`, which one packet mostly carries; false unless it is whole and plain. */
static bool read_head(scan_side *side, size_t at, bool is_request, http_head *head) {
    size_t limit = side->length - at < MAX_HTTP_HEAD ? side->length - at : MAX_HTTP_HEAD;
    for (size_t size = run_at(side, at);; size *= 2) {
        if (size > limit) size = limit;
        const uint8_t *bytes = bytes_at(side, at, size);
        if (!bytes) return false;
        *head = (http_head){.start = at};
        head_state state = read_head_in(bytes, size, is_request, head);
        if (state != HEAD_CUT || size == limit) return state == HEAD_WHOLE;
    }
}

/* Walk a chunked body without extensions and trailers; false unless it is whole. */
static bool skip_chunks(scan_side *side, size_t at, size_t *end) {
    for (;;) {
        size_t left = side->length - at, window = left < MAX_CHUNK_DIGITS + 5 ? left : MAX_CHUNK_DIGITS + 5;
        const uint8_t *line = window < 5 ? NULL : bytes_at(side, at, window);
        if (!line) return false;
        size_t size = 0, digits = 0;
        for (; digits < window && digits <= MAX_CHUNK_DIGITS; digits++) {
            uint8_t c = line[digits];
            uint8_t digit = c >= '0' && c <= '9' ? (uint8_t)(c - '0') : (uint8_t)((c | 0x20) - 'a' + 10);
            if (digit > 15 || (c > '9' && (c | 0x20) < 'a')) break;
            size = size * 16 + digit;
        }
        if (digits == 0 || digits > MAX_CHUNK_DIGITS || window - digits < 4) return false;
        if (line[digits] != '\r' || line[digits + 1] != '\n') return false;
        at += digits + 2;
        if (size == 0) {
            *end = at + 2;
            return line[digits + 2] == '\r' && line[digits + 3] == '\n';
        }
        if (side->length - at < size || side->length - at - size < 2) return false;
        at += size;
        const uint8_t *behind = bytes_at(side, at, 2);
        if (!behind || behind[0] != '\r' || behind[1] != '\n') return false;
        at += 2;
    }
}

/* May a GraphQL operation be in it? The dissector's may_hold_operation and the words find_operation asks for. */
static bool may_be_graphql(scan_side *side, const http_head *head) {
    size_t length = head->end - head->head_end;
    if (head->method_length == 3 && memcmp(head->method, "GET", 3) == 0) {
        return contains(head->target, head->target_length, "query=") ||
               contains(head->target, head->target_length, "persistedQuery");
    }
    if (head->method_length != 4 || memcmp(head->method, "POST", 4) != 0 || length == 0) return false;
    if (starts_lower(head->type, head->type_length, "application/graphql")) return true;
    if (!starts_lower(head->type, head->type_length, "application/json")) return false;
    if (head->is_chunked || head->is_encoded) return true;
    if (length > MAX_OPERATION) length = MAX_OPERATION;
    const uint8_t *body = bytes_at(side, head->head_end, length);
    return !body || contains(body, length, "\"query\"") || contains(body, length, "\"persistedQuery\"");
}

/* RFC 9112 §6.3, as far as it is plain. `has_body` is false where the method or the status rules a body out. */
static bool find_end(scan_side *side, http_head *head, bool is_request, bool has_body) {
    head->end = head->head_end;
    if (!has_body) return true;
    if (head->awaits && head->head_end < side->length) {
        const uint8_t *first = bytes_at(side, head->head_end, 1);
        if (!first || (*first >= 'A' && *first <= 'Z')) return false; /* the next request, where nobody asked for a body */
    }
    if (head->is_chunked) return skip_chunks(side, head->head_end, &head->end);
    if (!head->has_length) {
        if (!is_request) head->end = side->length; /* until the connection closes */
        return true;
    }
    if (head->length > side->length - head->head_end) return false;
    head->end += (size_t)head->length;
    return true;
}

/* A header's value with its white space folded, as the dissector shows it. */
static bool add_value(kc_scan *scan, const uint8_t *value, size_t length, kc_text *out) {
    uint8_t folded[MAX_HTTP_VALUE];
    size_t size = 0;
    for (size_t i = 0; i < length; i++) {
        if (!is_blank(value[i])) folded[size++] = value[i];
        else if (size && !is_blank(value[i - 1])) folded[size++] = ' ';
    }
    return add_text(scan, folded, size, out);
}

static bool add_head(kc_scan *scan, scan_stream *stream, uint32_t direction, const http_head *head) {
    kc_message *message = add_message(scan, stream, direction, head->start, head->end);
    if (!message) return false;
    size_t number = scan->message_count - 1; /* add_text moves no message, but says so nowhere */
    message->kind = direction ? KC_RESPONSE : KC_REQUEST;
    message->number[0] = head->status;
    message->number[1] = (int32_t)(head->head_end - head->start);
    message->number[2] = head->minor;
    if (head->is_chunked && head->end > head->head_end) message->bits = KC_CHUNKED;
    kc_text *text = scan->messages[number].text;
    if (direction) return add_value(scan, head->type, head->type_length, &text[3]);
    return add_text(scan, head->method, head->method_length, &text[0]) &&
           add_text(scan, head->target, head->target_length, &text[1]) &&
           add_value(scan, head->host, head->host_length, &text[2]);
}

static size_t skip_empty_lines(scan_side *side, size_t at) {
    for (; at < side->length; at++) {
        const uint8_t *byte = bytes_at(side, at, 1);
        if (!byte || (*byte != '\r' && *byte != '\n')) break;
    }
    return at;
}

/* RFC 9110 §5.6.2 */
static bool is_token(uint8_t c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           (c && strchr("!#$%&'*+.^_`|~-", c) != NULL);
}

/* Whether bytes behind a start line look like a header section: where the capture began midway, that makes the line
 * worth believing (the dissector's _is_believable). */
static bool begins_header(const uint8_t *data, size_t length) {
    size_t at = 0;
    while (at < length && is_token(data[at])) at++;
    if (at) return at < length && data[at] == ':';
    return length && (data[0] == '\n' || (length > 1 && data[0] == '\r' && data[1] == '\n'));
}

/* Whether a side that began before the capture begins with a message all the same. */
static bool is_midway_at_start(scan_side *side, size_t at) {
    if (!side->starts_midway || at >= side->length) return true;
    size_t left = side->length - at, size = left < 2 * MAX_HTTP_LINE ? left : 2 * MAX_HTTP_LINE;
    const uint8_t *bytes = bytes_at(side, at, size);
    const uint8_t *newline = bytes ? memchr(bytes, '\n', size < MAX_HTTP_LINE ? size : MAX_HTTP_LINE) : NULL;
    return newline && begins_header(newline + 1, size - (size_t)(newline + 1 - bytes));
}

/* Where each side goes on as a WebSocket, if it does. */
typedef struct {
    bool to_websocket;
    size_t rest[2];
} http_switch;

/* Behind a request to upgrade nothing is read. */
static bool scan_requests(kc_scan *scan, scan_stream *stream, http_switch *change) {
    scan_side *side = &stream->side[0];
    if (!is_midway_at_start(side, skip_empty_lines(side, 0))) return false;
    for (size_t at = skip_empty_lines(side, 0); at < side->length; at = skip_empty_lines(side, at)) {
        http_head head;
        if (!read_head(side, at, true, &head)) return false;
        if (!find_end(side, &head, true, true) || may_be_graphql(side, &head)) return false;
        if (!add_head(scan, stream, 0, &head)) return false;
        at = change->rest[0] = head.end;
        change->to_websocket = head.to_websocket;
        if (head.to_websocket) return true;
    }
    return true;
}

static bool is_head_request(const kc_scan *scan, const kc_message *request) {
    return request->text[0].length == 4 && memcmp(scan->text + request->text[0].at, "HEAD", 4) == 0;
}

/* Each final response answers the oldest request without one; only a HEAD makes it matter which. */
static bool scan_responses(kc_scan *scan, scan_stream *stream, size_t first, http_switch *change) {
    scan_side *side = &stream->side[1];
    size_t next = first, requests = scan->message_count;
    bool has_head_request = false;
    if (!is_midway_at_start(side, skip_empty_lines(side, 0))) return false;
    for (size_t i = first; i < requests; i++) has_head_request |= is_head_request(scan, &scan->messages[i]);
    for (size_t at = skip_empty_lines(side, 0); at < side->length; at = skip_empty_lines(side, at)) {
        http_head head;
        if (!read_head(side, at, false, &head)) return false;
        if (head.status == 101) { /* the answer to the last request, or the dissector's business */
            if (!change->to_websocket || next + 1 != requests || !head.to_websocket || head.has_subprotocol) return false;
            head.end = change->rest[1] = head.head_end;
            return add_head(scan, stream, 1, &head);
        }
        bool is_interim = head.status < 200, has_body = head.status != 204 && head.status != 304;
        if (head.status < 100) return false;
        if (is_interim) has_body = false;
        else {
            if (next == requests) return false; /* nobody asked: the dissector weighs what it may be */
            const kc_message *request = &scan->messages[next++];
            if (has_head_request) {
                const kc_packet *packets = stream->decoded->packets;
                if (packets[packet_at(side, at)].time_ns < packets[request->packet].time_ns) return false;
                has_body = has_body && !is_head_request(scan, request);
            }
        }
        if (!find_end(side, &head, false, has_body)) return false;
        if (!add_head(scan, stream, 1, &head)) return false;
        if (is_interim) scan->messages[scan->message_count - 1].bits |= KC_INTERIM;
        at = head.end;
    }
    return !change->to_websocket;
}

static bool scan_ws(kc_scan *scan, scan_stream *stream, const size_t starts[2]);

static bool scan_http1(kc_scan *scan, scan_stream *stream) {
    if (stream->flow->transport != PROTOCOL_TCP || !has_no_gap(stream) || !stream->side[0].length) return false;
    size_t first = scan->message_count;
    http_switch change = {0};
    if (!scan_requests(scan, stream, &change) || !scan_responses(scan, stream, first, &change)) return false;
    if (!change.to_websocket) return true;
    return lay_out_side(&stream->side[0]) && lay_out_side(&stream->side[1]) && scan_ws(scan, stream, change.rest);
}
