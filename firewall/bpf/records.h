/* What maps hold, and what a packet is judged by: shared with `_fill.py`, `_plane.py` and `_events.py`. Part of firewall.c. */
#pragma once

#define WORDS 5 /* word 0: exemptions, 1 to 4: rules */
#define RULES 256
#define COUNTERS (RULES + 16) /* of a slot; behind the rules what no rule decides, by enum reason */
#define PORT_TABLES 5          /* of a direction: TCP, UDP, SCTP, ICMP, ICMPv6 */
#define CLASSES 16384         /* of a slot: different vectors */
#define NODES 2048            /* of a slot, of all its trees of addresses */
#define IS_NODE 0x8000        /* of an entry of a tree: another node; else a class, or ASK */
#define ASK 0x7fff            /* the tree did not fit: the trie knows */
#define NONE (-1)

#define ETHERNET_BYTES 14
#define VLANS 2
#define EXTENSIONS 8 /* more of them is nobody's traffic: unreadable */
#define QUOTED 128   /* bytes of a refused packet in the ICMP error about it */

enum { INGRESS, EGRESS };
enum link { NO_LINK, ETHERNET, XDP }; /* what a program gets: packets, frames, frames before there is an skb */
enum { ACCEPT, DENY, REJECT, PASS, AUDIT, ACTION = 7, DRY = 8 };
enum { ICMP = 1, TCP = 6, UDP = 17, ICMPV6 = 58, SCTP = 132 };
enum { FIN = 1, SYN = 2, RST = 4, ACK = 16 };
enum reason {
    BY_RULE, BY_DEFAULT, BY_REPLY, BY_ESSENTIAL, BY_EXEMPT, BY_FRAGMENT, BY_NOT_IP, BY_UNREADABLE, BY_FLAGS,
    COUNT_CONNECT, COUNT_LOST, COUNT_REPORTED, COUNT_ANSWERED, COUNT_SILENT,
};
enum { ALLOW_ESSENTIAL = 1, STRICT_FRAGMENTS = 2, HAS_EXEMPT = 4, REPORTS = 8, TCP_BY_FLAGS = 16 };

struct vector { u64 word[WORDS]; };
struct address4 { u32 prefix; u8 slot, direction, zero[2]; u8 address[4]; };
struct address6 { u32 prefix; u8 slot, direction, zero[2]; u8 address[16]; };
struct ports { u16 class[65536]; }; /* by destination port; of ICMP by type and code */
struct protocols { u16 class[256]; };
struct node { u64 mask[2], want[2]; u16 otherwise; u8 at, zero[5]; u16 next[256]; }; /* by byte `at` of what has `want` in front */
struct policy {
    u64 audit[4], admin[4]; /* rules' bits */
    u64 idle_ns;
    u32 flags, answers; /* answers of Reject in a second */
    u16 roots[4];       /* trees of addresses: ingress 4 and 6, egress 4 and 6 */
    u8 action[RULES];   /* | DRY */
};
struct live { u64 generation_slot; u32 mark, zero; }; /* generation in the low half, the slot above */
struct flow_key { u8 src[16], dst[16]; u16 src_port, dst_port; u8 version, protocol; u16 zero; }; /* sender first */
struct flow { u64 seen_ns; u32 generation; s16 rule; u8 direction, code; };
struct counter { u64 packets, bytes; };
struct window { u64 second, count; };
struct event {
    u64 time_ns;
    u32 interface, length, generation;
    s16 rule, audit, would_rule;
    u8 action, reason, would, direction, version, protocol;
    u8 src[16], dst[16];
    u16 src_port, dst_port;
    u8 tcp_flags, icmp_type, icmp_code, zero;
};

extern struct map live, policies, classes, ports, protocols, nodes, addresses4, addresses6, local4, local6;
extern struct map flows_opening, flows_answered, counters, events, answers, scratches;

struct packet {
    struct flow_key key; /* ICMP: identifier and type of an echo as ports, or nothing */
    u32 l3, l4, end, length;
    u16 asked; /* destination port, or ICMP type and code */
    u8 is_later, tcp_flags, icmp_type, icmp_code;
    u8 begins, answers, is_error, zero[7]; /* key is of its own flow; its reverse is one's; it quotes another packet */
};
struct verdict { s16 rule, audit, would_rule; u8 action, reason, would, zero; };
/* What a packet's way works on, a processor's own. In a map and not on the stack: what is read back from it has no
 * known value to the verifier, which else would follow millions of combinations. Softirqs are off on the way. */
struct scratch {
    struct packet p;
    struct flow_key key, quoted;
    struct vector bits;
    struct flow kept;
    struct verdict v;
    u8 header[40], pseudo[40], body[8 + QUOTED], spare[24];
};

inline_ int has_ports(u8 protocol) { return protocol == TCP || protocol == UDP || protocol == SCTP; }

inline_ void copy16(u8 *to, const u8 *from)
{
    ((u64 *)to)[0] = ((const u64 *)from)[0];
    ((u64 *)to)[1] = ((const u64 *)from)[1];
}
