// Write a kubeshark plugin in C++17: a class, instead of function pointers.
//
//     #include "kubeshark_plugin.hpp"
//     struct Lines {
//         static uint32_t dissect(const kubeshark::Item &item, kubeshark::Writer &out) {
//             auto text = item.text();
//             out.message(KS_REQUEST, 0, item.length()).text(0, text);
//             return item.length();
//         }
//     };
//     KUBESHARK_PLUGIN(Lines)
//
// The hooks are the static member functions that the class has, named as in kubeshark_hooks.h: probe(item),
// dissect(item, out), enrich(values, out), filter(index, values), render(request, response, out), … An exception that leaves one ends the call: the item is marked as poison. Ownership and
// lifetimes are those of kubeshark_plugin.h, whose functions work here too.
#ifndef KUBESHARK_PLUGIN_HPP
#define KUBESHARK_PLUGIN_HPP

#include <string_view>
#include <type_traits>
#include <utility>

#include "kubeshark_plugin.h"

namespace kubeshark {

inline std::string_view view(ks_bytes bytes) {
    return {reinterpret_cast<const char *>(bytes.data), bytes.length};
}

inline ks_bytes bytes(std::string_view text) { // longer than 4 GiB is no text of ours: nothing is given then
    if (text.size() > UINT32_MAX) return {nullptr, 0};
    return {reinterpret_cast<const uint8_t *>(text.data()), static_cast<uint32_t>(text.size())};
}

struct Item : ks_item {
    std::string_view text() const { return view(ks_item::bytes); }
    uint32_t length() const { return ks_item::bytes.length; }
    bool is_last() const { return flags & KS_LAST; }
};

class Writer {
  public:
    explicit Writer(ks_writer *out) : out_(out) {}
    Writer &message(ks_kind kind, uint32_t start, uint32_t end) { return ks_message(out_, kind, start, end), *this; }
    Writer &key(uint64_t value) { return ks_key(out_, value), *this; }
    Writer &one_way() { return ks_mark(out_, KS_ONE_WAY), *this; }
    Writer &number(uint16_t id, int64_t value) { return ks_int(out_, id, value), *this; }
    Writer &real(uint16_t id, double value) { return ks_double(out_, id, value), *this; }
    Writer &boolean(uint16_t id, bool value) { return ks_bool(out_, id, value), *this; }
    Writer &text(uint16_t id, std::string_view value) { return ks_text(out_, id, bytes(value)), *this; }
    Writer &blob(uint16_t id, std::string_view value) { return ks_blob(out_, id, bytes(value)), *this; }
    Writer &error(const char *text) { return ks_error(out_, text), *this; }
    ks_writer *raw() { return out_; }

  private:
    ks_writer *out_;
};

class Enrichment {
  public:
    explicit Enrichment(ks_enrichment *out) : out_(out) {}
    Enrichment &drop() { return ks_drop(out_), *this; }
    Enrichment &tag(const char *text) { return ks_tag(out_, text), *this; }
    Enrichment &text(const char *variable, std::string_view value) { return ks_set_text(out_, variable, bytes(value)), *this; }
    Enrichment &number(const char *variable, int64_t value) { return ks_set_int(out_, variable, value), *this; }
    Enrichment &boolean(const char *variable, bool value) { return ks_set_bool(out_, variable, value), *this; }
    Enrichment &redact(const char *path, const char *shown = "[redacted]") { return ks_redact(out_, path, shown), *this; }
    Enrichment &redact_text(std::string_view text, const char *shown = "[redacted]") {
        return ks_redact_text(out_, bytes(text), shown), *this;
    }
    ks_enrichment *raw() { return out_; }

  private:
    ks_enrichment *out_;
};

// The text, bytes or JSON at a position; empty where the value is of another type.
inline std::string_view text_of(const ks_values &values, uint32_t index) {
    ks_bytes found = {nullptr, 0};
    return ks_value_bytes(&values, index, &found) ? view(found) : std::string_view{};
}

inline int64_t int_of(const ks_values &values, uint32_t index) {
    int64_t found = 0;
    return ks_value_int(&values, index, &found) ? found : 0;
}

inline bool bool_of(const ks_values &values, uint32_t index) {
    bool found = false;
    return ks_value_bool(&values, index, &found) && found;
}

// made by scripts/generate_sdk.py: begin hooks
template <class P> struct Hooks {
    template <class Q> static auto has_packet_filter(int) -> decltype(Q::packet_filter(std::declval<const ks_packet &>()), std::true_type{});
    template <class Q> static std::false_type has_packet_filter(...);
    template <class Q> static auto has_segment_sealed(int) -> decltype(Q::segment_sealed(std::declval<const ks_segment &>(), std::declval<ks_report &>()), std::true_type{});
    template <class Q> static std::false_type has_segment_sealed(...);
    template <class Q> static auto has_probe(int) -> decltype(Q::probe(std::declval<const Item &>()), std::true_type{});
    template <class Q> static std::false_type has_probe(...);
    template <class Q> static auto has_dissect(int) -> decltype(Q::dissect(std::declval<const Item &>(), std::declval<Writer &>()), std::true_type{});
    template <class Q> static std::false_type has_dissect(...);
    template <class Q> static auto has_enrich(int) -> decltype(Q::enrich(std::declval<const ks_values &>(), std::declval<Enrichment &>()), std::true_type{});
    template <class Q> static std::false_type has_enrich(...);
    template <class Q> static auto has_filter(int) -> decltype(Q::filter(0u, std::declval<const ks_values &>()), std::true_type{});
    template <class Q> static std::false_type has_filter(...);
    template <class Q> static auto has_summarize(int) -> decltype(Q::summarize(std::declval<const ks_values &>(), std::declval<ks_cells &>()), std::true_type{});
    template <class Q> static std::false_type has_summarize(...);
    template <class Q> static auto has_render(int) -> decltype(Q::render(std::declval<const Item &>(), std::declval<const Item &>(), std::declval<ks_render &>()), std::true_type{});
    template <class Q> static std::false_type has_render(...);
    template <class Q> static auto has_job(int) -> decltype(Q::job(0u, int64_t{}, std::declval<ks_report &>()), std::true_type{});
    template <class Q> static std::false_type has_job(...);
    template <class Q> static auto has_configure(int) -> decltype(Q::configure(std::declval<const ks_values &>(), std::declval<ks_report &>()), std::true_type{});
    template <class Q> static std::false_type has_configure(...);
    template <class Q> static auto has_start(int) -> decltype(Q::start(std::declval<ks_report &>()), std::true_type{});
    template <class Q> static std::false_type has_start(...);
    template <class Q> static auto has_stop(int) -> decltype(Q::stop(std::declval<ks_report &>()), std::true_type{});
    template <class Q> static std::false_type has_stop(...);

    // noexcept: an exception may not cross into C. std::terminate ends the process, and the host finds
    // the item.
    static ks_packet_verdict call_packet_filter(const ks_packet *packet) noexcept { return P::packet_filter(*packet); }
    static void call_segment_sealed(const ks_segment *segment, ks_report *out) noexcept { P::segment_sealed(*segment, *out); }
    static ks_verdict call_probe(const ks_item *item) noexcept { return P::probe(Item{*item}); }
    static uint32_t call_dissect(const ks_item *item, ks_writer *out) noexcept {
        Writer writer(out);
        return P::dissect(Item{*item}, writer);
    }
    static void call_enrich(const ks_values *values, ks_enrichment *out) noexcept {
        Enrichment enrichment(out);
        P::enrich(*values, enrichment);
    }
    static ks_truth call_filter(uint32_t index, const ks_values *values) noexcept { return P::filter(index, *values); }
    static bool call_summarize(const ks_values *values, ks_cells *out) noexcept { return P::summarize(*values, *out); }
    static bool call_render(const ks_item *request, const ks_item *response, ks_render *out) noexcept {
        return P::render(Item{*request}, Item{*response}, *out);
    }
    static void call_job(uint32_t index, int64_t due_ns, ks_report *out) noexcept { P::job(index, due_ns, *out); }
    static void call_configure(const ks_values *settings, ks_report *out) noexcept { P::configure(*settings, *out); }
    static void call_start(ks_report *out) noexcept { P::start(*out); }
    static void call_stop(ks_report *out) noexcept { P::stop(*out); }

    static constexpr ks_plugin_hooks table() {
        ks_plugin_hooks hooks{};
        if constexpr (decltype(has_packet_filter<P>(0))::value) hooks.packet_filter = call_packet_filter;
        if constexpr (decltype(has_segment_sealed<P>(0))::value) hooks.segment_sealed = call_segment_sealed;
        if constexpr (decltype(has_probe<P>(0))::value) hooks.probe = call_probe;
        if constexpr (decltype(has_dissect<P>(0))::value) hooks.dissect = call_dissect;
        if constexpr (decltype(has_enrich<P>(0))::value) hooks.enrich = call_enrich;
        if constexpr (decltype(has_filter<P>(0))::value) hooks.filter = call_filter;
        if constexpr (decltype(has_summarize<P>(0))::value) hooks.summarize = call_summarize;
        if constexpr (decltype(has_render<P>(0))::value) hooks.render = call_render;
        if constexpr (decltype(has_job<P>(0))::value) hooks.job = call_job;
        if constexpr (decltype(has_configure<P>(0))::value) hooks.configure = call_configure;
        if constexpr (decltype(has_start<P>(0))::value) hooks.start = call_start;
        if constexpr (decltype(has_stop<P>(0))::value) hooks.stop = call_stop;
        return hooks;
    }
};
// made by scripts/generate_sdk.py: end hooks

} // namespace kubeshark

#define KUBESHARK_PLUGIN(P) \
    extern "C" const ks_plugin_hooks ks_plugin; \
    const ks_plugin_hooks ks_plugin = kubeshark::Hooks<P>::table();

#endif
