/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only: helpers such as ktime_get_ns ask for the second. */
/* The firewall's data plane: judges each packet as firewall/_model.py does, which is its oracle.
 *
 * 1. Only the kernel's stable interface is used (linux/bpf.h): no BTF, no relocation but of maps, which the loader
 *    makes (firewall/_plane.py) and finds here by their names.
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
