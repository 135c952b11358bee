#include "kubeshark_plugin.h"

static char word[64];
static bool loud;

static bool is(ks_bytes text, const char *literal) { return ks_equal(text, ks_literal(literal)); }

static ks_packet_verdict packet_filter(const ks_packet *packet) {
    if (packet->link_type != 1 || packet->bytes.length > packet->length) return KS_DROP_PACKET;
    if (packet->bytes.length && packet->bytes.data[0] == 0xdd) return KS_DROP_PACKET;
    return packet->bytes.length && packet->bytes.data[0] == 0xaa ? KS_MARK_PACKET : KS_KEEP;
}

static void say(ks_report *out, const char *line) { ks_log(out, ks_literal(line)); }

static void segment_sealed(const ks_segment *segment, ks_report *out) {
    char line[200];
    snprintf(line, sizeof line, "sealed %.*s of %.*s: %lld packets, %lld bytes", (int)segment->name.length,
             (const char *)segment->name.data, (int)segment->source.length, (const char *)segment->source.data,
             (long long)segment->packets, (long long)segment->stored_bytes);
    say(out, line);
    if (segment->packets == 13) ks_refuse(out, "bad luck");
}

static bool contains(ks_bytes text, const char *part) {
    size_t length = strlen(part);
    for (size_t at = 0; at + length <= text.length; at++)
        if (memcmp(text.data + at, part, length) == 0) return true;
    return false;
}

static void enrich(const ks_values *values, ks_enrichment *out) {
    ks_bytes method, url, body, document;
    if (!ks_value_bytes(values, 0, &method) || !ks_value_bytes(values, 1, &url)) abort();
    if (!ks_value_bytes(values, 2, &body) || !ks_value_bytes(values, 3, &document)) abort();
    if (is(method, "DELETE")) {
        ks_drop(out);
        return;
    }
    for (volatile int i = is(method, "LOOP"); i; ) {}
    if (is(method, "INDEX")) ks_redact(out, "src.ip", "[redacted]");
    ks_tag(out, "seen");
    ks_set_int(out, "witness_length", url.length);
    ks_set_text(out, "witness_word", ks_literal(loud ? word : ""));
    ks_set_bool(out, "witness_seen", contains(document, "\"protocol\"") && !is(body, "unseen"));
    ks_redact(out, "request.headers[\"authorization\"]", "[redacted]");
    ks_redact(out, "request.postData.text.user.password", "[gone]");
    ks_redact_text(out, ks_literal(word), "[redacted]");
}

static ks_truth filter(uint32_t index, const ks_values *values) {
    ks_bytes wanted, method;
    (void)index;
    if (!ks_value_bytes(values, 0, &wanted) || !ks_value_bytes(values, 1, &method)) return KS_FAILED;
    return ks_equal(wanted, method) ? KS_TRUE : KS_FALSE;
}

static bool summarize(const ks_values *values, ks_cells *out) {
    ks_bytes method, url;
    int64_t status;
    if (!ks_value_bytes(values, 0, &method) || method.length == 0) return false;
    if (!ks_value_bytes(values, 1, &url) || !ks_value_int(values, 2, &status)) return false;
    ks_cell_method(out, method, "method");
    ks_cell_summary(out, url, "url");
    ks_cell_status(out, status, "status_code");
    return true;
}

static void job(uint32_t index, int64_t due_ns, ks_report *out) {
    char line[64];
    if (index != 1) return;
    snprintf(line, sizeof line, "tick %lld", (long long)due_ns);
    say(out, line);
    if (due_ns == 13) ks_refuse(out, "not today");
}

static void configure(const ks_values *settings, ks_report *out) {
    char line[128];
    ks_bytes text;
    int64_t limit;
    if (!ks_value_bytes(settings, 0, &text) || !ks_value_int(settings, 1, &limit)) abort();
    if (!ks_value_bool(settings, 2, &loud) || text.length >= sizeof word) abort();
    memcpy(word, text.data, text.length);
    word[text.length] = 0;
    if (is(text, "refuse")) ks_refuse(out, "that word is taken");
    snprintf(line, sizeof line, "word %s, limit %lld", word, (long long)limit);
    say(out, line);
}

static void start(ks_report *out) { say(out, "started"); }
static void stop(ks_report *out) { say(out, "stopped"); }

const ks_plugin_hooks ks_plugin = {
    .packet_filter = packet_filter,
    .segment_sealed = segment_sealed,
    .enrich = enrich,
    .filter = filter,
    .summarize = summarize,
    .job = job,
    .configure = configure,
    .start = start,
    .stop = stop,
};
