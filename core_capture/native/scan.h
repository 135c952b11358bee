/* What scanners share: a stream's bytes, and where messages go. A scanner is a function that reads one stream and adds
 * its messages; false leaves the stream to the dissector. Oracle of each: its dissector in pipeline/dissectors. */
#ifndef KUBESHARK_SCAN_H
#define KUBESHARK_SCAN_H

#include "sides.h"

#define KC_NONE 0xFFFFFFFFu

#define KC_REQUEST 0u
#define KC_RESPONSE 1u
#define KC_EVENT 2u

#define KC_ONE_WAY 1u /* kc_message.bits: a request that has no answer by design */
#define KC_INTERIM 2u /* a response that does not end its request */
#define KC_CHUNKED 4u /* HTTP/1: its body is chunked */

#define MAX_SCANNED 0x7FFFFFFFu /* bytes of one side; offsets in a kc_message are 32 bits */

typedef enum {
    PAIR_NONE, /* every message stands alone */
    PAIR_FIFO, /* the n-th response answers the n-th request */
    PAIR_KEY   /* the oldest unanswered request with the same key */
} pairing;

typedef struct {
    const kc_decoded *decoded;
    const kc_flow *flow;
    uint32_t number;
    scan_side side[2]; /* client's, server's; TCP only. Laid out, but for HTTP/1 and TLS */
    const uint32_t *packets;
    size_t packet_count;
} scan_stream;

/* A walk over a side's bytes that tells when each came. */
typedef struct {
    const scan_side *side;
    size_t chunk;
    uint32_t latest;
} scan_arrival;

/* One UDP datagram or ICMP message. */
typedef struct {
    const uint8_t *data;
    size_t length;
    uint32_t packet;
    uint8_t direction; /* 0: the client sent it */
    bool is_cut;
} scan_datagram;

typedef struct {
    const uint8_t *bytes;
    size_t length;
} scan_word;

struct h2_reader; /* scan_http2.c */

struct kc_scan {
    kc_message *messages;
    size_t message_count, message_capacity;
    kc_exchange *exchanges;
    size_t exchange_count, exchange_capacity;
    uint8_t *text;
    size_t text_length, text_capacity;
    uint32_t *order; /* scratch of pairing: message numbers */
    size_t order_capacity;
    size_t unpaired; /* first message of the stream in work that is not paired yet … */
    pairing how;     /* … and how it will be */
    struct h2_reader *h2; /* made for the first stream that needs it */
    bool no_memory;
};

static inline bool is_tcp(const scan_stream *stream) { return stream->flow->transport == PROTOCOL_TCP; }

/* Whether both sides can be scanned at all. */
static inline bool has_no_gap(const scan_stream *stream) {
    const scan_side *side = stream->side;
    return !side[0].has_gaps && !side[1].has_gaps && side[0].length <= MAX_SCANNED && side[1].length <= MAX_SCANNED;
}

/* … and have every byte from their beginning. */
static inline bool is_clean(const scan_stream *stream) {
    const scan_side *side = stream->side;
    return has_no_gap(stream) && !(side[0].starts_midway && side[0].length) &&
           !(side[1].starts_midway && side[1].length);
}

/* The packet that brought the byte at `at`, or a later one that brought bytes before it; offsets must not go back. */
static uint32_t arrival_at(scan_arrival *arrival, size_t at);

/* Add a message of which nothing is set; NULL without memory. */
static kc_message *append_message(kc_scan *scan);

/* Add a message of a TCP side; its packets are looked up. NULL without memory. */
static kc_message *add_message(kc_scan *scan, scan_stream *stream, uint32_t direction, size_t start, size_t end);

/* Add a message that is a whole datagram, the `place`th of its stream. NULL without memory. */
static kc_message *add_datagram(kc_scan *scan, const scan_stream *stream, const scan_datagram *datagram, uint32_t place);

/* Copy bytes to the scan's text; `out` says where they are. False without memory or room. */
static bool add_text(kc_scan *scan, const uint8_t *bytes, size_t length, kc_text *out);

/* Copy bytes as the dissectors' text() decodes them, in UTF-8: what is not UTF-8 is Latin-1. At most `limit` characters,
 * of bytes that are looked at as a whole. */
static bool add_shown(kc_scan *scan, const uint8_t *bytes, size_t length, size_t limit, kc_text *out);

static size_t characters_of(const kc_scan *scan, const kc_text *text);

/* Cut the text that was added last to so many bytes, between characters. */
static void shorten_text(kc_scan *scan, kc_text *text, size_t limit);

/* Pair what was found so far of this stream; what follows is another protocol's, and paired as `how` says. False without
 * memory. */
static bool begin_protocol(kc_scan *scan, pairing how);

static bool is_word(const scan_word *word, const char *wanted);

/* Whether a word begins at data[at]. at <= length must hold, here and below. */
static bool starts_word(const uint8_t *data, size_t length, size_t at, const char *word);

/* Read a number of at most `limit` digits and nothing else. */
static bool read_digits(const scan_word *word, size_t limit, uint64_t *value);

/* Find the line at data[at], of at most `limit` bytes, which ends with CR LF and has no other CR; `end` is behind it. */
static bool find_line(const uint8_t *data, size_t length, size_t at, size_t limit, size_t *end);

/* Move behind `size` bytes and the line end that must follow them. */
static bool skip_block(const uint8_t *data, size_t length, uint64_t size, size_t *at);

/* Read the stream's next datagram, `*at` counts packets; false behind the last one. */
static bool next_datagram(const scan_stream *stream, size_t *at, scan_datagram *out);

#endif
