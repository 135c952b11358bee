/* What the headers of one packet say: the bridge between header parsing and the flow table. */
#ifndef KUBESHARK_LAYERS_H
#define KUBESHARK_LAYERS_H

#include "core.h"

#define ETHERTYPE_IPV4 0x0800u
#define ETHERTYPE_IPV6 0x86DDu
#define ETHERTYPE_VLAN 0x8100u

#define PROTOCOL_TCP 6u
#define PROTOCOL_UDP 17u

/* _columns.PacketBit */
#define BIT_ARENA 1u
#define BIT_FRAGMENT 2u
#define BIT_CUT 4u
#define BIT_TUNNELLED 8u
#define BIT_BAD_LENGTH 16u

/* _columns.Tunnel */
#define TUNNEL_NONE 0u
#define TUNNEL_GRE 1u
#define TUNNEL_ERSPAN 2u
#define TUNNEL_VXLAN 3u
#define TUNNEL_GENEVE 4u
#define TUNNEL_IPIP 5u
#define TUNNEL_TEREDO 6u
#define TUNNEL_GTP 7u
#define TUNNEL_MPLS 8u
#define TUNNEL_PPPOE 9u
#define TUNNEL_L2TP 10u
#define TUNNEL_ETHERIP 11u
#define TUNNEL_LISP 12u

/* Exactly the first 40 bytes of a kc_flow, so that a key becomes a row by one copy: addresses (lower endpoint first),
 * ports, transport, IP version; its last two bytes (client, tunnel) are zero here and not compared. */
typedef union {
    struct {
        uint8_t a[16];
        uint8_t b[16];
        uint16_t port_a;
        uint16_t port_b;
        uint8_t transport;
        uint8_t ip_version;
        uint8_t zero[2];
    } field;
    uint64_t word[5];
} flow_key;

_Static_assert(sizeof(flow_key) == 40 && offsetof(kc_flow, client) == 38, "a key is the head of a flow row");

typedef struct {
    flow_key key;
    uint64_t hash;
    uint32_t seq;
    uint32_t payload_length; /* captured */
    uint32_t wire_length;    /* what the headers promise */
    uint16_t payload_offset; /* from the record header */
    uint16_t transport_offset;
    uint16_t vlan;
    uint8_t flags;
    uint8_t direction;
    uint8_t bits;
    uint8_t tunnel;
} layers;

#endif
