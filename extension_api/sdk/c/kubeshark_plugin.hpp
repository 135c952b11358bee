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
// The hooks are the static member functions that the class has: probe(item), dissect(item, out), filter(index, values),
// render(request, response, out). An exception that leaves one ends the call: the item is marked as poison. Ownership and
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

template <class P> struct Hooks {
    template <class Q> static auto probe(int) -> decltype(Q::probe(std::declval<const Item &>()), std::true_type{});
    template <class Q> static std::false_type probe(...);
    template <class Q>
    static auto dissect(int) -> decltype(Q::dissect(std::declval<const Item &>(), std::declval<Writer &>()), std::true_type{});
    template <class Q> static std::false_type dissect(...);
    template <class Q> static auto filter(int) -> decltype(Q::filter(0u, std::declval<const ks_values &>()), std::true_type{});
    template <class Q> static std::false_type filter(...);
    template <class Q>
    static auto render(int) -> decltype(Q::render(std::declval<const Item &>(), std::declval<const Item &>(), std::declval<ks_render &>()), std::true_type{});
    template <class Q> static std::false_type render(...);

    // noexcept: an exception may not cross into C; std::terminate ends the process, and the host finds the item.
    static ks_verdict call_probe(const ks_item *item) noexcept { return P::probe(Item{*item}); }
    static uint32_t call_dissect(const ks_item *item, ks_writer *out) noexcept {
        Writer writer(out);
        return P::dissect(Item{*item}, writer);
    }
    static ks_truth call_filter(uint32_t index, const ks_values *values) noexcept { return P::filter(index, *values); }
    static bool call_render(const ks_item *request, const ks_item *response, ks_render *out) noexcept {
        return P::render(Item{*request}, Item{*response}, *out);
    }

    static constexpr ks_plugin_hooks table() {
        ks_plugin_hooks hooks{};
        if constexpr (decltype(probe<P>(0))::value) hooks.probe = call_probe;
        if constexpr (decltype(dissect<P>(0))::value) hooks.dissect = call_dissect;
        if constexpr (decltype(filter<P>(0))::value) hooks.filter = call_filter;
        if constexpr (decltype(render<P>(0))::value) hooks.render = call_render;
        return hooks;
    }
};

} // namespace kubeshark

#define KUBESHARK_PLUGIN(P) \
    extern "C" const ks_plugin_hooks ks_plugin; \
    const ks_plugin_hooks ks_plugin = kubeshark::Hooks<P>::table();

#endif
