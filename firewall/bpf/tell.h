/* Counters and events. Part of firewall.c. */
#pragma once

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
