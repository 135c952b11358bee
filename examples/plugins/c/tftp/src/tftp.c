/* TFTP: RFC 1350; options: RFC 2347; blksize: RFC 2348; tsize, timeout: RFC 2349. */
#include "kubeshark_plugin.h"

/* Positions of [[fields]] in plugin.toml. */
enum { F_OPCODE, F_FILE, F_MODE, F_BLOCK, F_SIZE, F_ERROR_CODE, F_ERROR_MESSAGE, F_OPTIONS, F_TRANSFER_SIZE };

enum { RRQ = 1, WRQ, DATA, ACK, ERROR, OACK };
static const char *const OPCODES[] = {"", "RRQ", "WRQ", "DATA", "ACK", "ERROR", "OACK"};
static const char *const MODES[] = {"netascii", "octet", "mail"};
static const char *const KNOWN_OPTIONS[] = {"blksize", "tsize", "timeout", "windowsize", "rollover", "multicast"};

enum { TFTP_PORT = 69, MAX_OPTIONS = 16 /* RFC 2347 packets have at most 512 bytes; senders use up to 5 */ };
enum { MAX_BLOCK = 65464 /* RFC 2348 */, MAX_ERROR = 8 /* RFC 2347 */ };

typedef struct {
    ks_bytes pairs[2 * MAX_OPTIONS]; /* names and values in turn */
    uint32_t count;                  /* pairs */
} options;

typedef struct {
    uint16_t opcode;
    uint16_t number; /* block, or error code */
    ks_bytes file, mode, message, data;
    options options;
} packet;

static bool one_of(ks_bytes text, const char *const *names, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (ks_equal_nocase(text, ks_literal(names[i]))) return true;
    return false;
}

static bool read_options(ks_cursor *c, options *out) {
    out->count = 0;
    while (ks_left(c)) {
        if (out->count == MAX_OPTIONS) return false;
        ks_bytes *pair = &out->pairs[2 * out->count];
        if (!ks_until(c, 0, &pair[0]) || pair[0].length == 0 || !ks_until(c, 0, &pair[1])) return false;
        out->count++;
    }
    return true;
}

/* Read one datagram; false if it is not TFTP or cut short. `out` holds what was read until then. */
static bool read_packet(const ks_item *item, packet *out) {
    ks_cursor c = ks_cursor_of(item);
    memset(out, 0, sizeof *out);
    if (!ks_u16(&c, &out->opcode)) return false;
    switch (out->opcode) {
        case RRQ:
        case WRQ:
            return ks_until(&c, 0, &out->file) && out->file.length && ks_until(&c, 0, &out->mode) &&
                   one_of(out->mode, MODES, 3) && read_options(&c, &out->options);
        case DATA: return ks_u16(&c, &out->number) && ks_left(&c) <= MAX_BLOCK && ks_take(&c, ks_left(&c), &out->data);
        case ACK: return ks_u16(&c, &out->number) && ks_left(&c) == 0;
        case ERROR: return ks_u16(&c, &out->number) && out->number <= MAX_ERROR && ks_until(&c, 0, &out->message);
        case OACK: return read_options(&c, &out->options) && out->options.count;
        default: return false;
    }
}

/* Find an option's number; names are case-insensitive (RFC 2347). */
static bool option_number(const options *o, const char *name, int64_t *out) {
    for (uint32_t i = 0; i < o->count; i++)
        if (ks_equal_nocase(o->pairs[2 * i], ks_literal(name))) return ks_decimal(o->pairs[2 * i + 1], out);
    return false;
}

/* A transfer begins with block 1 (read), its acknowledgement 0 (write), accepted options, or an error. */
static ks_verdict probe(const ks_item *item) {
    packet p;
    if (item->transport != KS_UDP || !read_packet(item, &p)) return KS_NOT_MINE;
    if (item->server_port == TFTP_PORT || item->client_port == TFTP_PORT) return KS_MINE;
    switch (p.opcode) {
        case DATA: return p.number == 1 ? KS_MINE : KS_NOT_MINE;
        case ACK: return p.number <= 1 ? KS_MINE : KS_NOT_MINE;
        case ERROR: return p.message.length && ks_is_utf8(p.message) ? KS_MINE : KS_NOT_MINE;
        case OACK: return one_of(p.options.pairs[0], KNOWN_OPTIONS, 6) ? KS_MINE : KS_NOT_MINE;
        default: return KS_NOT_MINE; /* a request goes to port 69 */
    }
}

static ks_kind kind_of(const packet *p) {
    switch (p->opcode) {
        case RRQ:
        case WRQ:
        case DATA: return KS_REQUEST;
        case ACK: return p->number ? KS_RESPONSE : KS_EVENT; /* ACK 0 answers a WRQ, which is in another flow */
        default: return KS_EVENT;
    }
}

static uint32_t dissect(const ks_item *item, ks_writer *out) {
    packet p;
    int64_t number;
    bool complete = read_packet(item, &p);
    ks_message(out, kind_of(&p), 0, item->bytes.length);
    if (p.opcode < RRQ || p.opcode > OACK) {
        ks_error(out, "not TFTP: unknown opcode");
        return item->bytes.length;
    }
    ks_string(out, F_OPCODE, OPCODES[p.opcode]);
    if (p.opcode == RRQ || p.opcode == WRQ) {
        ks_mark(out, KS_ONE_WAY); /* the answer comes from another port, so in another flow */
        ks_text(out, F_FILE, p.file);
        ks_text(out, F_MODE, p.mode);
    } else if (p.opcode == DATA || p.opcode == ACK) {
        ks_int(out, F_BLOCK, p.number);
        if (p.number) ks_key(out, p.number); /* pairs block n with its acknowledgement */
        else ks_mark(out, KS_ONE_WAY);       /* block 0 after 65535 */
        if (p.opcode == DATA) ks_int(out, F_SIZE, p.data.length);
    } else if (p.opcode == ERROR) {
        ks_int(out, F_ERROR_CODE, p.number);
        ks_text(out, F_ERROR_MESSAGE, p.message);
    }
    if (p.options.count) ks_map(out, F_OPTIONS, p.options.pairs, p.options.count);
    if (option_number(&p.options, "tsize", &number)) ks_int(out, F_TRANSFER_SIZE, number);
    if (!complete) ks_error(out, item->flags & KS_CUT ? "truncated: captured shorter than it was" : "malformed");
    return item->bytes.length;
}

/* tftp_big(n): a block, or an announced transfer, of more than n bytes. */
static ks_truth filter(uint32_t index, const ks_values *values) {
    int64_t limit, size, transfer;
    (void)index; /* there is one */
    if (!ks_value_int(values, 0, &limit) || !ks_value_int(values, 1, &size) || !ks_value_int(values, 2, &transfer))
        return KS_FAILED;
    return size > limit || transfer > limit ? KS_TRUE : KS_FALSE;
}

static void render_packet(const ks_item *item, ks_kind half, ks_render *out) {
    packet p;
    if (item->bytes.length == 0) return;
    read_packet(item, &p);
    if (p.opcode < RRQ || p.opcode > OACK) return;
    if (kind_of(&p) == KS_EVENT) half = KS_EVENT;
    ks_table(out, half, OPCODES[p.opcode]);
    ks_row_text(out, half, "Opcode", ks_literal(OPCODES[p.opcode]), half == KS_RESPONSE ? "" : "tftp_opcode");
    if (p.file.length) ks_row_text(out, half, "File", p.file, "tftp_file");
    if (p.mode.length) ks_row_text(out, half, "Mode", p.mode, "tftp_mode");
    if (p.opcode == DATA || p.opcode == ACK) ks_row_int(out, half, "Block", p.number, "tftp_block");
    if (p.opcode == DATA) ks_row_int(out, half, "Bytes", p.data.length, "tftp_size");
    if (p.opcode == ERROR) {
        ks_row_int(out, half, "Error code", p.number, "tftp_error_code");
        ks_row_text(out, half, "Error", p.message, "tftp_error_message");
    }
    if (p.options.count) ks_table(out, half, "Options");
    for (uint32_t i = 0; i < p.options.count; i++) {
        char name[64];
        ks_bytes option = p.options.pairs[2 * i];
        snprintf(name, sizeof name, "%.*s", (int)option.length, (const char *)option.data);
        ks_row_text(out, half, name, p.options.pairs[2 * i + 1], "");
    }
    if (p.data.length) ks_body(out, half, "Data", p.data, "application/octet-stream");
}

/* How long the other side took: a lost datagram shows as the client's time-out. */
static void render_wait(const ks_item *request, const ks_item *response, ks_render *out) {
    if (!request->time_ns || response->time_ns <= request->time_ns) return;
    ks_timeline(out, KS_RESPONSE, "Wait");
    ks_point(out, KS_RESPONSE, 0, "asked", KS_CLIENT);
    ks_point(out, KS_RESPONSE, (response->time_ns - request->time_ns) / 1000, "answered", KS_SERVER);
}

static bool render(const ks_item *request, const ks_item *response, ks_render *out) {
    render_packet(request, KS_REQUEST, out);
    render_packet(response, KS_RESPONSE, out);
    render_wait(request, response, out);
    return true;
}

const ks_plugin_hooks ks_plugin = {.probe = probe, .dissect = dissect, .filter = filter, .render = render};
