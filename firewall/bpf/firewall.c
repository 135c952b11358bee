/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only: helpers such as ktime_get_ns ask for the second. */
/* The firewall's data plane: judges each packet as firewall/rules/_model.py does, which is its oracle.
 *
 * 1. Only the kernel's stable interface is used (linux/bpf.h): no BTF, no relocation but of maps, which the loader
 *    makes (firewall/kernel/_plane.py) and finds here by their names.
 * 2. Every map that policies fill has two slots. A packet reads the live slot once, with the generation's number, in
 *    one load of 8 bytes; so it is judged by one policy, whole.
 * 3. Nothing of a packet is read but through bpf_skb_load_bytes, which refuses what lies outside.
 * 4. Offsets and lengths are bytes, addresses and ports in network order unless a name says otherwise.
 */
#include <linux/bpf.h>

#include "helpers.h"
#include "records.h"
#include "read.h"
#include "judge.h"
#include "flows.h"
#include "tell.h"
#include "answer.h"

struct now { u32 generation, slot, mark; };

/* The live policy, read once; 0 before there is one. */
inline_ struct policy *live_policy(struct now *now)
{
    u32 zero = 0;
    const struct live *now_live = map_lookup_elem(&live, &zero);
    if (!now_live)
        return 0;
    u64 word = *(volatile u64 *)&now_live->generation_slot;
    now->generation = (u32)word;
    now->slot = (u32)(word >> 32) & 1;
    now->mark = now_live->mark;
    return map_lookup_elem(&policies, &now->slot);
}

/* The packet's way up to a verdict, in `s->v`. XDP changes no flow: what it lets through comes by the other way too. */
inline_ void weigh(void *context, enum link link, u32 direction, struct scratch *s, const struct policy *policy, struct now now)
{
    u32 flags = policy->flags, slot = now.slot;
    struct packet *p = &s->p;
    struct verdict *v = &s->v;
    __builtin_memset(s, 0, sizeof s->p + sizeof s->key + sizeof s->quoted + sizeof s->bits);
    v->rule = v->audit = v->would_rule = NONE;
    v->action = v->would = 0;
    int what = read_packet(context, link, p);
    if (what) {
        v->reason = what;
        v->action = what == BY_NOT_IP ? ACCEPT : DENY;
        return;
    }
    if (flags & HAS_EXEMPT)
        look_up(&s->bits, slot, direction, &p->key, p->asked, p->is_later, policy);
    if (!s->bits.word[0]) {
        if ((flags & ALLOW_ESSENTIAL) && is_essential(p)) {
            v->reason = BY_ESSENTIAL;
            return;
        }
        if (p->is_later && !(flags & STRICT_FRAGMENTS)) {
            v->reason = BY_FRAGMENT;
            return;
        }
        if ((flags & TCP_BY_FLAGS) && p->key.protocol == TCP && !p->is_later && (p->tcp_flags & (SYN | ACK)) == ACK) {
            v->reason = BY_FLAGS;
            return;
        }
    }
    struct flow *flow = 0; /* the clock is read for packets of flows alone: it costs as much as a lookup */
    int is_answered = 0;
    if (!s->bits.word[0] && !p->is_later) {
        u8 may = p->answers << 1;
        if (p->is_error)
            may = read_quoted(context, link, p, &s->quoted);
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
        if (s->kept.generation != now.generation) { /* judged anew, as its first packet would be today */
            const struct flow_key *key = &s->key;
            u16 port = has_ports(key->protocol) ? key->dst_port : (u16)((u8)key->dst_port | s->kept.code << 8);
            look_up(&s->bits, slot, s->kept.direction & 1, key, port, 0, policy);
            judge(v, &s->bits, policy);
            if (v->action != ACCEPT || link == XDP)
                return; /* and known still: else the next reply would begin a flow of its own */
            s->kept.generation = flow->generation = now.generation;
            s->kept.rule = flow->rule = v->rule;
            v->audit = v->would_rule = NONE;
            v->would = 0;
        }
        v->rule = s->kept.rule;
        v->reason = BY_REPLY;
        if (p->is_error || link == XDP)
            return;
        if (is_answered) {
            flow->seen_ns = ktime_get_ns();
            return;
        }
        s->kept.seen_ns = ktime_get_ns(); /* no flood of unanswered flows takes its place from now on */
        map_update_elem(&flows_answered, &s->key, &s->kept, BPF_ANY);
        map_delete_elem(&flows_opening, &s->key);
        return;
    }
    if (!(flags & HAS_EXEMPT))
        look_up(&s->bits, slot, direction, &p->key, p->asked, p->is_later, policy);
    judge(v, &s->bits, policy);
    if (link != XDP && v->action == ACCEPT && p->begins && !p->is_later)
        begin(s, direction, now.generation);
}

inline_ void tell(const struct scratch *s, const struct policy *policy, struct now now, u32 direction, u32 interface)
{
    const struct packet *p = &s->p;
    const struct verdict *v = &s->v;
    count(now.slot, v->reason == BY_RULE ? (u32)v->rule & (RULES - 1) : RULES + (v->reason & 15), p->length);
    if (v->audit != NONE)
        count(now.slot, (u32)v->audit & (RULES - 1), p->length);
    if (v->would_rule != NONE)
        count(now.slot, (u32)v->would_rule & (RULES - 1), p->length);
    if ((policy->flags & REPORTS) && (v->action != ACCEPT || v->audit != NONE || v->would_rule != NONE))
        report(now.slot, now.generation, direction, p, v, interface);
}

/* A kernel whose generic XDP copied the packet (seen on 6.18, with any program) has lost how long the link's header is: the
 * packet begins at IP's, and would be read as what it is not. Give it its header back; false if that cannot be. */
inline_ int is_whole(struct __sk_buff *skb)
{
    aligned_ u8 header[ETHERNET_BYTES];
    if (skb->len != skb->wire_len) /* without the link's header, as it was taken down just before */
        return 1;
    return !skb_load_bytes_relative(skb, 0, header, ETHERNET_BYTES, BPF_HDR_START_MAC) &&
           !skb_change_head(skb, ETHERNET_BYTES, 0) && !skb_store_bytes(skb, 0, header, ETHERNET_BYTES, 0);
}

inline_ int way(struct __sk_buff *skb, enum link link, u32 direction, int at_ingress)
{
    u32 zero = 0;
    struct now now = {};
    const struct policy *policy = live_policy(&now);
    struct scratch *s = map_lookup_elem(&scratches, &zero);
    if (!policy || !s)
        return TC_NEXT;
    if (skb->mark && skb->mark == now.mark) { /* our own answer to a refused packet */
        skb->mark = 0;
        return TC_NEXT;
    }
    if (at_ingress && link == ETHERNET && !is_whole(skb))
        return TC_DROP;
    weigh(skb, link, direction, s, policy, now);
    tell(s, policy, now, direction, skb->ifindex);
    if (s->v.action == ACCEPT)
        return TC_NEXT;
    if (s->v.action != REJECT || !may_be_answered(skb, &s->p, at_ingress) || !is_within_rate(now.slot, policy->answers))
        return TC_DROP;
    return answer(skb, s, at_ingress, link == ETHERNET, now.mark);
}

/* Direction is the subject's: on the host's side of a veth the device's ingress is the pod's egress. */
#define ENTRY(name, link, direction, at_ingress)                                \
    __attribute__((section("tc/" #name), used)) int name(struct __sk_buff *skb) \
    {                                                                           \
        return way(skb, link, direction, at_ingress);                           \
    }
ENTRY(ingress_at_ingress, ETHERNET, INGRESS, 1)
ENTRY(egress_at_egress, ETHERNET, EGRESS, 0)
ENTRY(egress_at_ingress, ETHERNET, EGRESS, 1)
ENTRY(ingress_at_egress, ETHERNET, INGRESS, 0)
ENTRY(ingress_at_ingress_l3, NO_LINK, INGRESS, 1)
ENTRY(egress_at_egress_l3, NO_LINK, EGRESS, 0)

/* In front of ingress_at_ingress on a network card: only what Deny refuses ends here, and is told here. */
__attribute__((section("xdp/ingress_at_xdp"), used)) int ingress_at_xdp(struct xdp_md *frame)
{
    u32 zero = 0;
    struct now now = {};
    const struct policy *policy = live_policy(&now);
    struct scratch *s = map_lookup_elem(&scratches, &zero);
    if (!policy || !s)
        return TO_STACK;
    weigh(frame, XDP, INGRESS, s, policy, now);
    if (s->v.action != DENY)
        return TO_STACK;
    tell(s, policy, now, INGRESS, frame->ingress_ifindex);
    return TO_DROP;
}

/* ---- connect() of local processes ---- */

/* 0: EPERM. Only what Reject refuses: Deny stays silent. Packets still come by the way above. */
inline_ int connecting(struct packet *p, const void *local)
{
    struct now now = {};
    const struct policy *policy = local ? 0 : live_policy(&now);
    struct vector bits = {};
    struct verdict v = {.rule = NONE, .audit = NONE, .would_rule = NONE, .action = ACCEPT};
    if (!policy || !has_ports(p->key.protocol))
        return 1;
    look_up(&bits, now.slot, EGRESS, &p->key, p->asked, 0, policy);
    judge(&v, &bits, policy);
    if (v.action != REJECT)
        return 1;
    count(now.slot, RULES + COUNT_CONNECT, 0);
    if (policy->flags & REPORTS)
        report(now.slot, now.generation, EGRESS, p, &v, 0);
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
