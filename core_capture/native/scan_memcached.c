/* memcached on its own TCP port: the text protocol with its meta commands, and the binary protocol.
 *
 * Left to the dissector: UDP, quiet commands, lines that are refused with the data blocks behind them, binary statistics,
 * `watch` and whatever lists something else than STAT, blanks where none are needed, and what is malformed.
 * Number: whether a response tells success. Texts: command (requests) or status (responses), key. Key: the opaque of
 * the binary protocol. Oracle: pipeline/dissectors/databases/memcached.py, _memcached_text.py, _memcached_turns.py and
 * _memcached_binary.py. */
#include "scan.h"

#define MEMCACHED_PORT 11211u
#define MEMCACHED_PROBED 512u          /* PROBED of memcached.py */
#define MAX_MEMCACHED_LINE (64u << 10) /* MAX_LINE of _memcached_text.py */
#define MAX_MEMCACHED_KEY 250u
#define MEMCACHED_WORDS 6u /* of a request whose words are looked at one by one */
#define MEMCACHED_HEADER 24u
#define MEMCACHED_REQUEST 0x80u
#define MEMCACHED_RESPONSE 0x81u
#define MEMCACHED_BODY (1u << 30) /* MAX_BODY of _memcached_binary.py */
#define MEMCACHED_QUITQ 0x17u

/* A line without its end: words with one blank between them. */
typedef struct {
    scan_word words[MEMCACHED_WORDS];
    scan_word last;
    size_t count; /* of all words */
    size_t end;   /* behind the line's end */
    bool is_ascii;
} text_line;

static bool is_any_word(const scan_word *word, const char *const *known, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (is_word(word, known[i])) return true;
    }
    return false;
}

#define IS_ANY_WORD(word, known) is_any_word(word, known, sizeof(known) / sizeof *(known))

/* Split the line at data[at]; false unless it is words of up to MAX_MEMCACHED_KEY plain bytes. */
static bool read_words(const uint8_t *data, size_t length, size_t at, text_line *line) {
    *line = (text_line){.is_ascii = true};
    if (!find_line(data, length, at, MAX_MEMCACHED_LINE, &line->end)) return false;
    size_t end = line->end - 2;
    while (at <= end) {
        scan_word word = {data + at, 0};
        for (; at < end && data[at] != ' '; at++, word.length++) {
            if (data[at] < ' ' || data[at] == 0x7F) return false;
            line->is_ascii = line->is_ascii && data[at] < 0x80;
        }
        if (word.length == 0 || word.length > MAX_MEMCACHED_KEY) return false;
        if (line->count < MEMCACHED_WORDS) line->words[line->count] = word;
        line->last = word;
        line->count++;
        at++;
    }
    return true;
}

/* A storage command: key, flags, expiration, size, with `cas` its number; then the data. */
static bool read_storage(const uint8_t *data, size_t length, text_line *line, size_t count) {
    bool is_cas = is_word(&line->words[0], "cas");
    scan_word expiration = line->words[3];
    uint64_t ignored, size;
    if (count != (is_cas ? 6 : 5)) return false;
    if (expiration.bytes[0] == '-') expiration.bytes++, expiration.length--;
    if (!read_digits(&line->words[2], 10, &ignored) || !read_digits(&expiration, 10, &ignored)) return false;
    if (is_cas && !read_digits(&line->words[5], 20, &ignored)) return false;
    return read_digits(&line->words[4], 9, &size) && skip_block(data, length, size, &line->end);
}

/* A meta command that is not quiet: key, for `ms` a size, flags. */
static bool read_meta(const uint8_t *data, size_t length, text_line *line) {
    size_t line_end = line->end - 2;
    bool has_block = is_word(&line->words[0], "ms");
    uint64_t size = 0;
    if (line->count < (has_block ? 3 : 2) || !line->is_ascii) return false;
    if (has_block && !read_digits(&line->words[2], 9, &size)) return false;
    const uint8_t *flag = line->words[has_block ? 2 : 1].bytes;
    while ((flag = memchr(flag, ' ', (size_t)(data + line_end - flag))) != NULL) {
        uint8_t letter = *++flag | 0x20;
        bool is_alone = flag + 1 == data + line_end || flag[1] == ' ';
        if (letter < 'a' || letter > 'z' || (*flag == 'q' && is_alone)) return false;
    }
    return !has_block || skip_block(data, length, size, &line->end);
}

/* The request at data[at]; `key` is the number of the word that is its key, 0 without. */
static bool read_request(const uint8_t *data, size_t length, size_t at, text_line *line, size_t *key, bool *is_silent) {
    static const char *const retrieval[] = {"get", "gets", "gat", "gats"};
    static const char *const storage[] = {"set", "add", "replace", "append", "prepend", "cas"};
    static const char *const meta[] = {"mg", "ms", "md", "ma", "me"};
    static const char *const keyed[] = {"delete", "incr", "decr", "touch"};
    static const char *const bare[] = {"stats", "version", "flush_all", "verbosity", "quit", "mn"};
    if (!read_words(data, length, at, line)) return false;
    const scan_word *command = &line->words[0];
    *key = 1;
    *is_silent = false;
    if (IS_ANY_WORD(command, retrieval)) {
        if (command->bytes[1] == 'a') *key = 2; /* behind an expiration */
        return line->count > *key;
    }
    if (IS_ANY_WORD(command, meta)) return read_meta(data, length, line);
    size_t count = line->count;
    if (count > 1 && is_word(&line->last, "noreply")) *is_silent = true, count--;
    if (IS_ANY_WORD(command, bare)) {
        *key = 0;
        if (is_word(command, "quit")) *is_silent = true;
        return line->is_ascii;
    }
    if (count < 2) return false;
    if (IS_ANY_WORD(command, storage)) return read_storage(data, length, line, count);
    return IS_ANY_WORD(command, keyed);
}

static bool scan_text_requests(kc_scan *scan, scan_stream *stream) {
    const scan_side *side = &stream->side[0];
    text_line line;
    for (size_t at = 0; at < side->length; at = line.end) {
        size_t key;
        bool is_silent;
        if (!read_request(side->data, side->length, at, &line, &key, &is_silent)) return false;
        kc_message *message = add_message(scan, stream, 0, at, line.end);
        if (!message) return false;
        message->kind = KC_REQUEST;
        if (is_silent) message->bits = KC_ONE_WAY;
        const scan_word *name = &line.words[0], *word = &line.words[key];
        if (!add_text(scan, name->bytes, name->length, &message->text[0])) return false;
        if (key && !add_shown(scan, word->bytes, word->length, word->length, &message->text[1])) return false;
    }
    return true;
}

typedef struct {
    scan_word status, key;
    bool is_success;
    size_t end;
} text_answer;

/* VALUE key flags size [cas], then the data. */
static bool read_value(const uint8_t *data, size_t length, text_line *line, text_answer *answer) {
    uint64_t size, ignored;
    if (line->count < 4 || line->count > 5 || !read_digits(&line->words[2], 10, &ignored)) return false;
    if (line->count == 5 && !read_digits(&line->words[4], 20, &ignored)) return false;
    if (!answer->key.bytes) answer->key = line->words[1];
    return read_digits(&line->words[3], 9, &size) && skip_block(data, length, size, &line->end);
}

/* VA size flags, then the data; the flag k brings the key. */
static bool read_meta_value(const uint8_t *data, size_t length, text_line *line, text_answer *answer) {
    uint64_t size;
    if (line->count < 2 || line->count > MEMCACHED_WORDS || !line->is_ascii) return false;
    for (size_t i = 2; i < line->count; i++) {
        const scan_word *word = &line->words[i];
        if (word->bytes[0] == 'k') answer->key = (scan_word){word->bytes + 1, word->length - 1};
    }
    answer->is_success = true;
    return read_digits(&line->words[1], 9, &size) && skip_block(data, length, size, &line->end);
}

/* An answer of one line; its text, if it may have one, is not looked at unless it refuses a line. */
static bool read_memcached_status(const uint8_t *data, size_t length, size_t at, text_answer *answer) {
    static const char *const alone[] = {"STORED", "NOT_STORED", "TOUCHED", "DELETED", "NOT_FOUND", "EXISTS"};
    static const char *const others[] = {"END", "OK", "RESET", "ERROR", "HD", "EN", "NF", "NS", "EX", "MN"};
    static const char *const telling[] = {"CLIENT_ERROR", "SERVER_ERROR", "VERSION", "ME"};
    static const char *const good[] = {"STORED", "DELETED", "TOUCHED", "OK", "RESET", "VERSION", "HD", "MN", "ME"};
    static const uint8_t number[] = "NUMBER";
    uint64_t ignored;
    if (!find_line(data, length, at, MAX_MEMCACHED_LINE, &answer->end)) return false;
    scan_word line = {data + at, answer->end - at - 2}, *status = &answer->status;
    const uint8_t *blank = memchr(line.bytes, ' ', line.length);
    *status = line;
    if (blank) status->length = (size_t)(blank - line.bytes);
    answer->is_success = IS_ANY_WORD(status, good);
    if (IS_ANY_WORD(status, others) || (!blank && IS_ANY_WORD(status, alone))) return true;
    if (starts_word(data, length, at, "CLIENT_ERROR bad command line format")) return false;
    if (blank && IS_ANY_WORD(status, telling)) return true;
    if (blank || !read_digits(status, 20, &ignored)) return false;
    *status = (scan_word){number, sizeof number - 1};
    answer->is_success = true;
    return true;
}

/* Values or statistics up to END, a meta value, or a line. */
static bool read_answer(const uint8_t *data, size_t length, size_t at, text_answer *answer) {
    static const uint8_t value[] = "VALUE", statistic[] = "STAT";
    *answer = (text_answer){.end = at};
    text_line line;
    while (starts_word(data, length, answer->end, "VALUE ")) {
        if (!read_words(data, length, answer->end, &line) || !read_value(data, length, &line, answer)) return false;
        answer->end = line.end;
        answer->status = (scan_word){value, sizeof value - 1};
    }
    while (!answer->key.bytes && starts_word(data, length, answer->end, "STAT ")) {
        size_t name = answer->end + 5;
        if (!find_line(data, length, answer->end, MAX_MEMCACHED_LINE, &answer->end)) return false;
        const uint8_t *blank = memchr(data + name, ' ', answer->end - name);
        if (!blank || blank == data + name || (size_t)(blank - data) - name > MAX_MEMCACHED_KEY) return false;
        for (; name < (size_t)(blank - data); name++) {
            if (data[name] <= ' ' || data[name] > '~') return false;
        }
        answer->status = (scan_word){statistic, sizeof statistic - 1};
    }
    if (answer->status.bytes) {
        answer->is_success = true;
        if (!starts_word(data, length, answer->end, "END\r\n")) return false;
        answer->end += 5;
        return true;
    }
    if (!starts_word(data, length, at, "VA ")) return read_memcached_status(data, length, at, answer);
    if (!read_words(data, length, at, &line) || !read_meta_value(data, length, &line, answer)) return false;
    answer->status = line.words[0];
    answer->end = line.end;
    return true;
}

static bool scan_text_answers(kc_scan *scan, scan_stream *stream) {
    const scan_side *side = &stream->side[1];
    text_answer answer;
    for (size_t at = 0; at < side->length; at = answer.end) {
        if (!read_answer(side->data, side->length, at, &answer)) return false;
        kc_message *message = add_message(scan, stream, 1, at, answer.end);
        if (!message) return false;
        message->kind = KC_RESPONSE;
        message->number[0] = answer.is_success;
        const scan_word *key = &answer.key;
        if (!add_text(scan, answer.status.bytes, answer.status.length, &message->text[0])) return false;
        if (key->length && !add_shown(scan, key->bytes, key->length, key->length, &message->text[1])) return false;
    }
    return true;
}

/* Does what the probe looks at hold a whole line that tells, of a request or of the answer to one for many keys? */
static bool tells_text(const scan_side *client, const scan_side *server) {
    size_t probed = client->length < MEMCACHED_PROBED ? client->length : MEMCACHED_PROBED;
    return memchr(client->data, '\n', probed) || starts_word(server->data, server->length, 0, "VALUE ") ||
           starts_word(server->data, server->length, 0, "END\r\n");
}

/* The binary protocol */

static const char *const memcached_opcodes[0x40] = {
    "get", "set", "add", "replace", "delete", "incr", "decr", "quit", "flush_all", "getq", "noop", "version", "getk",
    "getkq", "append", "prepend", "stats", "setq", "addq", "replaceq", "deleteq", "incrq", "decrq", "quitq",
    "flush_allq", "appendq", "prependq", "verbosity", "touch", "gat", "gatq",
    [0x20] = "sasl_list_mechs", "sasl_auth", "sasl_step", "gatk", "gatkq",
    [0x30] = "rget", "rset", "rsetq", "rappend", "rappendq", "rprepend", "rprependq", "rdelete", "rdeleteq", "rincr",
    "rincrq", "rdecr", "rdecrq", "set_vbucket", "get_vbucket", "del_vbucket",
};

static const char *status_name(uint32_t status) {
    static const char *const low[] = {"NO_ERROR", "KEY_NOT_FOUND", "KEY_EXISTS", "VALUE_TOO_LARGE",
                                      "INVALID_ARGUMENTS", "NOT_STORED", "NON_NUMERIC_VALUE",
                                      "VBUCKET_ON_ANOTHER_SERVER"};
    static const char *const high[] = {"UNKNOWN_COMMAND", "OUT_OF_MEMORY", "NOT_SUPPORTED", "INTERNAL_ERROR", "BUSY",
                                       "TEMPORARY_FAILURE"};
    if (status < sizeof low / sizeof *low) return low[status];
    if (status == 0x20) return "AUTH_ERROR";
    if (status == 0x21) return "AUTH_CONTINUE";
    if (status >= 0x81 && status - 0x81 < sizeof high / sizeof *high) return high[status - 0x81];
    return NULL;
}

/* Whether a request's opcode has extras of this length, and a key: is_header of the dissector, strict. */
static bool fits_opcode(uint8_t opcode, uint8_t extras, bool has_key) {
    static const uint8_t wanted[0x40] = {
        [0x01] = 8,  [0x02] = 8,  [0x03] = 8, [0x11] = 8, [0x12] = 8, [0x13] = 8, [0x05] = 20, [0x06] = 20,
        [0x15] = 20, [0x16] = 20, [0x1B] = 4, [0x1C] = 4, [0x1D] = 4, [0x1E] = 4, [0x23] = 4,  [0x24] = 4,
    };
    static const uint8_t keyless[] = {0x07, 0x08, 0x0A, 0x0B, 0x17, 0x18, 0x1B, 0x20};
    bool may_flush_later = (opcode == 0x08 || opcode == 0x18) && extras == 4;
    if (extras != wanted[opcode] && !may_flush_later) return false;
    return has_key || memchr(keyless, opcode, sizeof keyless) != NULL;
}

static bool scan_binary(kc_scan *scan, scan_stream *stream, uint32_t direction) {
    const scan_side *side = &stream->side[direction];
    for (size_t at = 0, end; at < side->length; at = end) {
        const uint8_t *header = side->data + at;
        if (side->length - at < MEMCACHED_HEADER) return false;
        if (header[0] != (direction ? MEMCACHED_RESPONSE : MEMCACHED_REQUEST) || header[1] >= 0x40) return false;
        uint8_t opcode = header[1], extras = header[4];
        const char *name = memcached_opcodes[opcode];
        uint32_t key = load_be16(header + 2), status = load_be16(header + 6), body = load_be32(header + 8);
        if (!name || strcmp(name, "stats") == 0 || header[5] != 0) return false;
        if (name[strlen(name) - 1] == 'q' && opcode != MEMCACHED_QUITQ) return false;
        if (key > MAX_MEMCACHED_KEY || key + extras > body || body > MEMCACHED_BODY) return false;
        if (direction ? !status_name(status) || (extras != 0 && extras != 4) : !fits_opcode(opcode, extras, key > 0)) {
            return false;
        }
        if (side->length - at - MEMCACHED_HEADER < body) return false;
        end = at + MEMCACHED_HEADER + body;
        kc_message *message = add_message(scan, stream, direction, at, end);
        if (!message) return false;
        message->kind = direction ? KC_RESPONSE : KC_REQUEST;
        message->key = load_be32(header + 12);
        if (direction) message->number[0] = status == 0, name = status_name(status);
        else if (opcode == MEMCACHED_QUITQ) message->bits = KC_ONE_WAY;
        if (!add_text(scan, (const uint8_t *)name, strlen(name), &message->text[0])) return false;
        if (key && !add_shown(scan, header + MEMCACHED_HEADER + extras, key, key, &message->text[1])) return false;
    }
    return true;
}

static bool scan_memcached(kc_scan *scan, scan_stream *stream) {
    const kc_flow *flow = stream->flow;
    const scan_side *client = &stream->side[0];
    if (flow->transport != PROTOCOL_TCP || !has_no_gap(stream) || !client->length) return false;
    if (flow->port_a != MEMCACHED_PORT && flow->port_b != MEMCACHED_PORT) return false;
    if (client->data[0] == MEMCACHED_REQUEST) return scan_binary(scan, stream, 0) && scan_binary(scan, stream, 1);
    return tells_text(client, &stream->side[1]) && scan_text_requests(scan, stream) && scan_text_answers(scan, stream);
}
