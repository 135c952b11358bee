// Keeps the packets of some ports out of the store. Reads Ethernet (with VLAN tags) and raw IP; what it does not know, it keeps.
#include "kubeshark_plugin.hpp"

#include <bitset>
#include <string>

namespace {

using Ports = std::bitset<65536>;

Ports dropped, marked;
uint64_t seen = 0; // of this process

constexpr uint32_t ETHERNET = 1, RAW = 101; // LINKTYPE_*
constexpr uint16_t IPV4 = 0x0800, IPV6 = 0x86DD, VLAN = 0x8100, QINQ = 0x88A8;

/// Skip the link layer; false for what is no IP.
bool skip_link(uint32_t link_type, ks_cursor &cursor) {
    if (link_type == RAW) return true;
    ks_bytes addresses;
    uint16_t type = 0;
    if (link_type != ETHERNET || !ks_take(&cursor, 12, &addresses) || !ks_u16(&cursor, &type)) return false;
    for (int tags = 0; (type == VLAN || type == QINQ) && tags < 4; tags++) {
        uint16_t tag = 0;
        if (!ks_u16(&cursor, &tag) || !ks_u16(&cursor, &type)) return false;
    }
    return type == IPV4 || type == IPV6;
}

/// Skip the IP header; false for what is neither TCP nor UDP, or not the first fragment.
bool skip_ip(ks_cursor &cursor) {
    uint8_t first = 0;
    ks_bytes rest;
    if (!ks_u8(&cursor, &first)) return false;
    if (first >> 4 == 4) {
        const uint32_t length = (first & 15u) * 4;
        if (length < 20 || !ks_take(&cursor, length - 1, &rest)) return false;
        const bool is_first = !((rest.data[5] & 0x1F) | rest.data[6]);
        return is_first && (rest.data[8] == KS_TCP || rest.data[8] == KS_UDP);
    }
    // IPv6 extension headers hide the ports: such packets are kept
    return first >> 4 == 6 && ks_take(&cursor, 39, &rest) && (rest.data[5] == KS_TCP || rest.data[5] == KS_UDP);
}

void read_ports(const ks_values &settings, uint32_t index, Ports &ports, ks_report &out) {
    const auto json = kubeshark::text_of(settings, index); // ["22","873"]
    ports.reset();
    for (size_t at = json.find('"'); at != json.npos; at = json.find('"', at + 1)) {
        const auto end = json.find('"', at + 1);
        if (end == json.npos) break;
        int64_t port = 0;
        const auto text = json.substr(at + 1, end - at - 1);
        if (!ks_decimal(kubeshark::bytes(text), &port) || port < 1 || port > 65535) {
            ks_refuse(&out, (std::string(text) + " is not a port").c_str());
        } else {
            ports.set(static_cast<size_t>(port));
        }
        at = end;
    }
}

struct Quiet {
    static ks_packet_verdict packet_filter(const ks_packet &packet) {
        seen++;
        ks_cursor cursor = ks_cursor_over(packet.bytes);
        uint16_t source = 0, destination = 0;
        if (!skip_link(packet.link_type, cursor) || !skip_ip(cursor)) return KS_KEEP;
        if (!ks_u16(&cursor, &source) || !ks_u16(&cursor, &destination)) return KS_KEEP;
        if (dropped[source] || dropped[destination]) return KS_DROP_PACKET;
        return marked[source] || marked[destination] ? KS_MARK_PACKET : KS_KEEP;
    }

    static void configure(const ks_values &settings, ks_report &out) {
        read_ports(settings, 0, dropped, out);
        read_ports(settings, 1, marked, out);
    }

    static void start(ks_report &out) {
        const auto line = std::to_string(dropped.count()) + " ports are not stored";
        ks_log(&out, kubeshark::bytes(line));
    }

    static void job(uint32_t, int64_t, ks_report &out) {
        const auto line = std::to_string(seen) + " packets seen";
        ks_log(&out, kubeshark::bytes(line));
    }
};

} // namespace

KUBESHARK_PLUGIN(Quiet)
