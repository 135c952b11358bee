/* Flows that were accepted, so that their replies are. Part of firewall.c. */
#pragma once

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
