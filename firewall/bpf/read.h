/* A frame as the fields that rules ask for; what ends early or contradicts itself is unreadable. Part of firewall.c. */
#pragma once

/* Copy bytes of a packet; not 0 if they lie outside. */
inline_ long load(void *context, enum link link, u32 at, void *to, u32 size)
{
    return link == XDP ? xdp_load_bytes(context, at, to, size) : skb_load_bytes(context, at, to, size);
}

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
inline_ int skip_extensions(void *context, enum link link, struct packet *p, u8 *next)
{
    aligned_ u8 h[8];
#pragma unroll
    for (int i = 0; i < EXTENSIONS; i++) {
        u8 kind = *next;
        if (kind != 0 && kind != 43 && kind != 44 && kind != 51 && kind != 60)
            return 1;
        if (p->l4 + 8 > p->end || load(context, link, p->l4, h, 8))
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
inline_ int read_packet(void *context, enum link link, struct packet *p)
{
    aligned_ u8 h[40], first[56]; /* at 2: so IP's header lies at 16 */
    u16 kind = 0;
    u32 at = 0, length;
    if (link == XDP)
        length = (u32)xdp_get_buff_len(context);
    else
        length = ((struct __sk_buff *)context)->len;
    p->length = length;
    if (link == NO_LINK)
        kind = (u16)((struct __sk_buff *)context)->protocol;
    int has_first = link != NO_LINK && !load(context, link, 0, first + 2, 48); /* all that most packets are read for */
    if (link != NO_LINK) {
        if (has_first)
            kind = *(u16 *)(first + 14);
        else if (load(context, link, 12, &kind, 2))
            return BY_UNREADABLE;
        at = ETHERNET_BYTES;
#pragma unroll
        for (int i = 0; i < VLANS; i++)
            if (kind == swap16(0x8100) || kind == swap16(0x88a8)) {
                if (load(context, link, at + 2, &kind, 2))
                    return BY_UNREADABLE;
                at += 4;
            }
    }
    p->l3 = at;
    u8 protocol;
    if (kind == swap16(0x0800)) {
        if (has_first && at == ETHERNET_BYTES) {
            copy16(h, first + 16);
            *(u32 *)(h + 16) = *(u32 *)(first + 32);
        } else if (load(context, link, at, h, 20))
            return BY_UNREADABLE;
        u32 header = (h[0] & 15) * 4, total = (u32)h[2] << 8 | h[3];
        p->end = total ? at + total : length; /* 0: larger than 64 KiB, before it is cut into segments */
        if (h[0] >> 4 != 4 || header < 20 || at + header > p->end || p->end > length)
            return BY_UNREADABLE;
        p->key.version = 4;
        *(u32 *)p->key.src = *(u32 *)(h + 12);
        *(u32 *)p->key.dst = *(u32 *)(h + 16);
        p->is_later = (((u32)h[6] << 8 | h[7]) & 0x1fff) != 0;
        protocol = h[9];
        p->l4 = at + header;
    } else if (kind == swap16(0x86dd)) {
        if (load(context, link, at, h, 40))
            return BY_UNREADABLE;
        u32 payload = (u32)h[4] << 8 | h[5];
        p->l4 = at + 40;
        p->end = payload ? p->l4 + payload : length; /* 0: a jumbogram, or nothing behind the header */
        if (h[0] >> 4 != 6 || p->end > length)
            return BY_UNREADABLE;
        p->key.version = 6;
        copy16(p->key.src, h + 8);
        copy16(p->key.dst, h + 24);
        protocol = h[6];
        if (!skip_extensions(context, link, p, &protocol))
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
    int is_in_first = has_first && p->l4 == ETHERNET_BYTES + 20;
    if (p->l4 + need > p->end)
        return BY_UNREADABLE;
    if (is_in_first) {
        *(u32 *)h = *(u32 *)(first + 36);
        *(u32 *)(h + 4) = *(u32 *)(first + 40);
    } else if (load(context, link, p->l4, h, 8))
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
        if (is_in_first)
            p->tcp_flags = first[49];
        else if (load(context, link, p->l4 + 13, &p->tcp_flags, 1))
            return BY_UNREADABLE;
        if ((p->tcp_flags & (SYN | ACK)) == SYN)
            may &= 1; /* a new connection is never a reply */
    }
    p->begins = may & 1;
    p->answers = may >> 1;
    return 0;
}

/* Read the packet that an ICMP error is about; as read_ports, 0 if it cannot be told. */
inline_ int read_quoted(void *context, enum link link, struct packet *p, struct flow_key *key)
{
    aligned_ u8 h[40];
    u32 at = p->l4 + 8, header = 40;
    if (p->key.version == 4) {
        if (at + 28 > p->end || load(context, link, at, h, 20))
            return 0;
        header = (h[0] & 15) * 4;
        if (h[0] >> 4 != 4 || header < 20 || ((u32)h[6] << 8 | h[7]) & 0x1fff)
            return 0;
        *(u32 *)key->src = *(u32 *)(h + 12);
        *(u32 *)key->dst = *(u32 *)(h + 16);
        key->protocol = h[9];
    } else {
        if (at + 48 > p->end || load(context, link, at, h, 40) || h[0] >> 4 != 6)
            return 0;
        copy16(key->src, h + 8);
        copy16(key->dst, h + 24);
        key->protocol = h[6];
    }
    key->version = p->key.version;
    if (at + header + 8 > p->end || load(context, link, at + header, h, 8))
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
