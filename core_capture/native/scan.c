/* Runs scanners over streams and pairs what they find. Oracles: pipeline/dissectors for the messages, for the pairs
 * pipeline/dissection/_matcher.py. */
#include "scan.h"

#define STREAMS_AHEAD 8u /* whose first bytes are asked for while heads are copied */

static uint32_t arrival_at(scan_arrival *arrival, size_t at) {
    const scan_side *side = arrival->side;
    for (; arrival->chunk < side->chunks && side->chunk_starts[arrival->chunk] <= at; arrival->chunk++) {
        uint32_t packet = side->chunk_packets[arrival->chunk];
        if (packet > arrival->latest) arrival->latest = packet;
    }
    return arrival->latest;
}

static kc_message *append_message(kc_scan *scan) {
    if (scan->message_count >= KC_NONE ||
        !array_reserve((void **)&scan->messages, &scan->message_capacity, scan->message_count,
                       sizeof *scan->messages)) {
        scan->no_memory = true;
        return NULL;
    }
    kc_message *message = &scan->messages[scan->message_count++];
    memset(message, 0, sizeof *message);
    return message;
}

static kc_message *add_message(kc_scan *scan, scan_stream *stream, uint32_t direction, size_t start, size_t end) {
    kc_message *message = append_message(scan);
    if (!message) return NULL;
    scan_side *side = &stream->side[direction];
    message->stream = stream->number;
    message->direction = (uint8_t)direction;
    message->start = (uint32_t)start;
    message->end = (uint32_t)end;
    message->place = message->packet = packet_at(side, start);
    message->last_packet = end > start ? packet_at(side, end - 1) : message->packet;
    ask_chunks_ahead(side);
    return message;
}

static kc_message *add_datagram(kc_scan *scan, const scan_stream *stream, const scan_datagram *datagram,
                                uint32_t place) {
    kc_message *message = append_message(scan);
    if (!message) return NULL;
    message->stream = stream->number;
    message->direction = datagram->direction;
    message->end = (uint32_t)datagram->length;
    message->place = place;
    message->packet = message->last_packet = datagram->packet;
    return message;
}

static bool add_text(kc_scan *scan, const uint8_t *bytes, size_t length, kc_text *out) {
    if (length > KC_NONE - scan->text_length) return false;
    size_t wanted = scan->text_length + length;
    if (wanted > scan->text_capacity) {
        size_t capacity = scan->text_capacity ? scan->text_capacity : 4096;
        while (capacity < wanted) capacity *= 2; /* cannot wrap: wanted is below 4 GiB */
        uint8_t *grown = realloc(scan->text, capacity);
        if (!grown) {
            scan->no_memory = true;
            return false;
        }
        scan->text = grown;
        scan->text_capacity = capacity;
    }
    if (length) memcpy(scan->text + scan->text_length, bytes, length);
    *out = (kc_text){(uint32_t)scan->text_length, (uint32_t)length};
    scan->text_length = wanted;
    return true;
}

/* Bytes of the UTF-8 sequence at `bytes`, 0 if there is none: what Python decodes (Unicode 15, table 3-7). */
static size_t sequence_at(const uint8_t *bytes, size_t length) {
    uint8_t first = bytes[0], low = 0x80, high = 0xBF;
    if (first < 0x80) return 1;
    if (first < 0xC2 || first > 0xF4) return 0;
    size_t size = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
    if (length < size) return 0;
    if (first == 0xE0) low = 0xA0;
    if (first == 0xED) high = 0x9F;
    if (first == 0xF0) low = 0x90;
    if (first == 0xF4) high = 0x8F;
    if (bytes[1] < low || bytes[1] > high) return 0;
    for (size_t i = 2; i < size; i++) {
        if ((bytes[i] & 0xC0) != 0x80) return 0;
    }
    return size;
}

static bool add_shown(kc_scan *scan, const uint8_t *bytes, size_t length, size_t limit, kc_text *out) {
    size_t size = 0, taken = 0, count = 0;
    while (size < length) {
        size_t one = sequence_at(bytes + size, length - size);
        if (!one) break;
        size += one;
        if (count++ < limit) taken = size;
    }
    if (size == length) return add_text(scan, bytes, taken, out);
    if (length > limit) length = limit;
    kc_text piece;
    if (!add_text(scan, NULL, 0, out)) return false;
    for (size_t at = 0; at < length; at++) {
        uint8_t two[2] = {(uint8_t)(0xC0 | bytes[at] >> 6), (uint8_t)(0x80 | (bytes[at] & 0x3F))};
        if (!(bytes[at] < 0x80 ? add_text(scan, bytes + at, 1, &piece) : add_text(scan, two, 2, &piece))) return false;
    }
    out->length = (uint32_t)scan->text_length - out->at;
    return true;
}

static size_t characters_of(const kc_scan *scan, const kc_text *text) {
    size_t count = 0;
    for (size_t i = 0; i < text->length; i++) count += (scan->text[text->at + i] & 0xC0) != 0x80;
    return count;
}

static void shorten_text(kc_scan *scan, kc_text *text, size_t limit) {
    if (text->length <= limit) return;
    while (limit && (scan->text[text->at + limit] & 0xC0) == 0x80) limit--;
    text->length = (uint32_t)limit;
    scan->text_length = text->at + limit;
}

static bool is_word(const scan_word *word, const char *wanted) {
    return strlen(wanted) == word->length && memcmp(word->bytes, wanted, word->length) == 0;
}

static bool starts_word(const uint8_t *data, size_t length, size_t at, const char *word) {
    size_t size = strlen(word);
    return length - at >= size && memcmp(data + at, word, size) == 0;
}

static bool read_digits(const scan_word *word, size_t limit, uint64_t *value) {
    *value = 0;
    if (word->length == 0 || word->length > limit) return false;
    for (size_t i = 0; i < word->length; i++) {
        if (word->bytes[i] < '0' || word->bytes[i] > '9') return false;
        *value = *value * 10 + (uint64_t)(word->bytes[i] - '0'); /* wraps beyond 19 digits, where nobody looks */
    }
    return true;
}

static bool find_line(const uint8_t *data, size_t length, size_t at, size_t limit, size_t *end) {
    const uint8_t *newline = memchr(data + at, '\n', length - at < limit ? length - at : limit);
    if (!newline || newline < data + at + 2 || newline[-1] != '\r') return false;
    *end = (size_t)(newline - data) + 1;
    return !memchr(data + at, '\r', *end - at - 2);
}

static bool skip_block(const uint8_t *data, size_t length, uint64_t size, size_t *at) {
    if (length - *at < 2 || size > length - *at - 2) return false;
    *at += (size_t)size + 2;
    return data[*at - 2] == '\r' && data[*at - 1] == '\n';
}

static bool next_datagram(const scan_stream *stream, size_t *at, scan_datagram *out) {
    const kc_decoded *decoded = stream->decoded;
    for (; *at < stream->packet_count; ++*at) {
        uint32_t packet = stream->packets[*at];
        if (packet >= decoded->packet_count) continue;
        const kc_packet *row = &decoded->packets[packet];
        /* its bytes came with the last fragment, or the datagram was never whole: then its head is cut */
        if ((row->bits & (BIT_FRAGMENT | BIT_ARENA | BIT_CUT)) == BIT_FRAGMENT) continue;
        if (!payload_of(decoded, packet, &out->data)) continue;
        out->length = row->payload_length;
        out->packet = packet;
        out->direction = row->direction ^ stream->flow->client;
        out->is_cut = (row->bits & BIT_CUT) != 0;
        ++*at;
        return true;
    }
    return false;
}

/* Pairing */

#define PAIRED (KC_NONE - 1) /* answers[]: a response that has its request, or ends nothing */

typedef int (*message_order)(const kc_message *, const kc_message *);

static int by_place(const kc_message *a, const kc_message *b) {
    if (a->place != b->place) return a->place < b->place ? -1 : 1;
    return a->start < b->start ? -1 : a->start > b->start;
}

static int by_key(const kc_message *a, const kc_message *b) { return a->key < b->key ? -1 : a->key > b->key; }

/* End of the run that begins at `start`: numbers whose messages do not go back. */
static size_t run_end(const kc_message *messages, const uint32_t *order, size_t start, size_t count,
                      message_order compare) {
    size_t end = start + 1;
    while (end < count && compare(&messages[order[end - 1]], &messages[order[end]]) <= 0) end++;
    return end < count ? end : count;
}

/* Sort `order` in place, stable, by merging runs: a stream's messages come as two of them, often as one. */
static void sort_messages(const kc_message *messages, uint32_t *order, uint32_t *scratch, size_t count,
                          message_order compare) {
    for (;;) {
        size_t first = run_end(messages, order, 0, count, compare);
        if (first >= count) return;
        for (size_t start = 0; start < count;) {
            size_t middle = run_end(messages, order, start, count, compare);
            size_t end = middle < count ? run_end(messages, order, middle, count, compare) : count;
            size_t left = start, right = middle;
            for (size_t out = start; out < end; out++) {
                bool take_left = left < middle && (right >= end ||
                                                   compare(&messages[order[left]], &messages[order[right]]) <= 0);
                scratch[out] = order[take_left ? left++ : right++];
            }
            start = end;
        }
        memcpy(order, scratch, count * sizeof *order);
    }
}

/* Answer the requests of messages that share a key; `group` are their numbers in capture order. */
static void pair_group(const kc_message *messages, const uint32_t *group, size_t count, uint32_t *answers) {
    size_t waiting = 0; /* no request before it waits */
    for (size_t at = 0; at < count; at++) {
        const kc_message *message = &messages[group[at]];
        if (message->kind != KC_RESPONSE) continue;
        for (; waiting < at; waiting++) {
            const kc_message *request = &messages[group[waiting]];
            if (request->kind == KC_REQUEST && !(request->bits & KC_ONE_WAY)) break;
        }
        bool is_interim = (message->bits & KC_INTERIM) != 0;
        if (waiting < at && !is_interim) {
            answers[group[waiting++]] = group[at];
            answers[group[at]] = PAIRED;
        } else if (is_interim) {
            answers[group[at]] = PAIRED;
        }
    }
}

static bool add_exchange(kc_scan *scan, const kc_message *message, uint32_t number, uint32_t answer) {
    if (!array_reserve((void **)&scan->exchanges, &scan->exchange_capacity, scan->exchange_count,
                       sizeof *scan->exchanges)) {
        return false;
    }
    kc_exchange exchange = {message->stream, KC_NONE, KC_NONE, KC_NONE};
    if (message->kind == KC_REQUEST) exchange.request = number, exchange.response = answer;
    else if (message->kind == KC_RESPONSE) exchange.response = number;
    else exchange.event = number;
    scan->exchanges[scan->exchange_count++] = exchange;
    return true;
}

/* Pair the messages from number `first` on, all of one stream. False without memory. */
static bool pair_messages(kc_scan *scan, size_t first, pairing how) {
    size_t count = scan->message_count - first;
    if (count > scan->order_capacity) {
        size_t capacity = count + count / 2;
        uint32_t *grown = capacity > SIZE_MAX / 4 / sizeof *grown ? NULL
                                                                  : realloc(scan->order, 4 * capacity * sizeof *grown);
        if (!grown) return false;
        scan->order = grown;
        scan->order_capacity = capacity;
    }
    const kc_message *messages = scan->messages + first;
    uint32_t *order = scan->order, *scratch = order + count, *answers = scratch + count, *keyed = answers + count;
    for (size_t i = 0; i < count; i++) order[i] = (uint32_t)i, answers[i] = KC_NONE;
    sort_messages(messages, order, scratch, count, by_place);
    if (how == PAIR_FIFO) pair_group(messages, order, count, answers);
    if (how == PAIR_KEY) {
        memcpy(keyed, order, count * sizeof *keyed);
        sort_messages(messages, keyed, scratch, count, by_key);
        for (size_t start = 0, end; start < count; start = end) {
            for (end = start + 1; end < count && messages[keyed[end]].key == messages[keyed[start]].key;) end++;
            pair_group(messages, keyed + start, end - start, answers);
        }
    }
    for (size_t i = 0; i < count; i++) {
        uint32_t number = order[i], answer = answers[number];
        if (answer == PAIRED) continue;
        if (answer != KC_NONE) answer += (uint32_t)first;
        if (!add_exchange(scan, &messages[number], number + (uint32_t)first, answer)) return false;
    }
    return true;
}

static bool begin_protocol(kc_scan *scan, pairing how) {
    if (!pair_messages(scan, scan->unpaired, scan->how)) {
        scan->no_memory = true;
        return false;
    }
    scan->unpaired = scan->message_count;
    scan->how = how;
    return true;
}

/* Streams */

static bool scan_http1(kc_scan *scan, scan_stream *stream);
static bool scan_dns(kc_scan *scan, scan_stream *stream);
static bool scan_icmp(kc_scan *scan, scan_stream *stream);
static bool scan_redis(kc_scan *scan, scan_stream *stream);
static bool scan_mqtt(kc_scan *scan, scan_stream *stream);
static bool scan_memcached(kc_scan *scan, scan_stream *stream);
static bool scan_nats(kc_scan *scan, scan_stream *stream);
static bool scan_postgresql(kc_scan *scan, scan_stream *stream);
static bool scan_http2(kc_scan *scan, scan_stream *stream);
static bool scan_tls(kc_scan *scan, scan_stream *stream);
static void h2_free(struct h2_reader *reader);

typedef struct {
    bool (*run)(kc_scan *scan, scan_stream *stream);
    pairing how;
    bool wants_all; /* both sides laid out */
} scanner;

/* In the order of _messages.SCANNERS. */
static const scanner scanners[] = {
    {scan_http1, PAIR_FIFO, false},
    {scan_dns, PAIR_KEY, false},
    {scan_icmp, PAIR_KEY, false},
    {scan_redis, PAIR_FIFO, true},
    {scan_mqtt, PAIR_KEY, true},
    {scan_memcached, PAIR_KEY, true},
    {scan_postgresql, PAIR_KEY, true},
    {scan_http2, PAIR_KEY, true},
    {scan_nats, PAIR_KEY, true},
    {scan_tls, PAIR_FIFO, false},
};

kc_scan *kc_scan_new(void) { return calloc(1, sizeof(kc_scan)); }

void kc_scan_free(kc_scan *scan) {
    if (!scan) return;
    free(scan->messages);
    free(scan->exchanges);
    free(scan->text);
    free(scan->order);
    h2_free(scan->h2);
    free(scan);
}

/* Look a stream up; false if the arrays contradict each other. */
static bool find_stream(const kc_decoded *decoded, const kc_assembled *from, uint32_t number, scan_stream *out) {
    if (number >= from->count || from->wanted[number] >= decoded->flow_count) return false;
    uint64_t start = from->packet_starts[number], end = from->packet_starts[number + 1];
    if (start > end || end > from->packet_count) return false;
    const kc_flow *flow = &decoded->flows[from->wanted[number]];
    *out = (scan_stream){.decoded = decoded, .flow = flow, .number = number};
    out->packets = from->packets + start;
    out->packet_count = (size_t)(end - start);
    if (flow->transport != PROTOCOL_TCP) return true;
    size_t side = from->first_side[number], client = flow->client ? 1 : 0;
    return find_side(decoded, from, side + client, &out->side[0]) &&
           find_side(decoded, from, side + 1 - client, &out->side[1]);
}

kc_status kc_scan_streams(kc_scan *scan, uint32_t protocol, const kc_decoded *decoded, const kc_assembled *assembled,
                          const uint32_t *chosen, size_t chosen_count, uint8_t *taken) {
    if (protocol >= sizeof scanners / sizeof *scanners) return KC_BAD_INPUT;
    const scanner *tool = &scanners[protocol];
    scan_stream next;
    if (chosen_count && !find_stream(decoded, assembled, chosen[0], &next)) return KC_BAD_INPUT;
    for (size_t i = 0; i < chosen_count; i++) {
        scan_stream stream = next;
        if (i + 1 < chosen_count) {
            if (!find_stream(decoded, assembled, chosen[i + 1], &next)) return KC_BAD_INPUT;
            if (is_tcp(&next)) ask_chunks_ahead(&next.side[0]), ask_chunks_ahead(&next.side[1]);
        }
        size_t messages = scan->message_count, exchanges = scan->exchange_count, text = scan->text_length;
        scan->unpaired = messages;
        scan->how = tool->how;
        if (tool->wants_all && is_tcp(&stream) && !(lay_out_side(&stream.side[0]) && lay_out_side(&stream.side[1])))
            return KC_BAD_INPUT;
        taken[i] = tool->run(scan, &stream) && scan->message_count > messages;
        if (taken[i] && !pair_messages(scan, scan->unpaired, scan->how)) scan->no_memory = true;
        if (scan->no_memory) return KC_NO_MEMORY;
        if (!taken[i]) scan->message_count = messages, scan->exchange_count = exchanges, scan->text_length = text;
    }
    return KC_OK;
}

void kc_scan_count(const kc_scan *scan, kc_scan_counts *counts) {
    *counts = (kc_scan_counts){scan->message_count, scan->exchange_count, scan->text_length};
}

void kc_scan_take(const kc_scan *scan, kc_message *messages, kc_exchange *exchanges, uint8_t *text) {
    if (scan->message_count) memcpy(messages, scan->messages, scan->message_count * sizeof *messages);
    if (scan->exchange_count) memcpy(exchanges, scan->exchanges, scan->exchange_count * sizeof *exchanges);
    if (scan->text_length) memcpy(text, scan->text, scan->text_length);
}

static void copy_head(const uint8_t *data, size_t length, uint8_t *out, uint8_t *out_length, uint32_t width) {
    size_t taken = length < width ? length : width;
    if (taken) memcpy(out, data, taken);
    *out_length = (uint8_t)taken;
}

/* Ask for what kc_heads will read of a stream. */
static void ask_heads(const kc_decoded *decoded, const kc_assembled *assembled, size_t number) {
    scan_stream stream;
    if (number >= assembled->count || !find_stream(decoded, assembled, (uint32_t)number, &stream)) return;
    if (is_tcp(&stream)) ask_first(&stream.side[0]), ask_first(&stream.side[1]);
}

kc_status kc_heads(const kc_decoded *decoded, const kc_assembled *assembled, uint8_t *out, uint8_t *lengths,
                   uint32_t width) {
    if (width > 255) return KC_BAD_INPUT;
    memset(out, 0, assembled->count * 2 * width);
    memset(lengths, 0, assembled->count * 2);
    for (size_t i = 0; i < assembled->count; i++) {
        scan_stream stream;
        ask_heads(decoded, assembled, i + STREAMS_AHEAD);
        if (!find_stream(decoded, assembled, (uint32_t)i, &stream)) return KC_BAD_INPUT;
        uint8_t *heads = out + i * 2 * width, *sizes = lengths + i * 2;
        if (is_tcp(&stream)) {
            for (size_t k = 0; k < 2; k++) {
                scan_side *side = &stream.side[k];
                size_t size = side->length < width ? side->length : width;
                const uint8_t *bytes = size ? bytes_at(side, 0, size) : NULL;
                if (size && !bytes) return KC_BAD_INPUT;
                copy_head(bytes, size, heads + k * width, sizes + k, width);
            }
            continue;
        }
        scan_datagram datagram;
        for (size_t at = 0; (!sizes[0] || !sizes[1]) && next_datagram(&stream, &at, &datagram);) {
            size_t side = datagram.direction;
            if (!sizes[side]) copy_head(datagram.data, datagram.length, heads + side * width, sizes + side, width);
        }
    }
    return KC_OK;
}
