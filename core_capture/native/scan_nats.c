/* NATS: what clients and servers tell each other, line by line.
 *
 * Left to the dissector: routes and leaf nodes, lower case, errors in verbose mode, a CONNECT that is more than a flat
 * object in ASCII, what turns to TLS, and whatever is malformed.
 * Texts: operation, subject, where to reply; queue group (requests)
 * or error (events). Key: whose PING it is or answers. Oracle: pipeline/dissectors/messaging/nats.py. */
#include "scan.h"

#define NATS_PORT 4222u
#define NATS_PROBED 512u             /* PROBED of nats.py */
#define MAX_NATS_LINE (64u << 10)    /* its MAX_LINE */
#define MAX_NATS_PAYLOAD (64u << 20) /* its MAX_PAYLOAD */
#define NATS_WORDS 6u

typedef struct {
    scan_word words[NATS_WORDS]; /* the operation first */
    size_t count;
    size_t line_end, end; /* behind the line, behind the payload */
    bool is_ascii;
} nats_line;

/* Split the line at data[at] at blanks; words beyond NATS_WORDS are only counted. */
static bool split_line(const uint8_t *data, size_t length, size_t at, nats_line *line) {
    *line = (nats_line){.is_ascii = true};
    if (!find_line(data, length, at, MAX_NATS_LINE, &line->line_end)) return false;
    line->end = line->line_end;
    size_t end = line->line_end - 2;
    if (data[end - 1] == ' ') return false;
    while (at < end) {
        if (data[at] == ' ') {
            at++;
            continue;
        }
        scan_word word = {data + at, 0};
        for (; at < end && data[at] != ' '; at++, word.length++) {
            if (data[at] < ' ' || data[at] == 0x7F) return false;
            line->is_ascii = line->is_ascii && data[at] < 0x80;
        }
        if (line->count < NATS_WORDS) line->words[line->count] = word;
        line->count++;
    }
    return line->count > 0;
}

/* The sizes at the end of a line with a payload, of which the last counts; then the payload. */
static bool read_payload(const uint8_t *data, size_t length, bool has_headers, nats_line *line) {
    uint64_t head = 0, total;
    if (has_headers && !read_digits(&line->words[line->count - 2], 9, &head)) return false;
    if (!read_digits(&line->words[line->count - 1], 9, &total) || head > total) return false;
    return total <= MAX_NATS_PAYLOAD && skip_block(data, length, total, &line->end);
}

/* What one side says at data[at]; `named` are the numbers of the words that are subject, reply and queue group, or 0. */
static bool read_operation(const uint8_t *data, size_t length, size_t at, uint32_t direction, nats_line *line,
                           size_t named[3]) {
    named[0] = named[1] = named[2] = 0;
    bool is_error = direction && starts_word(data, length, at, "-ERR '");
    if (is_error || starts_word(data, length, at, direction ? "INFO {" : "CONNECT {")) {
        *line = (nats_line){.words[0] = {data + at, is_error || direction ? 4 : 7}};
        bool is_line = find_line(data, length, at, MAX_NATS_LINE, &line->line_end);
        line->end = line->line_end;
        return is_line;
    }
    if (!split_line(data, length, at, line) || line->count > NATS_WORDS) return false;
    const scan_word *operation = &line->words[0];
    if (operation->bytes != data + at) return false;
    size_t count = line->count;
    if (count == 1) {
        return is_word(operation, "PING") || is_word(operation, "PONG") || (direction && is_word(operation, "+OK"));
    }
    bool has_headers = operation->bytes[0] == 'H';
    if (is_word(operation, direction ? "MSG" : "PUB") || is_word(operation, direction ? "HMSG" : "HPUB")) {
        size_t least = 3 + direction + has_headers; /* operation, subject, in a MSG sid, sizes */
        if (count != least && count != least + 1) return false;
        named[0] = 1;
        named[1] = count > least ? 2 + direction : 0;
        return read_payload(data, length, has_headers, line);
    }
    if (direction || !line->is_ascii) return false;
    if (is_word(operation, "SUB")) {
        named[0] = 1;
        named[2] = count == 4 ? 2 : 0;
        return count == 3 || count == 4;
    }
    uint64_t ignored;
    if (!is_word(operation, "UNSUB")) return false;
    return count == 2 || (count == 3 && read_digits(&line->words[2], 18, &ignored));
}

/* What -ERR says, without blanks and quotes around it. */
static scan_word error_of(const uint8_t *data, size_t start, size_t end) {
    while (start < end && is_blank(data[start])) start++;
    while (end > start && is_blank(data[end - 1])) end--;
    while (start < end && data[start] == '\'') start++;
    while (end > start && data[end - 1] == '\'') end--;
    return (scan_word){data + start, end - start};
}

static size_t skip_blanks(const uint8_t *data, size_t end, size_t at) {
    while (at < end && (data[at] == ' ' || data[at] == '\r')) at++;
    return at;
}

/* Read "…" at data[at], plain ASCII without escapes; 0 without, else where it ends. */
static size_t read_quoted(const uint8_t *data, size_t end, size_t at, scan_word *out) {
    if (at >= end || data[at] != '"') return 0;
    size_t start = ++at;
    while (at < end && data[at] != '"') {
        if (data[at] < ' ' || data[at] > '~' || data[at] == '\\') return 0;
        at++;
    }
    *out = (scan_word){data + start, at - start};
    return at < end ? at + 1 : 0;
}

/* Does a CONNECT ask for acknowledgements, also by saying nothing? False unless it is one flat object. */
static bool read_options(const uint8_t *data, size_t at, size_t end, bool *is_verbose) {
    *is_verbose = true;
    at = skip_blanks(data, end, at);
    if (at == end || data[at++] != '{') return false;
    at = skip_blanks(data, end, at);
    if (at < end && data[at] == '}') return skip_blanks(data, end, at + 1) == end;
    for (;;) {
        scan_word name, value;
        at = read_quoted(data, end, skip_blanks(data, end, at), &name);
        if (!at) return false;
        at = skip_blanks(data, end, at);
        if (at == end || data[at] != ':') return false;
        at = skip_blanks(data, end, at + 1);
        bool is_true = starts_word(data, end, at, "true");
        size_t start = at;
        if (is_true || starts_word(data, end, at, "null")) at += 4;
        else if (starts_word(data, end, at, "false")) at += 5;
        else if (at < end && data[at] == '"') at = read_quoted(data, end, at, &value);
        else while (at < end && data[at] >= '0' && data[at] <= '9') at++;
        if (at <= start || (data[start] == '0' && at - start > 1)) return false; /* no value, no number of JSON */
        if (data[start] != '"' && at - start > 18) return false;
        if (is_word(&name, "verbose")) *is_verbose = is_true;
        at = skip_blanks(data, end, at);
        if (at == end || (data[at] != ',' && data[at] != '}')) return false;
        if (data[at++] == '}') return skip_blanks(data, end, at) == end;
    }
}

typedef struct {
    bool has_login, is_verbose, has_acknowledgement, has_error;
} nats_mode;

static bool add_operation(kc_scan *scan, scan_stream *stream, uint32_t direction, size_t at, const nats_line *line,
                          const size_t named[3]) {
    kc_message *message = add_message(scan, stream, direction, at, line->end);
    if (!message) return false;
    const scan_word *operation = &line->words[0];
    if (is_word(operation, "PING")) {
        message->kind = KC_REQUEST;
        message->key = direction + 1;
    } else if (is_word(operation, "PONG")) {
        message->kind = KC_RESPONSE;
        message->key = 2 - direction;
    } else {
        message->kind = !direction ? KC_REQUEST : is_word(operation, "+OK") ? KC_RESPONSE : KC_EVENT;
    }
    if (!add_text(scan, operation->bytes, operation->length, &message->text[0])) return false;
    for (int i = 0; i < 3; i++) {
        const scan_word *word = &line->words[named[i]];
        if (named[i] && !add_shown(scan, word->bytes, word->length, word->length, &message->text[i + 1])) return false;
    }
    if (!is_word(operation, "-ERR")) return true;
    scan_word error = error_of(stream->side[1].data, at + 4, line->line_end);
    return add_shown(scan, error.bytes, error.length, error.length, &message->text[3]);
}

static bool scan_operations(kc_scan *scan, scan_stream *stream, uint32_t direction, nats_mode *mode) {
    const scan_side *side = &stream->side[direction];
    nats_line line;
    for (size_t at = 0; at < side->length; at = line.end) {
        size_t named[3];
        if (!read_operation(side->data, side->length, at, direction, &line, named)) return false;
        const scan_word *operation = &line.words[0];
        if (!mode->has_login && is_word(operation, "CONNECT")) {
            mode->has_login = true;
            if (!read_options(side->data, at + 7, line.line_end - 2, &mode->is_verbose)) return false;
        }
        if (is_word(operation, "+OK")) mode->has_acknowledgement = true;
        if (is_word(operation, "-ERR")) mode->has_error = true;
        if (!add_operation(scan, stream, direction, at, &line, named)) return false;
    }
    return true;
}

/* What the probe goes by, as far as it is plain: names in a greeting or a login, or at NATS's port a first line. */
static bool tells_nats(const scan_stream *stream) {
    static const char *const server[] = {"\"server_id\"", "\"server_name\"", "\"max_payload\""};
    static const char *const client[] = {"\"verbose\"", "\"pedantic\"", "\"lang\"", "\"protocol\""};
    bool is_known_port = stream->flow->port_a == NATS_PORT || stream->flow->port_b == NATS_PORT;
    for (int i = 0; i < 2; i++) {
        const uint8_t *data = stream->side[i].data;
        size_t length = stream->side[i].length < NATS_PROBED ? stream->side[i].length : NATS_PROBED;
        if (is_known_port && length && memchr(data, '\n', length)) return true;
        if (!starts_word(data, length, 0, i ? "INFO {" : "CONNECT {")) continue;
        for (size_t name = 0; name < (i ? 3 : 4); name++) {
            if (contains(data, length, i ? server[name] : client[name])) return true;
        }
    }
    return false;
}

static bool scan_nats(kc_scan *scan, scan_stream *stream) {
    nats_mode mode = {0};
    size_t first = scan->message_count;
    if (stream->flow->transport != PROTOCOL_TCP || !has_no_gap(stream) || !tells_nats(stream)) return false;
    if (!scan_operations(scan, stream, 0, &mode) || !scan_operations(scan, stream, 1, &mode)) return false;
    bool is_verbose = mode.has_login ? mode.is_verbose : mode.has_acknowledgement;
    if (is_verbose && mode.has_error) return false; /* which line it answers is a matter of time */
    for (size_t i = first; i < scan->message_count; i++) {
        kc_message *message = &scan->messages[i];
        if (message->kind == KC_REQUEST && !message->key && !is_verbose) message->bits = KC_ONE_WAY;
    }
    return true;
}
