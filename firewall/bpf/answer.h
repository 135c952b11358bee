/* What a refused sender is told: TCP by RST, everything else by ICMP "administratively prohibited". Part of firewall.c.
 *
 * The refused packet becomes its own answer and leaves where it came from, with a mark that lets it pass our other hook.
 */
#pragma once

inline_ int is_to_many(const struct flow_key *key, const u8 *address)
{
    u32 first = *(const u32 *)address;
    if (key->version == 4)
        return (address[0] & 0xf0) == 0xe0 || first == 0 || first == 0xffffffff;
    const u64 *half = (const u64 *)address;
    return address[0] == 0xff || !(half[0] | half[1]);
}

/* Never a RST, an ICMP error, or what many would answer (RFC 1122 §3.2.2, RFC 4443 §2.4): `_model.may_be_answered`. */
inline_ int may_be_answered(struct __sk_buff *skb, const struct packet *p, int at_ingress)
{
    if (p->is_later || p->is_error || (p->key.protocol == TCP && (p->tcp_flags & RST)))
        return 0;
    if (at_ingress && (skb->pkt_type == 1 || skb->pkt_type == 2)) /* a subnet's broadcast, told by the link layer */
        return 0;
    return !is_to_many(&p->key, p->key.src) && !is_to_many(&p->key, p->key.dst);
}

/* At most `limit` answers in a second; processors that meet at its turn may go over it by one each. */
inline_ int is_within_rate(u32 slot, u32 limit)
{
    u32 zero = 0;
    struct window *window = map_lookup_elem(&answers, &zero);
    if (!window)
        return 0;
    u64 second = ktime_get_ns() / 1000000000;
    if (window->second != second) {
        window->second = second;
        window->count = 0;
    }
    if (window->count >= limit) {
        count(slot, RULES + COUNT_SILENT, 0);
        return 0;
    }
    __sync_fetch_and_add(&window->count, 1);
    count(slot, RULES + COUNT_ANSWERED, 0);
    return 1;
}

inline_ u16 folded(s64 sum)
{
    u64 s = (u64)sum & 0xffffffff;
    s = (s & 0xffff) + (s >> 16);
    s = (s & 0xffff) + (s >> 16);
    return (u16)~s;
}

inline_ void put_header(u8 *header, const struct flow_key *key, u8 protocol, u32 payload)
{
    if (key->version == 4) {
        *(u32 *)header = 0x45 | swap16(20 + payload) << 16;
        *(u32 *)(header + 4) = 0x40 << 16; /* do not fragment */
        *(u32 *)(header + 8) = 64 | protocol << 8;
        *(u32 *)(header + 12) = *(const u32 *)key->dst;
        *(u32 *)(header + 16) = *(const u32 *)key->src;
        *(u16 *)(header + 10) = folded(csum_diff(0, 0, header, 20, 0));
        return;
    }
    *(u32 *)header = 0x60;
    *(u32 *)(header + 4) = swap16(payload) | protocol << 16 | 64 << 24;
    copy16(header + 8, key->dst);
    copy16(header + 24, key->src);
}

/* The sum of the pseudo header, from which that of the body goes on (RFC 9293 §3.1, RFC 8200 §8.1). */
inline_ u32 pseudo_sum(u8 *pseudo, const struct flow_key *key, u8 protocol, u32 payload)
{
    if (key->version == 4) {
        *(u32 *)pseudo = *(const u32 *)key->dst;
        *(u32 *)(pseudo + 4) = *(const u32 *)key->src;
        *(u32 *)(pseudo + 8) = (u32)protocol << 8 | (u32)swap16(payload) << 16;
        return (u32)csum_diff(0, 0, pseudo, 12, 0);
    }
    copy16(pseudo, key->dst);
    copy16(pseudo + 16, key->src);
    *(u32 *)(pseudo + 32) = swap32(payload);
    *(u32 *)(pseudo + 36) = (u32)protocol << 24;
    return (u32)csum_diff(0, 0, pseudo, 40, 0);
}

/* RFC 9293 §3.10.7.1: a RST that the sender believes. False if the segment cannot be read. */
inline_ int put_rst(struct __sk_buff *skb, const struct packet *p, struct scratch *s)
{
    u8 *tcp = s->body;
    if (skb_load_bytes(skb, p->l4, s->spare, 20))
        return 0;
    u32 seq = swap32(*(u32 *)(s->spare + 4)), header = (s->spare[12] >> 4) * 4, segment = p->end - p->l4;
    u32 next = seq + (segment > header ? segment - header : 0) + !!(p->tcp_flags & SYN) + !!(p->tcp_flags & FIN);
    int has_ack = p->tcp_flags & ACK;
    *(u16 *)tcp = p->key.dst_port;
    *(u16 *)(tcp + 2) = p->key.src_port;
    *(u32 *)(tcp + 4) = has_ack ? *(u32 *)(s->spare + 8) : 0;
    *(u32 *)(tcp + 8) = has_ack ? 0 : swap32(next);
    *(u32 *)(tcp + 12) = 0x50 | (has_ack ? RST : RST | ACK) << 8;
    *(u32 *)(tcp + 16) = 0;
    put_header(s->header, &p->key, TCP, 20);
    *(u16 *)(tcp + 16) = folded(csum_diff(0, 0, tcp, 20, pseudo_sum(s->pseudo, &p->key, TCP, 20)));
    return 1;
}

inline_ int answer(struct __sk_buff *skb, struct scratch *s, int at_ingress, int is_ethernet, u32 mark)
{
    const struct packet *p = &s->p;
    u32 at = p->l3;
    u64 size = p->end - p->l3;
    u32 header = p->key.version == 4 ? 20 : 40, body = 20;
    if (p->key.protocol == TCP) {
        if (!put_rst(skb, p, s) || skb_change_tail(skb, at + header + 20, 0) ||
            skb_store_bytes(skb, at + header, s->body, 20, 0))
            return TC_DROP;
    } else {
        u8 protocol = header == 20 ? ICMP : ICMPV6;
        size = size > QUOTED ? QUOTED : size & ~3ULL; /* whole words for the checksum; the ports lie within */
        asm volatile("" : "+r"(size)); /* or the compiler joins the bounds in a form the verifier does not follow */
        if (size > QUOTED)
            return TC_DROP;
        asm volatile("" : "+r"(size));
        if (size < 20 || skb_load_bytes(skb, at, s->body + 8, size))
            return TC_DROP;
        *(u32 *)s->body = header == 20 ? 3 | 13 << 8 : 1 | 1 << 8;
        *(u32 *)(s->body + 4) = 0;
        body = 8 + size;
        put_header(s->header, &p->key, protocol, body);
        u32 seed = header == 20 ? 0 : pseudo_sum(s->pseudo, &p->key, ICMPV6, body);
        seed = (u32)csum_diff(0, 0, s->body, 8, seed);
        *(u16 *)(s->body + 2) = folded(csum_diff(0, 0, s->body + 8, size, seed));
        if (skb_change_tail(skb, at + header + body, 0) || skb_store_bytes(skb, at + header, s->body, 8, 0) ||
            skb_store_bytes(skb, at + header + 8, s->body + 8, size, 0))
            return TC_DROP;
    }
    if (header == 20 ? skb_store_bytes(skb, at, s->header, 20, 0) : skb_store_bytes(skb, at, s->header, 40, 0))
        return TC_DROP;
    if (is_ethernet) {
        if (skb_load_bytes(skb, 0, s->spare + 6, 12))
            return TC_DROP;
        for (int i = 0; i < 6; i += 2) /* the two addresses change places */
            *(u16 *)(s->spare + i) = *(u16 *)(s->spare + 12 + i);
        if (skb_store_bytes(skb, 0, s->spare, 12, 0))
            return TC_DROP;
    }
    skb->mark = mark;
    return redirect(skb->ifindex, at_ingress ? 0 : TO_INGRESS);
}
