/* Made by scripts/generate_sdk.py from extension_api/_hookspecs.py: change it there. */
#ifndef KUBESHARK_HOOKS_H
#define KUBESHARK_HOOKS_H

enum {
    KS_HOOK_PACKET_FILTER = 1,
    KS_HOOK_SEGMENT_SEALED = 2,
    KS_HOOK_PROBE = 3,
    KS_HOOK_DISSECT = 4,
    KS_HOOK_ENRICH = 5,
    KS_HOOK_FILTER = 6,
    KS_HOOK_SUMMARIZE = 7,
    KS_HOOK_RENDER = 8,
    KS_HOOK_JOB = 9,
    KS_HOOK_CONFIGURE = 10,
    KS_HOOK_START = 11,
    KS_HOOK_STOP = 12,
};

typedef struct {
    /* Say whether streams carry this plugin's protocol.
     *
     * Asked after the declarative classifiers, in order of the protocols' priority, with at most PROBE_BYTES of each
     * side. The first MINE wins; NEED_MORE is asked again when there is more, and counts as NOT_MINE at the end.
     *
     * At most 512 bytes of a side, or the first datagram. */
    ks_verdict (*probe)(const ks_item *item);
    /* Turn streams into messages, one list a stream, each in order of first byte per direction.
     *
     * Bytes that make no sense spoil one message, never its neighbours: resynchronise, set Message.error, go on. Python
     * plugins may put a `Handover` among the messages of a stream: it passes bytes on to another protocol.
     *
     * Returns the bytes consumed. */
    uint32_t (*dissect)(const ks_item *item, ks_writer *out);
    /* Decide entries for a KFL call such as `is_bot()`. Called in batches, after every cheaper term.
     *
     * Returns true, false, or None for an evaluation error, one an entry.
     *
     * `filter`: its position in plugin.toml. */
    ks_truth (*filter)(uint32_t filter, const ks_values *values);
    /* Give an entry's representation, or None (or a priority below 0) where it is not yours.
     *
     * Its sections are of these types: `table` (rows), `body` and `code` (text), `hex` (bytes, and ranges that say what
     * they are), `image` (png, jpeg, gif, webp), `timeline` (points in microseconds from the start).
     *
     * false: not mine. */
    bool (*render)(const ks_item *request, const ks_item *response, ks_render *out);
    /* Keep, drop or mark packets before they are stored: one verdict a packet.
     *
     * An import never waits for it: where it fails, or takes longer than its budget (limits.batch_ms, at most 100 ms a
     * batch), the batch is stored as it is and counted as not filtered. What it drops is gone. */
    ks_packet_verdict (*packet_filter)(const ks_packet *packet);
    /* A segment is complete on disk: upload it, notify someone. Gets metadata, never packets or keys.
     *
     * Runs beside the import, one segment after the other, in the order in which they were sealed. */
    void (*segment_sealed)(const ks_segment *segment, ks_report *out);
    /* Annotate, redact, tag or drop entries: one `Enrichment` an entry, or None to leave it as it is.
     *
     * Runs behind dissection, when ids are fixed, and before any filter sees the entry: a filter cannot find out what was
     * redacted. Plugins run in order of their priority, each on what the one before left. An entry that a plugin fails on
     * is shown without its content (EnrichSpec.on_failure), and counted. Addresses, ports, times and protocol flags are
     * what the index answers: they cannot be redacted.
     *
     * `values`: the variables that the manifest says it reads. */
    void (*enrich)(const ks_values *values, ks_enrichment *out);
    /* Give the cells of an entry's row, each with the KFL that selects it (entries.md §5); None: not mine.
     *
     * `values`: the variables that the manifest says it reads. false: not mine. */
    bool (*summarize)(const ks_values *values, ks_cells *out);
    /* Run a job, now. Long-lived processes (`serve`) call it by its schedule; `kubeshark plugin run-job` at once.
     *
     * A run that is due while the one before goes on is skipped and counted; what was due while nobody ran is not made up.
     *
     * `job`: its position in plugin.toml. */
    void (*job)(uint32_t job, int64_t due_ns, ks_report *out);
    /* Take the settings, before `start`; ks_refuse refuses them, which keeps the plugin from running.
     *
     * Every declared setting is there, of its declared type: the user's value, or the default.
     *
     * `settings`: their values, in the order of plugin.toml. */
    void (*configure)(const ks_values *settings, ks_report *out);
    /* The plugin will be used: once in each process that runs it, behind `configure`, before everything else. */
    void (*start)(ks_report *out);
    /* The plugin will not be used any more. Has one second; a process that crashed gets none. */
    void (*stop)(ks_report *out);
} ks_plugin_hooks;

static inline uint32_t ks_hook_bits(const ks_plugin_hooks *hooks) {
    return (hooks->packet_filter ? 1u << KS_HOOK_PACKET_FILTER : 0) |
           (hooks->segment_sealed ? 1u << KS_HOOK_SEGMENT_SEALED : 0) |
           (hooks->probe ? 1u << KS_HOOK_PROBE : 0) |
           (hooks->dissect ? 1u << KS_HOOK_DISSECT : 0) |
           (hooks->enrich ? 1u << KS_HOOK_ENRICH : 0) |
           (hooks->filter ? 1u << KS_HOOK_FILTER : 0) |
           (hooks->summarize ? 1u << KS_HOOK_SUMMARIZE : 0) |
           (hooks->render ? 1u << KS_HOOK_RENDER : 0) |
           (hooks->job ? 1u << KS_HOOK_JOB : 0) |
           (hooks->configure ? 1u << KS_HOOK_CONFIGURE : 0) |
           (hooks->start ? 1u << KS_HOOK_START : 0) |
           (hooks->stop ? 1u << KS_HOOK_STOP : 0);
}

#endif
