/* PostgreSQL, protocol 3.x, from its startup message on, or on its port from any message on (pools live long): simple
 * and extended queries, in pipelines, too.
 *
 * Left to the dissector: connections that go on encrypted, requests to cancel, COPY, function calls, notifications,
 * what the server says unasked, failures in a batch of several statements or to what was asked before the capture, names
 * that are not ASCII, more than some hundred prepared statements.
 * Numbers: code of an untyped message, kinds of a request's messages (bits), whether it went well. Texts of requests:
 * query, tag of the answer, database, user; of responses: nothing, tag, code and text of an error. Key: cycle and unit.
 * Oracle: pipeline/dissectors/databases/postgresql.py, _postgresql_framing.py and _postgresql_units.py. */
#include "scan.h"

#define PG_PORT 5432u
#define PG_TLS 80877103u
#define PG_GSS 80877104u
#define PG_MAX_STARTUP 10000u
#define PG_MAX_MESSAGE (1u << 30)
#define PG_MAX_BIND_NAMES 512u /* bytes of a Bind in which the dissector looks for its names */
#define PG_MAX_FIELDS 64u      /* of an error */
#define PG_MAX_PARAMETERS 90u  /* of a startup message; the dissector reads a hundred */
#define PG_NAMES 1024u         /* slots for statements and portals, a power of two */
#define PG_PROBES 16u
#define PG_LIKELY (64u << 10) /* bytes in which the dissector's probe wants the first message on PG_PORT */
#define PG_MAX_SMALL 30000u   /* bytes of messages other than data and texts, at the beginning */
#define PG_CHAIN 3            /* messages that the dissector checks at the beginning */
#define PG_UNASKED UINT64_MAX /* key of answers to what was asked before the capture */

static const char pg_kinds[] = "QPBEDCSHXp"; /* what a client sends, by bit; the dissector's SCANNED_KINDS */

enum {
    PG_QUERY = 1,
    PG_PARSE = 2,
    PG_BIND = 4,
    PG_EXECUTE = 8,
    PG_DESCRIBE = 16,
    PG_CLOSE = 32,
    PG_SYNC = 64,
    PG_FLUSH = 128,
    PG_TERMINATE = 256
};

typedef struct {
    const uint8_t *at;
    size_t length;
} pg_bytes;

/* A name and the query it stands for; `at` is NULL where the slot is free. */
typedef struct {
    pg_bytes name;
    kc_text query;
    bool is_portal;
} pg_name;

typedef struct {
    uint8_t kind;
    size_t start, body, end;
} pg_packet;

typedef struct {
    bool is_open, closes, has_executed, is_startup;
    bool is_described; /* a statement, not a portal */
    size_t start, end;
    uint32_t code, kinds;
    pg_bytes statement, portal, query;
} pg_unit;

typedef struct {
    kc_scan *scan;
    scan_stream *stream;
    uint32_t cycle, place; /* of the unit that is read */
    kc_text database, user;
    pg_name names[PG_NAMES];
} pg_client;

/* Read the message at side[at..]; false unless it is whole. */
static bool read_packet(const scan_side *side, size_t at, pg_packet *out) {
    if (side->length - at < 5) return false;
    uint32_t length = load_be32(side->data + at + 1);
    if (length < 4 || length >= PG_MAX_MESSAGE || length > side->length - at - 1) return false;
    *out = (pg_packet){side->data[at], at, at + 5, at + 1 + length};
    return true;
}

/* Do the first messages of a side look like ones? The dissector's chain_at, of messages that are whole. */
static bool begins_plausibly(const scan_side *side, const char *fixed) {
    pg_packet packet;
    size_t at = 0;
    for (int count = 0; count < PG_CHAIN && at < side->length; count++, at = packet.end) {
        if (!read_packet(side, at, &packet) || !packet.kind) return false;
        size_t length = packet.end - packet.start - 1;
        if (strchr(fixed, packet.kind) && length != (packet.kind == 'Z' ? 5 : packet.kind == 'K' ? 12 : 4)) return false;
        if (length > PG_MAX_SMALL && !strchr("TDENQPB", packet.kind)) return false;
        if (packet.kind == 'Z' && !memchr("ITE", side->data[packet.body], 3)) return false;
    }
    return true;
}

/* Read bytes up to a NUL, which must come before `end`; *at goes behind it. */
static bool read_string(const uint8_t *data, size_t *at, size_t end, pg_bytes *out) {
    const uint8_t *nul = *at < end ? memchr(data + *at, 0, end - *at) : NULL;
    if (!nul) return false;
    *out = (pg_bytes){data + *at, (size_t)(nul - data) - *at};
    *at += out->length + 1;
    return true;
}

static bool equals(const pg_bytes *bytes, const char *word) {
    return bytes->length == strlen(word) && memcmp(bytes->at, word, bytes->length) == 0;
}

static bool is_printable(const pg_bytes *bytes) {
    for (size_t i = 0; i < bytes->length; i++) {
        if (bytes->at[i] < ' ' || bytes->at[i] > '~') return false;
    }
    return true;
}

/* Find the slot of a name, or the one where it would go; NULL if that would take too long. */
static pg_name *find_name(pg_client *client, const pg_bytes *name, bool is_portal) {
    uint32_t hash = is_portal ? 2166136261u : 2166136262u;
    for (size_t i = 0; i < name->length; i++) hash = (hash ^ name->at[i]) * 16777619u;
    hash ^= hash >> 15;
    for (uint32_t probe = 0; probe < PG_PROBES; probe++) {
        pg_name *slot = &client->names[(hash + probe) & (PG_NAMES - 1)];
        if (!slot->name.at) return slot;
        if (slot->is_portal == is_portal && slot->name.length == name->length &&
            memcmp(slot->name.at, name->at, name->length) == 0) {
            return slot;
        }
    }
    return NULL;
}

static bool set_name(pg_client *client, const pg_bytes *name, bool is_portal, kc_text query) {
    pg_name *slot = is_printable(name) ? find_name(client, name, is_portal) : NULL;
    if (!slot) return false;
    *slot = (pg_name){*name, query, is_portal};
    return true;
}

/* Say what a name stands for; false unless the slots tell for sure whether anything has that name. */
static bool get_name(pg_client *client, const pg_bytes *name, bool is_portal, kc_text *query, bool *is_known) {
    const pg_name *slot = is_printable(name) ? find_name(client, name, is_portal) : NULL;
    if (!slot) return false;
    *is_known = slot->name.at != NULL;
    if (*is_known) *query = slot->query;
    return true;
}

/* Find the statement of a unit, and keep what its names stand for from now on. */
static bool find_query(pg_client *client, const pg_unit *unit, kc_text *query) {
    bool is_known = true;
    static const uint8_t nothing[1] = {0};
    pg_bytes statement = unit->statement.at ? unit->statement : (pg_bytes){nothing, 0};
    pg_bytes portal = unit->portal.at ? unit->portal : (pg_bytes){nothing, 0};
    if (unit->query.at && !add_text(client->scan, unit->query.at, unit->query.length, query)) return false;
    if (unit->kinds & PG_PARSE) {
        if (!set_name(client, &statement, false, *query)) return false;
    } else if (unit->kinds & PG_BIND || unit->is_described) {
        if (!get_name(client, &statement, false, query, &is_known)) return false;
    } else {
        return !(unit->kinds & (PG_DESCRIBE | PG_EXECUTE)) || get_name(client, &portal, true, query, &is_known);
    }
    return !(unit->kinds & PG_BIND) || set_name(client, &portal, true, *query);
}

static bool add_unit(pg_client *client, const pg_unit *unit) {
    kc_text query = {0, 0};
    if (!find_query(client, unit, &query)) return false;
    kc_message *message = add_message(client->scan, client->stream, 0, unit->start, unit->end);
    if (!message) return false;
    bool is_one_way = unit->kinds == PG_TERMINATE || unit->kinds == PG_FLUSH;
    message->kind = KC_REQUEST;
    message->bits = is_one_way ? KC_ONE_WAY : 0;
    message->key = (uint64_t)client->cycle << 32 | client->place;
    message->number[0] = (int32_t)unit->code;
    message->number[1] = (int32_t)unit->kinds;
    message->number[2] = is_one_way; /* nobody says otherwise */
    message->text[0] = query;
    message->text[2] = client->database;
    message->text[3] = client->user;
    client->place++;
    if (unit->closes) client->cycle++, client->place = 0;
    return true;
}

/* A startup message of a version 3.x: pairs of names and values, then an empty name. */
static bool read_startup(pg_client *client, const uint8_t *data, size_t at, size_t end) {
    pg_bytes name, value, database = {0}, user = {0};
    for (size_t count = 0; count < PG_MAX_PARAMETERS; count++) {
        if (!read_string(data, &at, end, &name)) return false;
        if (!name.length) {
            if (at != end || !count) return false;
            if (!database.at) database = user;
            return add_text(client->scan, user.at, user.length, &client->user) &&
                   add_text(client->scan, database.at, database.length, &client->database);
        }
        if (!is_printable(&name) || !read_string(data, &at, end, &value)) return false;
        if (!count && !equals(&name, "user") && !equals(&name, "database")) return false;
        if (equals(&name, "user")) user = value;
        if (equals(&name, "database")) database = value;
    }
    return false;
}

/* Read the client's messages without type: refused requests to encrypt, then the startup message. */
static bool scan_startup(pg_client *client, size_t *at, pg_unit *unit, uint32_t *refused) {
    const scan_side *side = &client->stream->side[0];
    for (;; *at = unit->end) {
        if (side->length - *at < 9) return false;
        uint32_t length = load_be32(side->data + *at), code = load_be32(side->data + *at + 4);
        *unit = (pg_unit){.is_open = true, .closes = true, .is_startup = true, .start = *at, .code = code};
        if (code == PG_TLS || code == PG_GSS) {
            if (length != 8 || *refused >= 2) return false;
            if (*refused >= client->stream->side[1].length || client->stream->side[1].data[*refused] != 'N') return false;
            unit->end = *at + length;
            ++*refused;
            if (!add_unit(client, unit)) return false;
            continue;
        }
        if (code >> 16 != 3 || (code & 0xFFFFu) > 9 || length < 9 || length > PG_MAX_STARTUP) return false;
        if (length > side->length - *at || !read_startup(client, side->data, *at + 8, *at + length)) return false;
        *at = unit->end = *at + length;
        return true;
    }
}

/* Does a message go on with this unit? The dissector's _belongs and _begins_unit. */
static bool goes_on(const pg_unit *unit, const pg_packet *packet, const uint8_t *data) {
    if (packet->kind == 'p') return true; /* a password; elsewhere it was refused */
    if (unit->closes) return false;
    bool is_prepared = unit->kinds & (PG_PARSE | PG_CLOSE) || unit->is_described;
    bool is_other = is_prepared && !(unit->kinds & PG_BIND); /* portal than one that was bound here */
    switch (packet->kind) {
        case 'P': return !(unit->kinds & (PG_PARSE | PG_BIND)) && !unit->has_executed;
        case 'B': return !(unit->kinds & PG_BIND) && !unit->has_executed;
        case 'D': return !unit->has_executed || data[packet->body] != 'S';
        case 'E': return !unit->has_executed && !is_other;
        default: return true;
    }
}

/* Keep what a message says; false if it is not whole, or where it does not belong. */
static bool note_packet(pg_unit *unit, const pg_packet *packet, const uint8_t *data) {
    size_t at = packet->body, end = packet->end;
    switch (packet->kind) {
        case 'Q': return read_string(data, &at, end, &unit->query);
        case 'P': return read_string(data, &at, end, &unit->statement) && read_string(data, &at, end, &unit->query);
        case 'B':
            if (end > at + PG_MAX_BIND_NAMES) end = at + PG_MAX_BIND_NAMES;
            return read_string(data, &at, end, &unit->portal) && read_string(data, &at, end, &unit->statement);
        case 'E': return read_string(data, &at, end, &unit->portal);
        case 'D': {
            pg_bytes name;
            bool is_statement = data[at++] == 'S';
            if (!read_string(data, &at, end, &name)) return false;
            if (unit->kinds & (PG_PARSE | PG_BIND)) return true;
            *(is_statement ? &unit->statement : &unit->portal) = name;
            unit->is_described |= is_statement;
            return true;
        }
        default: return true;
    }
}

/* `unit` is the startup message with what belongs to it, or none. */
static bool scan_client(pg_client *client, size_t at, pg_unit *unit) {
    const scan_side *side = &client->stream->side[0];
    pg_packet packet;
    for (; at < side->length; at = packet.end) {
        if (!read_packet(side, at, &packet)) return false;
        const char *kind = packet.kind ? strchr(pg_kinds, packet.kind) : NULL;
        if (!kind || (strchr("DE", packet.kind) && packet.body == packet.end)) return false;
        if (packet.kind == 'p' && !unit->is_startup) return false;
        if (unit->is_open && !goes_on(unit, &packet, side->data)) {
            if (!add_unit(client, unit)) return false;
            unit->is_open = false;
        }
        if (!unit->is_open) *unit = (pg_unit){.is_open = true, .start = packet.start};
        else if (packet.kind == 'Q' || packet.kind == 'X') return false; /* within a batch */
        if (!note_packet(unit, &packet, side->data)) return false;
        unit->end = packet.end;
        unit->kinds |= 1u << (kind - pg_kinds);
        unit->has_executed |= packet.kind == 'E';
        unit->closes |= packet.kind == 'Q' || packet.kind == 'S' || packet.kind == 'X';
    }
    return add_unit(client, unit);
}

/* What the server says */

typedef struct {
    kc_scan *scan;
    scan_stream *stream;
    size_t question, questions; /* the client's messages from the first of the cycle that is answered on */
    uint32_t cycle, place;      /* the place counts the questions of this cycle that were answered */
    uint32_t answers;           /* in this cycle */
    bool is_new_cycle, is_unasked;
    scan_arrival asked, answered;
} pg_server;

static const char pg_answers[] = "RKSZTDCINE123nst"; /* what a server sends, by bit */

enum {
    PG_COLUMNS = 1 << 4,
    PG_ROWS = 1 << 5,
    PG_PARSED = 1 << 10,
    PG_BOUND = 1 << 11,
    PG_CLOSED = 1 << 12,
    PG_NO_DATA = 1 << 13,
    PG_SUSPENDED = 1 << 14,
    PG_PARAMETERS = 1 << 15,
    PG_REST = 1 << 2 | 1 << 3 | PG_COLUMNS | 1 << 8 | 1 << 9 | PG_NO_DATA /* SZTNEn; the dissector's _REST */
};

typedef struct {
    bool is_open, is_done, has_anchor, has_tag, has_failed;
    uint8_t previous; /* message of the side that may not come at any time, in another answer, too */
    uint32_t kinds;
    size_t start, anchor, end;
    pg_bytes tag, error_code, error_text;
} pg_answer;

/* An ErrorResponse's fields: the last one of a code counts. */
static bool read_error(pg_answer *answer, const pg_packet *packet, const uint8_t *data) {
    size_t at = packet->body;
    pg_bytes field;
    for (size_t count = 0; at < packet->end; count++) {
        if (count == PG_MAX_FIELDS - 1 || !read_string(data, &at, packet->end, &field)) return false;
        if (!field.length) return at == packet->end && answer->has_failed;
        pg_bytes value = {field.at + 1, field.length - 1};
        if (*field.at == 'C') answer->error_code = value;
        if (*field.at == 'M') answer->error_text = value;
        answer->has_failed = true;
    }
    return false;
}

/* Go to the oldest cycle that waits when an answer begins; without one, its whole cycle was asked before the capture. */
static void begin_cycle(pg_server *server, uint32_t arrival) {
    const kc_message *messages = server->scan->messages;
    size_t at = server->question, end = server->questions;
    if (server->place) {
        for (uint64_t cycle = messages[at].key >> 32; at < end && messages[at].key >> 32 == cycle;) at++;
    }
    while (at < end && messages[at].bits & KC_ONE_WAY) at++;
    server->question = at;
    server->is_unasked = at == end || arrival_at(&server->asked, messages[at].start) >= arrival;
    server->is_new_cycle = false;
    server->place = server->answers = 0;
}

/* Find the question of an answer: the n-th of its cycle. False if the dissector had better look. */
static bool find_question(pg_server *server, const pg_answer *answer, uint32_t arrival, size_t *out) {
    size_t at = server->question + server->place++, first = server->question;
    const kc_message *messages = server->scan->messages;
    if (at >= server->questions || messages[at].key >> 32 != messages[first].key >> 32) return false;
    bool is_batch = first + 1 < server->questions && messages[first + 1].key >> 32 == messages[first].key >> 32;
    bool is_whole = messages[at].number[1] & (PG_QUERY | PG_EXECUTE | PG_SYNC) || messages[at].number[0];
    *out = at;
    if (answer->has_failed && (is_batch || !is_whole)) return false; /* the next question's, or nobody's */
    return arrival_at(&server->asked, messages[at].start) < arrival;
}

static bool add_answer(pg_server *server, const pg_answer *answer) {
    kc_scan *scan = server->scan;
    size_t question = 0, number = scan->message_count;
    if (!answer->has_anchor) return false; /* unasked */
    uint32_t arrival = arrival_at(&server->answered, answer->anchor);
    if (server->is_new_cycle) begin_cycle(server, arrival);
    if (server->answers++ && !(answer->kinds & ~(uint32_t)PG_REST)) return false; /* may be of the answer before it */
    if (server->is_unasked ? answer->has_failed : !find_question(server, answer, arrival, &question)) return false;
    kc_message *message = add_message(scan, server->stream, 1, answer->start, answer->end);
    if (!message) return false;
    message->kind = KC_RESPONSE;
    message->key = PG_UNASKED;
    message->number[2] = !answer->has_failed;
    kc_text *text = message->text;
    if (!add_text(scan, answer->tag.at, answer->tag.length, &text[1]) ||
        !add_text(scan, answer->error_code.at, answer->error_code.length, &text[2]) ||
        !add_text(scan, answer->error_text.at, answer->error_text.length, &text[3])) {
        return false;
    }
    if (server->is_unasked) return true;
    kc_message *request = &scan->messages[question];
    message = &scan->messages[number];
    message->key = request->key;
    request->number[2] = message->number[2];
    request->text[1] = message->text[1];
    return request->place < message->place;
}

/* Does a message of the server begin another answer? The dissector's _begins_answer, but for failures: they go with what
 * is before them, or find_question leaves them to the dissector. */
static bool begins_answer(const pg_answer *answer, uint8_t kind) {
    const uint32_t extended = PG_PARSED | PG_BOUND | PG_PARAMETERS | PG_NO_DATA | PG_SUSPENDED;
    uint32_t kinds = answer->kinds;
    switch (kind) {
        case '1': return answer->is_done || kinds & (PG_PARSED | PG_BOUND);
        case '2': return answer->is_done || kinds & PG_BOUND;
        case 't': return answer->is_done;
        case 'T':
        case 'n':
            if (answer->previous == 't') return false;
            break;
        case 'D':
        case 'C':
        case 'I':
        case 's':
        case 'E': break;
        default: return false;
    }
    if (answer->is_done) {
        if (kinds & extended || (kinds & PG_ROWS && !(kinds & PG_COLUMNS))) return true;
        return kind == 'D' && answer->previous == 'C';
    }
    return kind != 'E' && kinds & (PG_PARSED | PG_CLOSED | PG_PARAMETERS) && !(kinds & PG_BOUND);
}

static bool note_answer(pg_answer *answer, const pg_packet *packet, const uint8_t *data) {
    size_t at = packet->body;
    answer->end = packet->end;
    if (packet->kind != 'S' && packet->kind != 'N') {
        answer->previous = packet->kind;
        if (!answer->has_anchor) answer->anchor = packet->start;
        answer->has_anchor = true;
    }
    switch (packet->kind) {
        case 'C':
            answer->is_done = true;
            if (answer->has_tag) return true;
            answer->has_tag = true;
            return read_string(data, &at, packet->end, &answer->tag);
        case 'E':
            answer->is_done = true;
            return answer->has_failed || read_error(answer, packet, data);
        case 'I':
        case 's': answer->is_done = true; return true;
        default: return true;
    }
}

static bool scan_server(pg_server *server, uint32_t refused) {
    const scan_side *side = &server->stream->side[1];
    pg_answer answer = {.is_open = false};
    size_t at = 0;
    for (server->is_new_cycle = true; at < refused; at++, server->is_new_cycle = true) { /* "N", a byte */
        answer = (pg_answer){.has_anchor = true, .start = at, .anchor = at, .end = at + 1};
        if (!add_answer(server, &answer)) return false;
    }
    if (!refused && side->length && (side->data[0] == 'S' || side->data[0] == 'N')) return false;
    pg_packet packet;
    for (answer.is_open = false; at < side->length; at = packet.end) {
        if (!read_packet(side, at, &packet)) return false;
        const char *kind = packet.kind ? strchr(pg_answers, packet.kind) : NULL;
        if (!kind) return false;
        if (packet.kind == 'D' && answer.previous == 'D' && answer.is_open) { /* nearly all of a large result */
            answer.end = packet.end;
            continue;
        }
        if (answer.is_open && begins_answer(&answer, packet.kind)) {
            if (!add_answer(server, &answer)) return false;
            answer.is_open = false;
        }
        if (!answer.is_open) answer = (pg_answer){.is_open = true, .start = at, .previous = answer.previous};
        answer.kinds |= 1u << (kind - pg_answers);
        if (!note_answer(&answer, &packet, side->data)) return false;
        if (packet.kind == 'Z') {
            if (!add_answer(server, &answer)) return false;
            answer.is_open = false;
            server->is_new_cycle = true;
        }
    }
    return !answer.is_open || add_answer(server, &answer);
}

/* What the dissector's probe and its guess of who asks rest on where there is no startup message. */
static bool can_begin_anywhere(const scan_stream *stream) {
    const scan_side *asking = &stream->side[0], *answering = &stream->side[1];
    if (stream->flow->port_a != PG_PORT && stream->flow->port_b != PG_PORT) return false;
    pg_packet packet;
    if (!read_packet(asking, 0, &packet) || packet.end > PG_LIKELY) return false;
    if (packet.kind == 'C' || (packet.kind == 'E' && (packet.body == packet.end || asking->data[packet.body] == 'S'))) return false; /* or a server */
    return begins_plausibly(asking, "SHX") && begins_plausibly(answering, "ZK123nsI");
}

static bool scan_postgresql(kc_scan *scan, scan_stream *stream) {
    if (stream->flow->transport != PROTOCOL_TCP || !has_no_gap(stream) || !stream->side[0].length) return false;
    pg_client client = {.scan = scan, .stream = stream};
    pg_server server = {.scan = scan, .stream = stream, .question = scan->message_count};
    pg_unit unit = {.is_open = false};
    size_t at = 0;
    uint32_t refused = 0;
    if (stream->side[0].data[0] == 0) {
        if (!is_clean(stream) || !scan_startup(&client, &at, &unit, &refused)) return false;
    } else if (!can_begin_anywhere(stream)) {
        return false;
    }
    if (!scan_client(&client, at, &unit)) return false;
    server.questions = scan->message_count;
    server.asked.side = &stream->side[0];
    server.answered.side = &stream->side[1];
    return scan_server(&server, refused);
}
