#include "kubeshark_plugin.hpp"
#include <stdexcept>
#include <string>
struct Lines {
    static uint32_t dissect(const kubeshark::Item &item, kubeshark::Writer &out) {
        std::string text(item.text());
        if (text == "throw") throw std::runtime_error("no");
        out.message(KS_REQUEST, 0, item.length()).text(0, text + "!").key(7);
        return item.length();
    }
};
KUBESHARK_PLUGIN(Lines)
