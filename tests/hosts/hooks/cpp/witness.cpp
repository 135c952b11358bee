#include "kubeshark_plugin.hpp"

#include <string>

namespace {

std::string word;
bool loud = false;

void say(ks_report &out, const std::string &line) { ks_log(&out, kubeshark::bytes(line)); }

struct Witness {
    static ks_packet_verdict packet_filter(const ks_packet &packet) {
        auto data = kubeshark::view(packet.bytes);
        if (packet.link_type != 1 || data.size() > packet.length) return KS_DROP_PACKET;
        if (data.substr(0, 1) == "\xdd") return KS_DROP_PACKET;
        return data.substr(0, 1) == "\xaa" ? KS_MARK_PACKET : KS_KEEP;
    }

    static void segment_sealed(const ks_segment &segment, ks_report &out) {
        say(out, "sealed " + std::string(kubeshark::view(segment.name)) + " of " +
                     std::string(kubeshark::view(segment.source)) + ": " + std::to_string(segment.packets) +
                     " packets, " + std::to_string(segment.stored_bytes) + " bytes");
        if (segment.packets == 13) ks_refuse(&out, "bad luck");
    }

    static void enrich(const ks_values &values, kubeshark::Enrichment &out) {
        auto method = kubeshark::text_of(values, 0);
        if (method == "DELETE") {
            out.drop();
            return;
        }
        for (volatile bool loops = method == "LOOP"; loops;) {}
        if (method == "INDEX") out.redact("src.ip");
        bool seen = kubeshark::text_of(values, 3).find("\"protocol\"") != std::string_view::npos &&
                    kubeshark::text_of(values, 2) != "unseen";
        out.tag("seen")
            .number("witness_length", static_cast<int64_t>(kubeshark::text_of(values, 1).size()))
            .text("witness_word", loud ? word : "")
            .boolean("witness_seen", seen)
            .redact("request.headers[\"authorization\"]")
            .redact("request.postData.text.user.password", "[gone]")
            .redact_text(word);
    }

    static ks_truth filter(uint32_t, const ks_values &values) {
        return kubeshark::text_of(values, 0) == kubeshark::text_of(values, 1) ? KS_TRUE : KS_FALSE;
    }

    static bool summarize(const ks_values &values, ks_cells &out) {
        auto method = kubeshark::text_of(values, 0);
        if (method.empty()) return false;
        ks_cell_method(&out, kubeshark::bytes(method), "method");
        ks_cell_summary(&out, kubeshark::bytes(kubeshark::text_of(values, 1)), "url");
        ks_cell_status(&out, kubeshark::int_of(values, 2), "status_code");
        return true;
    }

    static void job(uint32_t index, int64_t due_ns, ks_report &out) {
        if (index != 1) return;
        say(out, "tick " + std::to_string(due_ns));
        if (due_ns == 13) ks_refuse(&out, "not today");
    }

    static void configure(const ks_values &settings, ks_report &out) {
        word = kubeshark::text_of(settings, 0);
        loud = kubeshark::bool_of(settings, 2);
        if (word == "refuse") ks_refuse(&out, "that word is taken");
        say(out, "word " + word + ", limit " + std::to_string(kubeshark::int_of(settings, 1)));
    }

    static void start(ks_report &out) { say(out, "started"); }
    static void stop(ks_report &out) { say(out, "stopped"); }
};

} // namespace

KUBESHARK_PLUGIN(Witness)
