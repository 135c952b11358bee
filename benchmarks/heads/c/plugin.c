#include "heads.h"

#include "kubeshark_plugin.h"

enum { F_METHOD, F_PATH, F_HOST, F_HEADERS, F_LENGTH };

static uint32_t dissect(const ks_item *item, ks_writer *out) {
    uint32_t at = 0;
    head found;
    while (head_parse(item->bytes.data + at, item->bytes.length - at, &found)) {
        const uint8_t *data = item->bytes.data + at;
        ks_bytes method = {data, found.method_end};
        ks_bytes path = {data + found.path, found.path_end - found.path};
        ks_bytes host = {data + found.host, found.host_end - found.host};
        ks_message(out, KS_REQUEST, at, at + found.end);
        ks_text(out, F_METHOD, method);
        ks_text(out, F_PATH, path);
        ks_text(out, F_HOST, host);
        ks_int(out, F_HEADERS, found.headers);
        ks_int(out, F_LENGTH, found.length);
        at += found.end;
    }
    return at;
}

const ks_plugin_hooks ks_plugin = {.dissect = dissect};
