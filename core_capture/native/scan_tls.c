/* TLS over TCP, from the ClientHello on (RFC 8446, RFC 5246): what is said in clear before it is encrypted.
 *
 * Left to the dissector: streams that it may decrypt, alerts in clear, HelloRetryRequests and every other second hello,
 * hellos that are malformed or spread over records, names that are not printable ASCII, drafts of TLS 1.3.
 * Numbers of responses: version, cipher suite. Texts of requests: server name, ALPN (the server's if it chose one); of
 * responses: nothing, ALPN. Oracle: pipeline/dissectors/security/tls.py and pipeline/tls. */
#include "scan.h"

#define TLS_RECORD 5u
#define TLS_MAX_RECORD ((1u << 14) + 2048u)
#define TLS_MAX_HANDSHAKE (1u << 20)
#define TLS_MAX_MESSAGES 32u /* the dissector takes twice as many */
#define TLS_MAX_EXTENSIONS 200u

enum { TLS_CCS = 20, TLS_ALERT = 21, TLS_HANDSHAKE = 22, TLS_DATA = 23 };
enum { TLS_CLIENT_HELLO = 1, TLS_SERVER_HELLO = 2 };
enum { TLS_SERVER_NAME = 0, TLS_ALPN = 16, TLS_VERSIONS = 43 };

/* SHA-256 of "HelloRetryRequest" (RFC 8446 §4.1.3). */
static const uint8_t tls_retry[32] = {0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c,
                                      0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb,
                                      0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c};

typedef struct {
    const uint8_t *at;
    size_t length;
} tls_bytes;

typedef struct {
    size_t start, end;   /* of the hello, and of what was said in clear behind it */
    tls_bytes name, alpn;
    uint32_t version, suite;
} tls_hello;

static bool tls_take(tls_bytes *from, size_t count, tls_bytes *out) {
    if (count > from->length) return false;
    *out = (tls_bytes){from->at, count};
    from->at += count;
    from->length -= count;
    return true;
}

static bool tls_number(tls_bytes *from, size_t width, uint32_t *out) {
    tls_bytes bytes;
    if (!tls_take(from, width, &bytes)) return false;
    for (*out = 0; bytes.length; bytes.at++, bytes.length--) *out = *out << 8 | *bytes.at;
    return true;
}

/* A vector whose length has `width` bytes. */
static bool tls_vector(tls_bytes *from, size_t width, tls_bytes *out) {
    uint32_t length;
    return tls_number(from, width, &length) && tls_take(from, length, out);
}

static bool tls_is_plain(const tls_bytes *bytes) {
    for (size_t i = 0; i < bytes->length; i++) {
        if (bytes->at[i] < ' ' || bytes->at[i] > '~') return false;
    }
    return true;
}

/* Read an extension that columns tell of; its first one counts. */
static bool read_extension(uint32_t kind, tls_bytes body, bool is_client, tls_hello *hello) {
    uint32_t number;
    if (kind == TLS_SERVER_NAME && is_client && body.length) {
        return tls_number(&body, 2, &number) && tls_number(&body, 1, &number) && number == 0 &&
               tls_vector(&body, 2, &hello->name) && tls_is_plain(&hello->name);
    }
    if (kind == TLS_ALPN) {
        return tls_number(&body, 2, &number) && tls_vector(&body, 1, &hello->alpn) && tls_is_plain(&hello->alpn);
    }
    if (kind == TLS_VERSIONS && !is_client) return body.length == 2 && tls_number(&body, 2, &hello->version);
    return true;
}

static bool read_extensions(tls_bytes *body, bool is_client, tls_hello *hello) {
    tls_bytes all, extension;
    uint32_t kind, seen = 0;
    if (!body->length) return true; /* before TLS 1.2 there may be none */
    if (!tls_vector(body, 2, &all) || body->length) return false;
    for (size_t count = 0; all.length; count++) {
        if (count == TLS_MAX_EXTENSIONS || !tls_number(&all, 2, &kind) || !tls_vector(&all, 2, &extension)) return false;
        uint32_t bit = kind == TLS_SERVER_NAME ? 1u : kind == TLS_ALPN ? 2u : kind == TLS_VERSIONS ? 4u : 0u;
        if (seen & bit) continue;
        seen |= bit;
        if (!read_extension(kind, extension, is_client, hello)) return false;
    }
    return true;
}

static bool read_hello(tls_bytes body, bool is_client, tls_hello *hello) {
    tls_bytes random, skipped;
    uint32_t number;
    if (!tls_number(&body, 2, &hello->version) || hello->version >> 8 != 3) return false;
    if (!tls_take(&body, sizeof tls_retry, &random) || !tls_vector(&body, 1, &skipped)) return false;
    if (is_client) return tls_vector(&body, 2, &skipped) && tls_vector(&body, 1, &skipped) && read_extensions(&body, true, hello);
    if (memcmp(random.at, tls_retry, sizeof tls_retry) == 0) return false;
    return tls_number(&body, 2, &hello->suite) && tls_number(&body, 1, &number) && read_extensions(&body, false, hello) &&
           hello->version >> 8 == 3;
}

/* A handshake message that may be spread over records. */
typedef struct {
    uint8_t head[4];
    size_t headed, left; /* bytes of the head, and of the body that is to come */
    size_t count;        /* messages that are whole */
} tls_message;

static bool is_handshake(uint8_t kind) {
    static const uint8_t known[] = {0, 1, 2, 3, 4, 5, 6, 8, 11, 12, 13, 14, 15, 16, 20, 21, 22, 23, 24, 25, 67};
    return memchr(known, kind, sizeof known) != NULL;
}

/* Take the messages of a record's body, which begins at `start` of its side; the first must be its hello, whole. */
static bool take_messages(const uint8_t *data, size_t end, size_t start, bool is_client, tls_message *message,
                          tls_hello *hello) {
    for (size_t at = 0; at < end;) {
        if (message->headed < sizeof message->head) {
            message->head[message->headed++] = data[at++];
            if (message->headed < sizeof message->head) continue;
            message->left = load_be32(message->head) & 0xFFFFFFu;
            if (!is_handshake(message->head[0]) || message->left > TLS_MAX_HANDSHAKE) return false;
            bool is_hello = message->head[0] == TLS_CLIENT_HELLO || message->head[0] == TLS_SERVER_HELLO;
            if (is_hello != (message->count == 0)) return false;
            if (is_hello && (message->left > end - at || message->head[0] != (is_client ? TLS_CLIENT_HELLO : TLS_SERVER_HELLO) ||
                             !read_hello((tls_bytes){data + at, message->left}, is_client, hello))) {
                return false;
            }
        }
        size_t taken = message->left < end - at ? message->left : end - at;
        message->left -= taken;
        at += taken;
        if (message->left) continue;
        hello->end = start + at;
        message->headed = 0;
        if (++message->count > TLS_MAX_MESSAGES) return false;
    }
    return true;
}

/* Read what a side says up to its first application data. */
static bool scan_tls_side(scan_side *side, bool is_client, tls_hello *hello) {
    tls_message message = {.count = 0};
    bool is_encrypted = false;
    *hello = (tls_hello){.start = 0};
    for (size_t at = 0, end; at < side->length; at = end) {
        const uint8_t *head = side->length - at < TLS_RECORD ? NULL : bytes_at(side, at, TLS_RECORD);
        if (!head) return false;
        uint32_t kind = head[0], length = load_be16(head + 3);
        if (kind < TLS_CCS || kind > 24 || head[1] != 3 || head[2] > 4 || length > TLS_MAX_RECORD) return false;
        if (kind == TLS_DATA) break;
        if (!length || length > side->length - at - TLS_RECORD) return false;
        size_t start = at + TLS_RECORD;
        end = start + length;
        const uint8_t *body = bytes_at(side, start, length);
        if (!body) return false;
        if (kind == TLS_CCS) {
            if (message.headed) return false;
            is_encrypted = true;
        } else if (kind == TLS_ALERT && length == 2) {
            return false;
        } else if (kind == TLS_HANDSHAKE && is_encrypted) {
            if (body[0] == TLS_CLIENT_HELLO || body[0] == TLS_SERVER_HELLO) return false; /* by chance, or not */
        } else if (kind == TLS_HANDSHAKE) {
            if (!take_messages(body, length, start, is_client, &message, hello)) return false;
        }
    }
    return message.count && !message.headed;
}

static bool begins_handshake(scan_side *side) {
    const uint8_t *kind = side->length ? bytes_at(side, 0, 1) : NULL;
    return kind && *kind == TLS_HANDSHAKE;
}

static bool scan_tls(kc_scan *scan, scan_stream *stream) {
    scan_side *client = &stream->side[0], *server = &stream->side[1];
    if (stream->flow->transport != PROTOCOL_TCP || !is_clean(stream) || !client->length) return false;
    if (!begins_handshake(client) || (server->length && !begins_handshake(server))) return false;
    tls_hello asked, answered = {.start = 0};
    if (!scan_tls_side(client, true, &asked)) return false;
    if (server->length && !scan_tls_side(server, false, &answered)) return false;
    kc_message *request = add_message(scan, stream, 0, 0, asked.end);
    if (!request) return false;
    tls_bytes alpn = answered.alpn.length ? answered.alpn : asked.alpn;
    request->kind = KC_REQUEST;
    kc_text *text = request->text;
    if (!add_text(scan, asked.name.at, asked.name.length, &text[0]) || !add_text(scan, alpn.at, alpn.length, &text[1])) {
        return false;
    }
    if (!server->length) return true;
    kc_text shared = text[1];
    kc_message *response = add_message(scan, stream, 1, 0, answered.end);
    if (!response || response->place <= scan->messages[scan->message_count - 2].place) return false;
    response->kind = KC_RESPONSE;
    response->number[0] = (int32_t)answered.version;
    response->number[1] = (int32_t)answered.suite;
    if (answered.alpn.length) response->text[1] = shared;
    return true;
}
