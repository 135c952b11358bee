/* DNS over UDP on port 53 (RFC 1035), between two addresses: streams of whole messages with one question each.
 *
 * Left to the dissector: TCP, multicast, damaged or cut messages, names that are more than plain ASCII.
 * Numbers: type of the question, response code (EDNS's bits included), opcode with TC in bit 4. Text: name of the question, lower case.
 * Key: the id. Oracle: pipeline/dissectors/network/dns.py and _dns_message.py. */
#include "scan.h"

#define DNS_PORT 53u
#define DNS_HEADER 12u
#define DNS_MAX_NAME 255u /* RFC 1035 §2.3.4 */
#define DNS_MAX_POINTERS 32u
#define DNS_OPT 41u
#define NETBIOS_NAMES 137u

typedef struct {
    const uint8_t *data;
    size_t length;
    size_t at;
    uint8_t name[DNS_MAX_NAME + 1]; /* of what was read last, with dots, lower case */
    size_t name_length;
} dns_reader;

static bool is_plain(uint8_t c) { return c > ' ' && c <= '~' && c != '.' && c != '\\'; }

/* Read a name; a pointer must lead before the labels that hold it, so that reading ends. */
static bool read_name(dns_reader *reader, bool keep) {
    const uint8_t *data = reader->data;
    size_t at = reader->at, first = at, size = 1, pointers = 0, end = 0;
    reader->name_length = 0;
    while (at < reader->length) {
        uint8_t length = data[at];
        if (length == 0) {
            reader->at = end ? end : at + 1;
            return true;
        }
        if (length >= 192) {
            if (reader->length - at < 2) return false;
            size_t target = (size_t)(length & 63u) << 8 | data[at + 1];
            if (target >= first || ++pointers > DNS_MAX_POINTERS) return false;
            if (!end) end = at + 2;
            at = first = target;
            continue;
        }
        if (length >= 64 || reader->length - at <= length) return false;
        size += 1u + length;
        if (size > DNS_MAX_NAME) return false;
        for (size_t i = 1; keep && i <= length; i++) {
            uint8_t c = data[at + i];
            if (!is_plain(c)) return false;
            if (i == 1 && reader->name_length) reader->name[reader->name_length++] = '.';
            reader->name[reader->name_length++] = c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c;
        }
        at += 1u + length;
    }
    return false;
}

/* Walk a section; `opt_ttl` gets the TTL of its first OPT record, if it is asked for. */
static bool skip_records(dns_reader *reader, uint32_t count, uint32_t *opt_ttl) {
    bool has_opt = false;
    for (; count; count--) {
        if (!read_name(reader, false) || reader->length - reader->at < 10) return false;
        const uint8_t *record = reader->data + reader->at;
        if (opt_ttl && !has_opt && load_be16(record) == DNS_OPT) {
            *opt_ttl = load_be32(record + 4);
            has_opt = true;
        }
        size_t length = load_be16(record + 8);
        reader->at += 10;
        if (reader->length - reader->at < length) return false;
        reader->at += length;
    }
    return true;
}

static bool scan_dns_message(kc_scan *scan, const scan_stream *stream, const scan_datagram *datagram, uint32_t place) {
    const uint8_t *data = datagram->data;
    if (datagram->is_cut || datagram->length < DNS_HEADER) return false;
    uint32_t flags = load_be16(data + 2), extended = 0;
    if (load_be16(data + 4) != 1) return false;
    dns_reader reader = {.data = data, .length = datagram->length, .at = DNS_HEADER};
    if (!read_name(&reader, true) || reader.length - reader.at < 4) return false;
    uint32_t type = load_be16(data + reader.at);
    reader.at += 4;
    uint8_t name[DNS_MAX_NAME + 1];
    size_t name_length = reader.name_length;
    if (name_length == 0) name[name_length++] = '.'; /* the root */
    else memcpy(name, reader.name, name_length);
    if (!skip_records(&reader, load_be16(data + 6), NULL) || !skip_records(&reader, load_be16(data + 8), NULL) ||
        !skip_records(&reader, load_be16(data + 10), &extended) || reader.at != reader.length) {
        return false;
    }
    kc_message *message = add_datagram(scan, stream, datagram, place);
    if (!message) return false;
    message->kind = flags & 0x8000u ? KC_RESPONSE : KC_REQUEST;
    message->key = load_be16(data);
    message->number[0] = (int32_t)type;
    message->number[1] = (int32_t)(extended >> 24 << 4 | (flags & 15u));
    message->number[2] = (int32_t)((flags >> 11 & 15u) | (flags >> 9 & 1u) << 4);
    return add_text(scan, name, name_length, &scan->messages[scan->message_count - 1].text[0]);
}

static bool is_multicast(const uint8_t *address, uint8_t version) {
    return version == 4 ? address[0] >= 224 && address[0] < 240 : address[0] == 0xff;
}

static bool scan_dns(kc_scan *scan, scan_stream *stream) {
    const kc_flow *flow = stream->flow;
    if (flow->transport != PROTOCOL_UDP || (flow->port_a != DNS_PORT && flow->port_b != DNS_PORT)) return false;
    if (is_multicast(flow->a, flow->ip_version) || is_multicast(flow->b, flow->ip_version)) return false;
    static const uint16_t others[] = {NETBIOS_NAMES, 5353, 5355}; /* rules of their own */
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        if (flow->port_a == others[i] || flow->port_b == others[i]) return false;
    }
    scan_datagram datagram;
    uint32_t place = 0;
    for (size_t at = 0; next_datagram(stream, &at, &datagram); place++) {
        if (!scan_dns_message(scan, stream, &datagram, place)) return false;
    }
    return true;
}
