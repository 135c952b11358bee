/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only: helpers such as ktime_get_ns ask for the second. */
/* The firewall's data plane: judges each packet as firewall/_model.py does, which is its oracle.
 *
 * 1. Only the kernel's stable interface is used (linux/bpf.h): no BTF, no relocation but of maps, which the loader
 *    makes (firewall/_maps.py) and finds here by their names.
 * 2. Every map that policies fill has two slots. A packet reads the live slot once, with the generation's number, in
 *    one load of 8 bytes; so it is judged by one policy, whole.
 * 3. Nothing of a packet is read but through bpf_skb_load_bytes, which refuses what lies outside.
 * 4. Offsets and lengths are bytes, addresses and ports in network order unless a name says otherwise.
 */
#include <linux/bpf.h>

#include "helpers.h"

#define WORDS 5 /* word 0: exemptions, 1 to 4: rules */
#define RULES 256
#define COUNTERS (RULES + 16) /* of a slot; behind the rules what no rule decides, by enum reason */
#define NONE (-1)

#define ETHERNET 14
#define VLANS 2
#define EXTENSIONS 8 /* more of them is nobody's traffic: unreadable */
#define QUOTED 128   /* bytes of a refused packet in the ICMP error about it */

enum { INGRESS, EGRESS };
enum { ACCEPT, DENY, REJECT, PASS, AUDIT, ACTION = 7, DRY = 8 };
enum { ICMP = 1, TCP = 6, UDP = 17, ICMPV6 = 58, SCTP = 132 };
enum { FIN = 1, SYN = 2, RST = 4, ACK = 16 };
enum reason {
    BY_RULE, BY_DEFAULT, BY_REPLY, BY_ESSENTIAL, BY_EXEMPT, BY_FRAGMENT, BY_NOT_IP, BY_UNREADABLE,
    COUNT_CONNECT, COUNT_LOST, COUNT_REPORTED, COUNT_ANSWERED, COUNT_SILENT,
};
enum { ALLOW_ESSENTIAL = 1, STRICT_FRAGMENTS = 2, HAS_EXEMPT = 4, REPORTS = 8 };

struct vector { u64 word[WORDS]; };
struct address4 { u32 prefix; u8 slot, direction, zero[2]; u8 address[4]; };
struct address6 { u32 prefix; u8 slot, direction, zero[2]; u8 address[16]; };
struct service { u32 prefix; u8 slot, direction, protocol, zero; u16 port, zeros; }; /* ICMP: type, code */
struct policy {
    u64 audit[4], admin[4]; /* rules' bits */
    u64 idle_ns;
    u32 flags, answers; /* answers of Reject in a second */
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

extern struct map live, policies, addresses4, addresses6, services, protocols, local4, local6;
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

/* ---- reading ---- */

/* Ports or echo identifier of the 8 bytes at `at` as the ports of `key`; tell what the flow may be: 1 begins, 2 answers. */
inline_ int read_ports(struct flow_key *key, const u8 *first8)
{
    u8 protocol = key->protocol, type = first8[0];
    if (has_ports(protocol)) {
        key->src_port = *(const u16 *)first8;
        key->dst_port = *(const u16 *)(first8 + 2);
        return 3;
    }
    int request = protocol == ICMP ? (type == 8 || type == 13) : protocol == ICMPV6 && type == 128;
    int answer = protocol == ICMP ? (type == 0 || type == 14) : protocol == ICMPV6 && type == 129;
    if (!request && !answer)
        return 0;
    u16 id = *(const u16 *)(first8 + 4);
    if (request) {
        key->src_port = id;
        key->dst_port = type;
        return 1;
    }
    key->dst_port = id; /* reversed it is the request's key */
    key->src_port = protocol == ICMPV6 ? 128 : type == 0 ? 8 : 13;
    return 2;
}

/* Follow the extension headers of IPv6; false for what ends early or does not end. */
inline_ int skip_extensions(struct __sk_buff *skb, struct packet *p, u8 *next)
{
    aligned_ u8 h[8];
#pragma unroll
    for (int i = 0; i < EXTENSIONS; i++) {
        u8 kind = *next;
        if (kind != 0 && kind != 43 && kind != 44 && kind != 51 && kind != 60)
            return 1;
        if (p->l4 + 8 > p->end || skb_load_bytes(skb, p->l4, h, 8))
            return 0;
        *next = h[0];
        if (kind == 44) {
            p->l4 += 8;
            if (((u32)h[2] << 8 | h[3]) & 0xfff8) {
                p->is_later = 1;
                return 1;
            }
        } else
            p->l4 += kind == 51 ? ((u32)h[1] + 2) * 4 : ((u32)h[1] + 1) * 8;
    }
    u8 kind = *next;
    return kind != 0 && kind != 43 && kind != 44 && kind != 51 && kind != 60;
}

/* Read what rules ask for. BY_NOT_IP, BY_UNREADABLE, or 0. `p` is zero before. */
inline_ int read_packet(struct __sk_buff *skb, struct packet *p, int is_ethernet)
{
    aligned_ u8 h[40];
    u16 kind = (u16)skb->protocol;
    u32 at = 0;
    p->length = skb->len;
    if (is_ethernet) {
        if (skb_load_bytes(skb, 12, &kind, 2))
            return BY_UNREADABLE;
        at = ETHERNET;
#pragma unroll
        for (int i = 0; i < VLANS; i++)
            if (kind == swap16(0x8100) || kind == swap16(0x88a8)) {
                if (skb_load_bytes(skb, at + 2, &kind, 2))
                    return BY_UNREADABLE;
                at += 4;
            }
    }
    p->l3 = at;
    u8 protocol;
    if (kind == swap16(0x0800)) {
        if (skb_load_bytes(skb, at, h, 20))
            return BY_UNREADABLE;
        u32 header = (h[0] & 15) * 4, total = (u32)h[2] << 8 | h[3];
        p->end = total ? at + total : skb->len; /* 0: larger than 64 KiB, before it is cut into segments */
        if (h[0] >> 4 != 4 || header < 20 || at + header > p->end || p->end > skb->len)
            return BY_UNREADABLE;
        p->key.version = 4;
        *(u32 *)p->key.src = *(u32 *)(h + 12);
        *(u32 *)p->key.dst = *(u32 *)(h + 16);
        p->is_later = (((u32)h[6] << 8 | h[7]) & 0x1fff) != 0;
        protocol = h[9];
        p->l4 = at + header;
    } else if (kind == swap16(0x86dd)) {
        if (skb_load_bytes(skb, at, h, 40))
            return BY_UNREADABLE;
        u32 payload = (u32)h[4] << 8 | h[5];
        p->l4 = at + 40;
        p->end = payload ? p->l4 + payload : skb->len; /* 0: a jumbogram, or nothing behind the header */
        if (h[0] >> 4 != 6 || p->end > skb->len)
            return BY_UNREADABLE;
        p->key.version = 6;
        copy16(p->key.src, h + 8);
        copy16(p->key.dst, h + 24);
        protocol = h[6];
        if (!skip_extensions(skb, p, &protocol))
            return BY_UNREADABLE;
    } else
        return BY_NOT_IP;
    p->key.protocol = protocol;
    if (p->is_later)
        return 0;
    int is_icmp = protocol == ICMP || protocol == ICMPV6;
    u32 need = protocol == TCP ? 20 : protocol == SCTP ? 12 : protocol == UDP || is_icmp ? 8 : 0;
    if (!need)
        return 0;
    if (p->l4 + need > p->end || skb_load_bytes(skb, p->l4, h, 8))
        return BY_UNREADABLE;
    int may = read_ports(&p->key, h);
    if (is_icmp) {
        p->icmp_type = h[0];
        p->icmp_code = h[1];
        p->asked = *(u16 *)h;
        p->is_error = protocol == ICMPV6 ? h[0] < 128 : h[0] == 3 || h[0] == 4 || h[0] == 5 || h[0] == 11 || h[0] == 12;
    } else
        p->asked = p->key.dst_port;
    if (protocol == TCP) {
        if (skb_load_bytes(skb, p->l4 + 13, &p->tcp_flags, 1))
            return BY_UNREADABLE;
        if ((p->tcp_flags & (SYN | ACK)) == SYN)
            may &= 1; /* a new connection is never a reply */
    }
    p->begins = may & 1;
    p->answers = may >> 1;
    return 0;
}

/* Read the packet that an ICMP error is about; as read_ports, 0 if it cannot be told. */
inline_ int read_quoted(struct __sk_buff *skb, struct packet *p, struct flow_key *key)
{
    aligned_ u8 h[40];
    u32 at = p->l4 + 8, header = 40;
    if (p->key.version == 4) {
        if (at + 28 > p->end || skb_load_bytes(skb, at, h, 20))
            return 0;
        header = (h[0] & 15) * 4;
        if (h[0] >> 4 != 4 || header < 20 || ((u32)h[6] << 8 | h[7]) & 0x1fff)
            return 0;
        *(u32 *)key->src = *(u32 *)(h + 12);
        *(u32 *)key->dst = *(u32 *)(h + 16);
        key->protocol = h[9];
    } else {
        if (at + 48 > p->end || skb_load_bytes(skb, at, h, 40) || h[0] >> 4 != 6)
            return 0;
        copy16(key->src, h + 8);
        copy16(key->dst, h + 24);
        key->protocol = h[6];
    }
    key->version = p->key.version;
    if (at + header + 8 > p->end || skb_load_bytes(skb, at + header, h, 8))
        return 0;
    return read_ports(key, h);
}

inline_ void reverse(struct flow_key *to, const struct flow_key *from)
{
    copy16(to->src, from->dst);
    copy16(to->dst, from->src);
    to->src_port = from->dst_port;
    to->dst_port = from->src_port;
    to->version = from->version;
    to->protocol = from->protocol;
    to->zero = 0;
}

/* ---- judging ---- */

/* The rules that take a peer and what is asked of the subject, as bits of `out`. `port` of ICMP: type and code. */
inline_ void look_up(struct vector *out, u32 slot, u32 direction, const struct flow_key *key, u16 port, int is_later)
{
    struct vector *by_peer, *by_service;
    const u8 *peer = direction == INGRESS ? key->src : key->dst;
    if (key->version == 4) {
        struct address4 four = {.prefix = 64, .slot = slot, .direction = direction};
        *(u32 *)four.address = *(const u32 *)peer;
        by_peer = map_lookup_elem(&addresses4, &four);
    } else {
        struct address6 six = {.prefix = 160, .slot = slot, .direction = direction};
        copy16(six.address, peer);
        by_peer = map_lookup_elem(&addresses6, &six);
    }
    u8 protocol = key->protocol;
    if (!is_later && (has_ports(protocol) || protocol == ICMP || protocol == ICMPV6)) {
        struct service asked = {.prefix = 48, .slot = slot, .direction = direction, .protocol = protocol, .port = port};
        by_service = map_lookup_elem(&services, &asked);
    } else {
        u32 index = (slot * 2 + direction) * 256 + protocol;
        by_service = map_lookup_elem(&protocols, &index);
    }
#pragma unroll
    for (int i = 0; i < WORDS; i++)
        out->word[i] = 0;
    if (!by_peer || !by_service)
        return;
#pragma unroll
    for (int i = 0; i < WORDS; i++)
        out->word[i] = by_peer->word[i] & by_service->word[i];
}

/* The lowest bit, 64 for none. Without branches, as all below: the verifier would follow each. */
inline_ u32 lowest(u64 word)
{
    u64 below = (word & -word) - 1;
    below -= (below >> 1) & 0x5555555555555555ULL;
    below = (below & 0x3333333333333333ULL) + ((below >> 2) & 0x3333333333333333ULL);
    below = (below + (below >> 4)) & 0x0f0f0f0f0f0f0f0fULL;
    return (u32)((below * 0x0101010101010101ULL) >> 56);
}

/* All bits if the word is 0, else none. */
inline_ u64 if_zero(u64 word)
{
    u64 top = word | -word;
    asm volatile("" : "+r"(top)); /* or the compiler makes a branch of it */
    return (top >> 63) - 1;
}

inline_ u32 lowest_of(u64 a, u64 b, u64 c, u64 d)
{
    u64 past_a = if_zero(a), past_b = past_a & if_zero(b), past_c = past_b & if_zero(c);
    return (past_a & 64) + (past_b & 64) + (past_c & 64) + lowest(a | (past_a & b) | (past_b & c) | (past_c & d));
}

inline_ void judge(struct verdict *v, struct vector *bits, const struct policy *policy)
{
    u64 a = bits->word[1], b = bits->word[2], c = bits->word[3], d = bits->word[4];
    v->action = ACCEPT;
    v->reason = BY_DEFAULT;
    if (bits->word[0]) {
        v->reason = BY_EXEMPT;
        return;
    }
#pragma unroll
    for (int round = 0; round < 3; round++) { /* a Pass clears its tier: no more often than there are tiers */
        u64 wa = policy->audit[0], wb = policy->audit[1], wc = policy->audit[2], wd = policy->audit[3];
        u32 first = lowest_of(a & ~wa, b & ~wb, c & ~wc, d & ~wd);
        u32 noted = lowest_of(a & wa, b & wb, c & wc, d & wd);
        if (noted < first && v->audit == NONE)
            v->audit = noted;
        if (first >= RULES)
            return;
        u8 action = policy->action[first & (RULES - 1)];
        u8 does = action & ACTION;
        if (!(action & DRY) && does != PASS) {
            v->action = does;
            v->reason = BY_RULE;
            v->rule = first;
            return;
        }
        if ((action & DRY) && v->would_rule == NONE) {
            v->would = does;
            v->would_rule = first;
        }
        u64 is_admin = policy->admin[(first >> 6) & 3] >> (first & 63) & 1;
        u64 other = is_admin ? ~0ULL : 0; /* which tier stays: the complement of the one that is left */
        a &= policy->admin[0] ^ other;
        b &= policy->admin[1] ^ other;
        c &= policy->admin[2] ^ other;
        d &= policy->admin[3] ^ other;
    }
}

inline_ int is_essential(const struct packet *p)
{
    if (p->is_later)
        return 0;
    if (p->key.protocol == ICMPV6 && p->key.version == 6) {
        u8 type = p->icmp_type;
        return type == 2 || (type >= 130 && type <= 137) || type == 143;
    }
    if (p->key.protocol != UDP)
        return 0;
    u16 from = swap16(p->key.src_port), to = swap16(p->key.dst_port);
    if (p->key.version == 4)
        return (from == 68 && to == 67) || (from == 67 && (to == 67 || to == 68));
    return (from == 546 && to == 547) || (from == 547 && (to == 546 || to == 547));
}

/* ---- flows ---- */

inline_ struct flow *find(const struct flow_key *key, u64 idle_ns, int *is_answered)
{
    struct flow *flow = map_lookup_elem(&flows_answered, key);
    *is_answered = flow != 0;
    if (!flow)
        flow = map_lookup_elem(&flows_opening, key);
    if (flow && key->protocol != TCP && (s64)(ktime_get_ns() - flow->seen_ns) > (s64)idle_ns) {
        map_delete_elem(&flows_answered, key);
        map_delete_elem(&flows_opening, key);
        return 0;
    }
    return flow;
}

/* An accepted packet in its own direction: the first of a flow, or one more. */
inline_ void begin(struct scratch *s, u32 direction, u32 generation)
{
    u64 now = ktime_get_ns();
    const struct flow_key *key = &s->p.key;
    struct flow *known = map_lookup_elem(&flows_answered, key);
    if (!known)
        known = map_lookup_elem(&flows_opening, key);
    if (known) {
        known->seen_ns = now;
        known->generation = generation;
        known->rule = s->v.rule;
        return;
    }
    s->kept.seen_ns = now;
    s->kept.generation = generation;
    s->kept.rule = s->v.rule;
    s->kept.direction = direction;
    s->kept.code = s->p.icmp_code;
    map_update_elem(&flows_opening, key, &s->kept, BPF_ANY);
}

/* ---- telling ---- */

inline_ void count(u32 slot, u32 which, u32 bytes)
{
    u32 index = slot * COUNTERS + which;
    struct counter *counter = map_lookup_elem(&counters, &index);
    if (counter) {
        counter->packets++;
        counter->bytes += bytes;
    }
}

inline_ void report(u32 slot, u32 generation, u32 direction, const struct packet *p, const struct verdict *v, u32 interface)
{
    struct event e = {
        .time_ns = ktime_get_ns(), .interface = interface, .length = p->length, .generation = generation,
        .rule = v->rule, .audit = v->audit, .would_rule = v->would_rule, .action = v->action, .reason = v->reason,
        .would = v->would, .direction = direction, .version = p->key.version, .protocol = p->key.protocol,
        .src_port = p->key.src_port, .dst_port = p->key.dst_port, .tcp_flags = p->tcp_flags,
        .icmp_type = p->icmp_type, .icmp_code = p->icmp_code,
    };
    copy16(e.src, p->key.src);
    copy16(e.dst, p->key.dst);
    count(slot, RULES + (ringbuf_output(&events, &e, sizeof e, 0) ? COUNT_LOST : COUNT_REPORTED), p->length);
}

#include "answer.h"

/* ---- a packet's way ---- */

inline_ int way(struct __sk_buff *skb, u32 direction, int at_ingress, int is_ethernet)
{
    u32 zero = 0;
    struct live *now_live = map_lookup_elem(&live, &zero);
    if (!now_live)
        return TC_NEXT;
    u64 word = *(volatile u64 *)&now_live->generation_slot;
    u32 generation = (u32)word, slot = (u32)(word >> 32) & 1;
    if (skb->mark && skb->mark == now_live->mark) { /* our own answer to a refused packet */
        skb->mark = 0;
        return TC_NEXT;
    }
    struct policy *policy = map_lookup_elem(&policies, &slot);
    if (!policy)
        return TC_NEXT;
    u32 flags = policy->flags;
    struct scratch *s = map_lookup_elem(&scratches, &zero);
    if (!s)
        return TC_NEXT;
    struct packet *p = &s->p;
    struct verdict *v = &s->v;
    __builtin_memset(s, 0, sizeof s->p + sizeof s->key + sizeof s->quoted + sizeof s->bits);
    v->rule = v->audit = v->would_rule = NONE;
    v->action = v->would = 0;
    int what = read_packet(skb, p, is_ethernet);
    if (what) {
        v->reason = what;
        v->action = what == BY_NOT_IP ? ACCEPT : DENY;
        goto told;
    }
    if (flags & HAS_EXEMPT)
        look_up(&s->bits, slot, direction, &p->key, p->asked, p->is_later);
    if (!s->bits.word[0]) {
        if ((flags & ALLOW_ESSENTIAL) && is_essential(p)) {
            v->reason = BY_ESSENTIAL;
            goto told;
        }
        if (p->is_later && !(flags & STRICT_FRAGMENTS)) {
            v->reason = BY_FRAGMENT;
            goto told;
        }
    }
    struct flow *flow = 0; /* the clock is read for packets of flows alone: it costs as much as a lookup */
    int is_answered = 0;
    if (!s->bits.word[0] && !p->is_later) {
        u8 may = p->answers << 1;
        if (p->is_error)
            may = read_quoted(skb, p, &s->quoted);
        if (p->is_error && (may & 1)) { /* about a packet of the flow, else about one of its replies */
            s->key = s->quoted;
            flow = find(&s->key, policy->idle_ns, &is_answered);
        }
        if (!flow && (may & 2)) {
            reverse(&s->key, p->is_error ? &s->quoted : &p->key);
            flow = find(&s->key, policy->idle_ns, &is_answered);
        }
    }
    if (flow) {
        s->kept = *flow;
        if (s->kept.generation != generation) { /* judged anew, as its first packet would be today */
            const struct flow_key *key = &s->key;
            u16 port = has_ports(key->protocol) ? key->dst_port : (u16)((u8)key->dst_port | s->kept.code << 8);
            look_up(&s->bits, slot, s->kept.direction & 1, key, port, 0);
            judge(v, &s->bits, policy);
            if (v->action != ACCEPT)
                goto told; /* and known still: else the next reply would begin a flow of its own */
            s->kept.generation = flow->generation = generation;
            s->kept.rule = flow->rule = v->rule;
            v->audit = v->would_rule = NONE;
            v->would = 0;
        }
        v->rule = s->kept.rule;
        v->reason = BY_REPLY;
        if (p->is_error)
            goto told;
        if (is_answered) {
            flow->seen_ns = ktime_get_ns();
            goto told;
        }
        s->kept.seen_ns = ktime_get_ns(); /* no flood of unanswered flows takes its place from now on */
        map_update_elem(&flows_answered, &s->key, &s->kept, BPF_ANY);
        map_delete_elem(&flows_opening, &s->key);
        goto told;
    }
    if (!(flags & HAS_EXEMPT))
        look_up(&s->bits, slot, direction, &p->key, p->asked, p->is_later);
    judge(v, &s->bits, policy);
    if (v->action == ACCEPT && p->begins && !p->is_later)
        begin(s, direction, generation);
told:
    count(slot, v->reason == BY_RULE ? (u32)v->rule & (RULES - 1) : RULES + (v->reason & 15), p->length);
    if (v->audit != NONE)
        count(slot, (u32)v->audit & (RULES - 1), p->length);
    if (v->would_rule != NONE)
        count(slot, (u32)v->would_rule & (RULES - 1), p->length);
    if ((flags & REPORTS) && (v->action != ACCEPT || v->audit != NONE || v->would_rule != NONE))
        report(slot, generation, direction, p, v, skb->ifindex);
    if (v->action == ACCEPT)
        return TC_NEXT;
    if (v->action != REJECT || !may_be_answered(skb, p, at_ingress) || !is_within_rate(slot, policy->answers))
        return TC_DROP;
    return answer(skb, s, at_ingress, is_ethernet, now_live->mark);
}

/* Direction is the subject's: on the host's side of a veth the device's ingress is the pod's egress. */
#define ENTRY(name, direction, at_ingress, is_ethernet)                    \
    __attribute__((section("tc/" #name), used)) int name(struct __sk_buff *skb) \
    {                                                                      \
        return way(skb, direction, at_ingress, is_ethernet);               \
    }
ENTRY(ingress_at_ingress, INGRESS, 1, 1)
ENTRY(egress_at_egress, EGRESS, 0, 1)
ENTRY(egress_at_ingress, EGRESS, 1, 1)
ENTRY(ingress_at_egress, INGRESS, 0, 1)
ENTRY(ingress_at_ingress_l3, INGRESS, 1, 0)
ENTRY(egress_at_egress_l3, EGRESS, 0, 0)

/* ---- connect() of local processes ---- */

/* 0: EPERM. Only what Reject refuses: Deny stays silent. Packets still come by the way above. */
inline_ int connecting(struct packet *p, const void *local)
{
    u32 zero = 0;
    struct live *now_live = map_lookup_elem(&live, &zero);
    if (!now_live || local)
        return 1;
    u64 word = *(volatile u64 *)&now_live->generation_slot;
    u32 slot = (u32)(word >> 32) & 1;
    struct policy *policy = map_lookup_elem(&policies, &slot);
    struct vector bits = {};
    struct verdict v = {.rule = NONE, .audit = NONE, .would_rule = NONE, .action = ACCEPT};
    if (!policy || !has_ports(p->key.protocol))
        return 1;
    look_up(&bits, slot, EGRESS, &p->key, p->asked, 0);
    judge(&v, &bits, policy);
    if (v.action != REJECT)
        return 1;
    count(slot, RULES + COUNT_CONNECT, 0);
    if (policy->flags & REPORTS)
        report(slot, (u32)word, EGRESS, p, &v, 0);
    return 0;
}

inline_ int connecting4(u32 address, u16 port, u8 protocol)
{
    struct address4 four = {.prefix = 64};
    *(u32 *)four.address = address;
    struct packet p = {.asked = port};
    p.key.version = 4;
    p.key.protocol = protocol;
    p.key.dst_port = port;
    *(u32 *)p.key.dst = address;
    return connecting(&p, map_lookup_elem(&local4, &four));
}

__attribute__((section("cgroup/connect4"), used)) int connect4(struct bpf_sock_addr *sock)
{
    return connecting4(sock->user_ip4, (u16)sock->user_port, (u8)sock->protocol);
}

__attribute__((section("cgroup/connect6"), used)) int connect6(struct bpf_sock_addr *sock)
{
    u32 a = sock->user_ip6[0], b = sock->user_ip6[1], c = sock->user_ip6[2], d = sock->user_ip6[3];
    u16 port = (u16)sock->user_port;
    u8 protocol = (u8)sock->protocol;
    if (!a && !b && c == swap32(0xffff))
        return connecting4(d, port, protocol);
    struct address6 six = {.prefix = 160};
    u32 *to = (u32 *)six.address;
    to[0] = a, to[1] = b, to[2] = c, to[3] = d;
    struct packet p = {.asked = port};
    p.key.version = 6;
    p.key.protocol = protocol;
    p.key.dst_port = port;
    copy16(p.key.dst, six.address);
    return connecting(&p, map_lookup_elem(&local6, &six));
}
