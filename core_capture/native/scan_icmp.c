/* ICMP and ICMPv6 between two addresses (RFC 792, RFC 4443): echoes are paired by id and sequence, the rest are events.
 *
 * Left to the dissector: messages of less than a header, and cut ones.
 * Numbers: type, code, IP version. Key: id and sequence of an echo. Oracle: pipeline/dissectors/network/icmp.py. */
#include "scan.h"

#define ICMP_HEADER 8u
#define PROTOCOL_ICMP 1u
#define PROTOCOL_ICMPV6 58u

/* Whoever answers a message to a group does so from its own address: in another stream. */
static bool is_group(const uint8_t *address, uint8_t version) {
    static const uint8_t broadcast[4] = {255, 255, 255, 255};
    return is_multicast(address, version) || (version == 4 && memcmp(address, broadcast, 4) == 0);
}

static bool scan_icmp(kc_scan *scan, scan_stream *stream) {
    const kc_flow *flow = stream->flow;
    uint8_t version = flow->ip_version;
    if (flow->transport != PROTOCOL_ICMP && flow->transport != PROTOCOL_ICMPV6) return false;
    bool a_is_group = is_group(flow->a, version), b_is_group = is_group(flow->b, version);
    const bool to_group[2] = {flow->client ? a_is_group : b_is_group, flow->client ? b_is_group : a_is_group};
    uint8_t request = version == 4 ? 8 : 128, reply = version == 4 ? 0 : 129;
    scan_datagram datagram;
    uint32_t place = 0;
    for (size_t at = 0; next_datagram(stream, &at, &datagram); place++) {
        if (datagram.is_cut || datagram.length < ICMP_HEADER) return false;
        kc_message *message = add_datagram(scan, stream, &datagram, place);
        if (!message) return false;
        if (to_group[datagram.direction]) message->bits = KC_ONE_WAY;
        uint8_t type = datagram.data[0];
        message->kind = type == request ? KC_REQUEST : type == reply ? KC_RESPONSE : KC_EVENT;
        message->number[0] = type;
        message->number[1] = datagram.data[1];
        message->number[2] = version;
        if (message->kind != KC_EVENT) message->key = load_be32(datagram.data + 4);
    }
    return true;
}
