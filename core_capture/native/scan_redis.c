/* Redis, RESP2 and RESP3: pipelines of commands and whatever values answer them.
 *
 * Left to the dissector: inline commands, commands that change who answers what (subscriptions, MONITOR, CLIENT REPLY,
 * replication), most of those that carry secrets, and pushes, attributes, streamed and blob-error values.
 * Texts: verb, key, command line (requests); error (responses, text 3). Oracle: pipeline/dissectors/databases/redis.py,
 * _redis_commands.py and _redis_resp.py. */
#include "scan.h"

#define REDIS_PORT 6379u
#define MAX_REDIS_LINE (64u << 10) /* MAX_LINE of _redis_resp.py, here and below with the line end */
#define MAX_REDIS_PARTS 256u       /* its MAX_PARTS: arguments that are looked at */
#define MAX_REDIS_COMMAND 4096u    /* MAX_COMMAND of redis.py: bytes of an argument or error, characters of a line */
#define MAX_REDIS_KEY 64u          /* its MAX_KEY */
#define MAX_REDIS_VERB 63u
#define REDIS_SECRETS 64u /* arguments in which the name of a secret is looked for */
#define MAX_LENGTH_DIGITS 9u

static const char redis_redacted[] = "[redacted]";

/* The number behind the sign at data[at], and where its line ends; -1 is a missing value. False for others. */
static bool read_count(const uint8_t *data, size_t length, size_t at, int64_t *count, size_t *end) {
    size_t digit = ++at;
    if (length - at >= 4 && memcmp(data + at, "-1\r\n", 4) == 0) {
        *count = -1;
        *end = at + 4;
        return true;
    }
    int64_t value = 0;
    while (at < length && at - digit < MAX_LENGTH_DIGITS && data[at] >= '0' && data[at] <= '9') {
        value = value * 10 + (data[at++] - '0');
    }
    if (at == digit || length - at < 2 || data[at] != '\r' || data[at + 1] != '\n') return false;
    *count = value;
    *end = at + 2;
    return true;
}

/* The bulk string at data[at]; a missing one is no word. */
static bool read_bulk(const uint8_t *data, size_t length, size_t at, scan_word *word, size_t *end) {
    int64_t count;
    if (at >= length || data[at] != '$' || !read_count(data, length, at, &count, end) || count < 0) return false;
    if (length - *end < 2 || (uint64_t)count > length - *end - 2) return false;
    *word = (scan_word){data + *end, (size_t)count};
    *end += (size_t)count;
    if (data[*end] != '\r' || data[*end + 1] != '\n') return false;
    *end += 2;
    return true;
}

/* Walk over one value, however nested: elements are counted down. `first` gets the first string in it. */
static bool skip_value(const uint8_t *data, size_t length, size_t at, scan_word *first, size_t *end) {
    *first = (scan_word){NULL, 0};
    for (uint64_t left = 1; left; left--) {
        int64_t count;
        if (at >= length || left > length) return false; /* an element takes bytes: so many cannot be there */
        switch (data[at]) {
            case '+': case '-': case ':': case '_': case '#': case ',': case '(':
                if (!find_line(data, length, at, MAX_REDIS_LINE, end)) return false;
                if (!first->bytes) *first = (scan_word){data + at + 1, *end - at - 3};
                at = *end;
                break;
            case '$': case '=': case '!':
                if (!read_count(data, length, at, &count, &at)) return false;
                if (!first->bytes) *first = (scan_word){data + at, count < 0 ? 0 : (size_t)count};
                if (count < 0) break;
                if (length - at < 2 || (uint64_t)count > length - at - 2) return false;
                at += (size_t)count;
                if (data[at] != '\r' || data[at + 1] != '\n') return false;
                at += 2;
                break;
            case '*': case '~': case '%': {
                uint64_t times = data[at] == '%' ? 2 : 1;
                if (!read_count(data, length, at, &count, &at)) return false;
                if (count > 0) left += times * (uint64_t)count;
                break;
            }
            default: return false;
        }
    }
    *end = at;
    return true;
}

static bool is_one_of(const scan_word *word, const char *const *known, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (known[i][0] == (char)word->bytes[0] && strlen(known[i]) == word->length &&
            memcmp(known[i], word->bytes, word->length) == 0) {
            return true;
        }
    }
    return false;
}

#define IS_ONE_OF(word, known) is_one_of(word, known, sizeof(known) / sizeof *(known))

static bool equals_upper(const scan_word *word, const char *upper) {
    size_t length = strlen(upper);
    if (word->length != length) return false;
    for (size_t i = 0; i < length; i++) {
        uint8_t c = word->bytes[i];
        if (c >= 'a' && c <= 'z') c = (uint8_t)(c & ~0x20u);
        if (c != (uint8_t)upper[i]) return false;
    }
    return true;
}

/* Whether it could be another word in capitals: Unicode has letters that become two, or ASCII ones. */
static bool is_ascii(const scan_word *word) {
    for (size_t i = 0; i < word->length; i++) {
        if (word->bytes[i] >= 0x80) return false;
    }
    return true;
}

/* Capitals of a verb: is_verb of the dissector, and a letter first. False if it is none. */
static bool read_verb(const scan_word *word, uint8_t *out) {
    if (word->length == 0 || word->length > MAX_REDIS_VERB) return false;
    for (size_t i = 0; i < word->length; i++) {
        uint8_t c = word->bytes[i];
        bool is_letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        bool is_other = i > 0 && ((c >= '0' && c <= '9') || c == '.' || c == '_' || c == '|' || c == '-');
        if (!is_letter && !is_other) return false;
        out[i] = is_letter ? (uint8_t)(c & ~0x20u) : c;
    }
    return true;
}

/* Which arguments are shown as redacted, as a bit each; false if that, or who answers, is for the dissector to say. */
static bool judge(const scan_word *verb, const scan_word *words, size_t count, uint64_t *hidden) {
    static const char *const others[] = {"ACL",      "MIGRATE",  "SENTINEL", "REPLCONF", "PSYNC",
                                         "SYNC",     "MONITOR"};
    static const char subscribe[] = "SUBSCRIBE";
    size_t tail = sizeof subscribe - 1;
    *hidden = 0;
    if (IS_ONE_OF(verb, others)) return false;
    if (verb->length >= tail && memcmp(verb->bytes + verb->length - tail, subscribe, tail) == 0) return false;
    if (equals_upper(verb, "CLIENT")) return count < 2 || !equals_upper(&words[1], "REPLY");
    if (equals_upper(verb, "CONFIG")) return count < 2 || equals_upper(&words[1], "GET");
    bool is_auth = equals_upper(verb, "AUTH");
    if (!is_auth && !equals_upper(verb, "HELLO")) return true;
    if (count > REDIS_SECRETS) return false;
    for (size_t at = 1; at < count; at++) {
        if (is_auth && (count < 3 || at >= 2)) *hidden |= (uint64_t)1 << at;
        if (is_auth) continue;
        if (!is_ascii(&words[at])) return false;
        bool names_secret = equals_upper(&words[at], "AUTH") || equals_upper(&words[at], "AUTH2");
        if (names_secret && at + 2 < count) *hidden |= (uint64_t)1 << (at + 2);
    }
    return true;
}

/* The number of the argument that is the key, 0 for none: key_of of the dissector. False if that is its to say. */
static bool find_key(const scan_word *verb, const scan_word *words, size_t count, size_t *key) {
    static const char *const without[] = {
        "ACL",      "ASKING",   "AUTH",      "BGREWRITEAOF", "BGSAVE",  "CLIENT",    "CLUSTER",  "COMMAND",
        "CONFIG",   "DBSIZE",   "DEBUG",     "DISCARD",      "ECHO",    "EXEC",      "FAILOVER", "FLUSHALL",
        "FLUSHDB",  "FUNCTION", "HELLO",     "INFO",         "KEYS",    "LASTSAVE",  "LATENCY",  "LOLWUT",
        "MODULE",   "MONITOR",  "MULTI",     "PING",         "PSYNC",   "PUBSUB",    "QUIT",     "RANDOMKEY",
        "READONLY", "READWRITE", "REPLCONF", "REPLICAOF",    "RESET",   "ROLE",      "SAVE",     "SCAN",
        "SCRIPT",   "SELECT",   "SENTINEL",  "SHUTDOWN",     "SLAVEOF", "SLOWLOG",   "SWAPDB",   "SYNC",
        "TIME",     "UNWATCH",  "WAIT",      "WAITAOF",
    };
    static const char *const second[] = {"BITOP", "MEMORY", "OBJECT", "XGROUP", "XINFO"};
    static const char *const counted_first[] = {"LMPOP",      "SINTERCARD", "ZDIFF", "ZINTER",
                                                "ZINTERCARD", "ZMPOP",      "ZUNION"};
    static const char *const counted_second[] = {"BLMPOP",     "BZMPOP",  "EVAL",  "EVALSHA",
                                                 "EVALSHA_RO", "EVAL_RO", "FCALL", "FCALL_RO"};
    static const char *const streams[] = {"XREAD", "XREADGROUP"};
    *key = 0;
    if (IS_ONE_OF(verb, without)) return true;
    if (IS_ONE_OF(verb, streams)) {
        for (size_t at = 0; at < count && !*key; at++) {
            if (!is_ascii(&words[at])) return false;
            if (equals_upper(&words[at], "STREAMS")) *key = at + 1;
        }
    } else if (IS_ONE_OF(verb, counted_first) || IS_ONE_OF(verb, counted_second)) {
        size_t at = IS_ONE_OF(verb, counted_first) ? 1 : 2;
        bool has_keys = at < count && words[at].length && !(words[at].length == 1 && words[at].bytes[0] == '0');
        *key = has_keys ? at + 1 : 0;
    } else {
        *key = IS_ONE_OF(verb, second) ? 2 : 1;
    }
    if (*key >= count) *key = 0;
    return true;
}

static scan_word shortened(scan_word word) {
    if (word.length > MAX_REDIS_COMMAND) word.length = MAX_REDIS_COMMAND;
    return word;
}

/* Verb, key and line of a command. False without memory, and for commands that are left to the dissector. */
static bool add_command(kc_scan *scan, kc_text *text, const scan_word *words, size_t count) {
    uint8_t capitals[MAX_REDIS_VERB];
    if (!read_verb(&words[0], capitals)) return false;
    scan_word verb = {capitals, words[0].length};
    uint64_t hidden;
    size_t key;
    if (!judge(&verb, words, count, &hidden) || !find_key(&verb, words, count, &key)) return false;
    if (!add_text(scan, verb.bytes, verb.length, &text[0])) return false;
    if (key) {
        scan_word word = shortened(words[key]);
        if (!add_shown(scan, word.bytes, word.length, MAX_REDIS_COMMAND, &text[1])) return false;
        shorten_text(scan, &text[1], MAX_REDIS_KEY);
    }
    size_t room = MAX_REDIS_COMMAND - verb.length, start = scan->text_length;
    if (!add_text(scan, verb.bytes, verb.length, &text[2])) return false;
    for (size_t at = 1; at < count && room; at++) {
        scan_word word = shortened(words[at]);
        if (hidden >> (at < 64 ? at : 63) & 1) word = (scan_word){(const uint8_t *)redis_redacted, sizeof redis_redacted - 1};
        kc_text piece;
        if (!add_text(scan, (const uint8_t *)" ", 1, &piece)) return false;
        room--;
        size_t before = room;
        if (!add_shown(scan, word.bytes, word.length, room, &piece)) return false;
        room = before - characters_of(scan, &piece);
    }
    text[2].length = (uint32_t)(scan->text_length - start);
    return true;
}

static bool scan_commands(kc_scan *scan, scan_stream *stream) {
    const uint8_t *data = stream->side[0].data;
    size_t length = stream->side[0].length;
    for (size_t at = 0, end; at < length; at = end) {
        scan_word words[MAX_REDIS_PARTS], word;
        int64_t count;
        if (data[at] != '*' || !read_count(data, length, at, &count, &end) || count < 1) return false;
        for (int64_t i = 0; i < count; i++) {
            if (!read_bulk(data, length, end, &word, &end)) return false;
            if (i < MAX_REDIS_PARTS) words[i] = word;
        }
        kc_message *message = add_message(scan, stream, 0, at, end);
        if (!message) return false;
        message->kind = KC_REQUEST;
        size_t kept = count < MAX_REDIS_PARTS ? (size_t)count : MAX_REDIS_PARTS;
        if (!add_command(scan, scan->messages[scan->message_count - 1].text, words, kept)) return false;
    }
    return true;
}

/* In a conversation that began before its capture an answer may be a subscription's or MONITOR's: is it none? */
static bool is_asked(const uint8_t *data, size_t at, const scan_word *first) {
    static const char *const pushes[] = {"message",      "smessage",    "pmessage",     "subscribe", "psubscribe",
                                         "ssubscribe",   "unsubscribe", "punsubscribe", "sunsubscribe"};
    if (data[at] == '+') return data[at + 1] < '0' || data[at + 1] > '9';
    return data[at] != '*' || first->length == 0 || !IS_ONE_OF(first, pushes);
}

/* Does the dissector, which looks for it, find the first value where the data begin? A few that it may, not all. */
static bool starts_value(const uint8_t *data, size_t length) {
    if (length < 4) return false;
    switch (data[0]) {
        case '$': case '*': case '%': case '~': case '=': return true; /* their counts are checked */
        case ':':
            while (length > 2 && *++data >= '0' && *data <= '9') length--;
            return *data == '\r';
        case '+': case '-': return data[1] >= 'A' && data[1] <= 'Z';
        default: return false;
    }
}

static bool scan_answers(kc_scan *scan, scan_stream *stream) {
    const uint8_t *data = stream->side[1].data;
    size_t length = stream->side[1].length;
    bool is_midway = stream->side[1].starts_midway;
    if (is_midway && length && !starts_value(data, length)) return false;
    for (size_t at = 0, end; at < length; at = end) {
        scan_word first;
        if (data[at] == '!' || !skip_value(data, length, at, &first, &end)) return false;
        if (is_midway && !is_asked(data, at, &first)) return false;
        kc_message *message = add_message(scan, stream, 1, at, end);
        if (!message) return false;
        message->kind = KC_RESPONSE;
        if (data[at] != '-') continue;
        scan_word word = shortened((scan_word){data + at + 1, end - at - 3});
        if (!add_shown(scan, word.bytes, word.length, MAX_REDIS_COMMAND, &message->text[3])) return false;
    }
    return true;
}

static bool scan_redis(kc_scan *scan, scan_stream *stream) {
    const kc_flow *flow = stream->flow;
    if (flow->transport != PROTOCOL_TCP || !has_no_gap(stream)) return false;
    const scan_side *asking = &stream->side[0];
    uint16_t client_port = flow->client ? flow->port_b : flow->port_a;
    uint16_t server_port = flow->client ? flow->port_a : flow->port_b;
    if (client_port == REDIS_PORT && server_port != REDIS_PORT) return false; /* the server asks */
    /* What the probe looks for: *n, $n, and a letter; a count without leading zeros, a verb of 1 to 999 bytes. */
    if (asking->length < 8 || asking->data[0] != '*' || asking->data[1] < '1' || asking->data[1] > '9') return false;
    const uint8_t *bulk = memchr(asking->data, '$', asking->length < 12 ? asking->length : 12);
    if (!bulk || bulk + 1 == asking->data + asking->length || bulk[1] < '1' || bulk[1] > '9') return false;
    return scan_commands(scan, stream) && scan_answers(scan, stream);
}
