/* Rules as bit vectors: `judge` of `_model.py`. Part of firewall.c. */
#pragma once

/* The rules that take a peer: by a tree of its bytes, each node of which skips the bytes that all below it share. */
inline_ struct vector *of_peer(u32 slot, u32 direction, const struct flow_key *key, const struct policy *policy)
{
    const u8 *peer = direction == INGRESS ? key->src : key->dst;
    u64 low = ((const u64 *)peer)[0], high = ((const u64 *)peer)[1];
    u32 entry = policy->roots[(direction * 2 + (key->version != 4)) & 3];
    for (int i = 0; i < 16 && entry & IS_NODE; i++) {
        u32 index = slot * NODES + (entry & (NODES - 1));
        const struct node *node = map_lookup_elem(&nodes, &index);
        if (!node)
            return 0;
        u64 differs = ((low ^ node->want[0]) & node->mask[0]) | ((high ^ node->want[1]) & node->mask[1]);
        u64 word = node->at & 8 ? high : low;
        u32 next = (u32)(word >> (node->at & 7) * 8) & 255;
        entry = differs ? node->otherwise : node->next[next];
    }
    if (entry != ASK) {
        u32 index = slot * CLASSES + (entry & (CLASSES - 1));
        return map_lookup_elem(&classes, &index);
    }
    if (key->version == 4) {
        struct address4 four = {.prefix = 64, .slot = slot, .direction = direction};
        *(u32 *)four.address = *(const u32 *)peer;
        return map_lookup_elem(&addresses4, &four);
    }
    struct address6 six = {.prefix = 160, .slot = slot, .direction = direction};
    copy16(six.address, peer);
    return map_lookup_elem(&addresses6, &six);
}

/* The rules that take what is asked of the subject. `port` of ICMP: type and code. */
inline_ struct vector *of_service(u32 slot, u32 direction, u8 protocol, u16 port, int is_later)
{
    u32 index = slot * 2 + direction, class;
    int kind = protocol == TCP ? 0 : protocol == UDP ? 1 : protocol == SCTP ? 2 : protocol == ICMP ? 3 : 4;
    if (!is_later && (kind < 4 || protocol == ICMPV6)) {
        index = index * PORT_TABLES + kind;
        const struct ports *table = map_lookup_elem(&ports, &index);
        if (!table)
            return 0;
        class = table->class[swap16(port)];
    } else {
        const struct protocols *table = map_lookup_elem(&protocols, &index);
        if (!table)
            return 0;
        class = table->class[protocol];
    }
    index = slot * CLASSES + (class & (CLASSES - 1));
    return map_lookup_elem(&classes, &index);
}

/* What matches, as bits of `out`. */
inline_ void look_up(struct vector *out, u32 slot, u32 direction, const struct flow_key *key, u16 port, int is_later,
                     const struct policy *policy)
{
    const struct vector *by_peer = of_peer(slot, direction, key, policy);
    const struct vector *by_service = of_service(slot, direction, key->protocol, port, is_later);
#pragma unroll
    for (int i = 0; i < WORDS; i++)
        out->word[i] = by_peer && by_service ? by_peer->word[i] & by_service->word[i] : 0;
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
