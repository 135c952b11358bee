/* Header blocks of HTTP/2 (RFC 7541), also where the capture missed the first ones.
 *
 * Values are kept of the fields that scanners ask for (hpack_kind), of others their sizes. Like the dissector's, this
 * table knows no agreed size: it forgets what is older than HPACK_TABLE bytes, and an index beyond it means an entry
 * that was not seen. Left to the dissector: what is malformed or long. Oracle: pipeline/dissectors/web/_hpack.py. */
#include "scan.h"

#define HPACK_TABLE (64u << 10)     /* the dissector's MAX_TABLE */
#define HPACK_LIST (64u << 10)      /* the dissector's MAX_LIST: bytes of names and values in a block */
#define HPACK_ENTRIES 2048u         /* HPACK_TABLE / HPACK_OVERHEAD, a power of two */
#define HPACK_UNKNOWN 9u            /* length of the dissector's "<unknown>", name or value */
#define HPACK_OVERHEAD 32u          /* RFC 7541 §4.1 */
#define HPACK_CODED (16u << 10)     /* bytes of a string as it is coded */
#define HPACK_STRING (26u << 10)    /* … decoded: the shortest codes have 5 bits */
#define HPACK_KEPT (128u << 10)     /* ring of values in the table: HPACK_TABLE, one that does not fit, a new one */
#define HPACK_MAX_INTEGER 0x200000u /* three bytes behind the prefix */

typedef enum {
    HPACK_OTHER,
    HPACK_METHOD,
    HPACK_PATH,
    HPACK_AUTHORITY,
    HPACK_STATUS,
    HPACK_HOST,
    HPACK_CONTENT_TYPE,
    HPACK_CONTENT_ENCODING,
    HPACK_GRPC_STATUS,
    HPACK_GRPC_MESSAGE,
    HPACK_KINDS
} hpack_kind;

static const char *const hpack_names[HPACK_KINDS] = {
    [HPACK_METHOD] = ":method",
    [HPACK_PATH] = ":path",
    [HPACK_AUTHORITY] = ":authority",
    [HPACK_STATUS] = ":status",
    [HPACK_HOST] = "host",
    [HPACK_CONTENT_TYPE] = "content-type",
    [HPACK_CONTENT_ENCODING] = "content-encoding",
    [HPACK_GRPC_STATUS] = "grpc-status",
    [HPACK_GRPC_MESSAGE] = "grpc-message",
};

typedef struct {
    const uint8_t *at;
    uint32_t length;
} hpack_string;

typedef struct {
    hpack_string value; /* of HPACK_OTHER only the length counts */
    uint32_t name_length;
    hpack_kind kind;
    bool is_pseudo; /* the name begins with a colon */
    bool is_text;   /* the value is ASCII without NUL */
} hpack_field;

typedef struct {
    hpack_field entries[HPACK_ENTRIES]; /* a ring; `count` entries, the newest at `newest` */
    uint32_t newest, count;
    bool is_complete; /* every entry that can be asked for was seen */
    size_t size; /* RFC 7541 §4.1 */
    size_t kept; /* where the next value goes in `values` */
    uint8_t values[HPACK_KEPT];
    uint8_t name[HPACK_STRING], value[HPACK_STRING]; /* of the field that is read */
} hpack_decoder;

/* Codes of one length follow one another, by symbol (RFC 7541, appendix B): a code is one of this length if, at the
 * left of 32 bits, it is below `end`. */
static const struct {
    uint32_t start, end;
    uint8_t length, first; /* place in hpack_symbols */
} hpack_lengths[] = {
    {0x00000000, 0x50000000, 5, 0},
    {0x50000000, 0xb8000000, 6, 10},
    {0xb8000000, 0xf8000000, 7, 36},
    {0xf8000000, 0xfe000000, 8, 68},
    {0xfe000000, 0xff400000, 10, 74},
    {0xff400000, 0xffa00000, 11, 79},
    {0xffa00000, 0xffc00000, 12, 82},
    {0xffc00000, 0xfff00000, 13, 84},
    {0xfff00000, 0xfff80000, 14, 90},
    {0xfff80000, 0xfffe0000, 15, 92},
    {0xfffe0000, 0xfffe6000, 19, 95},
    {0xfffe6000, 0xfffee000, 20, 98},
    {0xfffee000, 0xffff4800, 21, 106},
    {0xffff4800, 0xffffb000, 22, 119},
    {0xffffb000, 0xffffea00, 23, 145},
    {0xffffea00, 0xfffff600, 24, 174},
    {0xfffff600, 0xfffff800, 25, 186},
    {0xfffff800, 0xfffffbc0, 26, 190},
    {0xfffffbc0, 0xfffffe20, 27, 205},
    {0xfffffe20, 0xfffffff0, 28, 224},
    {0xfffffff0, 0xfffffffc, 30, 253},
};

static const uint8_t hpack_symbols[256] = {
    48, 49, 50, 97, 99, 101, 105, 111, 115, 116, 32, 37, 45, 46, 47, 51, 52, 53, 54, 55, 56, 57, 61, 65, 95, 98, 100,
    102, 103, 104, 108, 109, 110, 112, 114, 117, 58, 66, 67, 68, 69, 70, 71, 72, 73, 74, 75, 76, 77, 78, 79, 80, 81,
    82, 83, 84, 85, 86, 87, 89, 106, 107, 113, 118, 119, 120, 121, 122, 38, 42, 44, 59, 88, 90, 33, 34, 40, 41, 63,
    39, 43, 124, 35, 62, 0, 36, 64, 91, 93, 126, 94, 125, 60, 96, 123, 92, 195, 208, 128, 130, 131, 162, 184, 194,
    224, 226, 153, 161, 167, 172, 176, 177, 179, 209, 216, 217, 227, 229, 230, 129, 132, 133, 134, 136, 146, 154, 156,
    160, 163, 164, 169, 170, 173, 178, 181, 185, 186, 187, 189, 190, 196, 198, 228, 232, 233, 1, 135, 137, 138, 139,
    140, 141, 143, 147, 149, 150, 151, 152, 155, 157, 158, 165, 166, 168, 174, 175, 180, 182, 183, 188, 191, 197, 231,
    239, 9, 142, 144, 145, 148, 159, 171, 206, 215, 225, 236, 237, 199, 207, 234, 235, 192, 193, 200, 201, 202, 205,
    210, 213, 218, 219, 238, 240, 242, 243, 255, 203, 204, 211, 212, 214, 221, 222, 223, 241, 244, 245, 246, 247, 248,
    250, 251, 252, 253, 254, 2, 3, 4, 5, 6, 7, 8, 11, 12, 14, 15, 16, 17, 18, 19, 20, 21, 23, 24, 25, 26, 27, 28, 29,
    30, 31, 127, 220, 249, 10, 13, 22,
};

/* RFC 7541, appendix A, from index 1 on. */
static const struct {
    const char *name, *value;
} hpack_static[] = {
    {":authority", ""}, {":method", "GET"}, {":method", "POST"}, {":path", "/"}, {":path", "/index.html"},
    {":scheme", "http"}, {":scheme", "https"}, {":status", "200"}, {":status", "204"}, {":status", "206"},
    {":status", "304"}, {":status", "400"}, {":status", "404"}, {":status", "500"}, {"accept-charset", ""},
    {"accept-encoding", "gzip, deflate"}, {"accept-language", ""}, {"accept-ranges", ""}, {"accept", ""},
    {"access-control-allow-origin", ""}, {"age", ""}, {"allow", ""}, {"authorization", ""}, {"cache-control", ""},
    {"content-disposition", ""}, {"content-encoding", ""}, {"content-language", ""}, {"content-length", ""},
    {"content-location", ""}, {"content-range", ""}, {"content-type", ""}, {"cookie", ""}, {"date", ""}, {"etag", ""},
    {"expect", ""}, {"expires", ""}, {"from", ""}, {"host", ""}, {"if-match", ""}, {"if-modified-since", ""},
    {"if-none-match", ""}, {"if-range", ""}, {"if-unmodified-since", ""}, {"last-modified", ""}, {"link", ""},
    {"location", ""}, {"max-forwards", ""}, {"proxy-authenticate", ""}, {"proxy-authorization", ""}, {"range", ""},
    {"referer", ""}, {"refresh", ""}, {"retry-after", ""}, {"server", ""}, {"set-cookie", ""},
    {"strict-transport-security", ""}, {"transfer-encoding", ""}, {"user-agent", ""}, {"vary", ""}, {"via", ""},
    {"www-authenticate", ""},
};

static void hpack_reset(hpack_decoder *decoder, bool is_complete) {
    decoder->newest = decoder->count = 0;
    decoder->size = decoder->kept = 0;
    decoder->is_complete = is_complete;
}

/* Decode Huffman code (RFC 7541 §5.2) to `out` of HPACK_STRING bytes; false unless it is well-formed. */
static bool hpack_unhuffman(const uint8_t *data, size_t length, uint8_t *out, uint32_t *out_length) {
    uint64_t window = 0; /* the next `bits` bits, at the right */
    uint32_t bits = 0, size = 0;
    const uint8_t *end = data + length;
    for (;;) {
        while (bits <= 32 && data < end) window = window << 8 | *data++, bits += 8;
        uint32_t next = bits >= 32 ? (uint32_t)(window >> (bits - 32))
                                   : (uint32_t)(window << (32 - bits)) | (uint32_t)((UINT64_C(1) << (32 - bits)) - 1);
        size_t step = 0, steps = sizeof hpack_lengths / sizeof *hpack_lengths;
        while (step < steps && next >= hpack_lengths[step].end) step++;
        if (step == steps || hpack_lengths[step].length > bits) { /* padding: less than a byte of ones */
            *out_length = size;
            return bits < 8 && (window & ((1u << bits) - 1)) == (1u << bits) - 1;
        }
        uint32_t code = (next - hpack_lengths[step].start) >> (32 - hpack_lengths[step].length);
        out[size++] = hpack_symbols[hpack_lengths[step].first + code];
        bits -= hpack_lengths[step].length;
    }
}

/* An integer with a prefix of so many bits (RFC 7541 §5.1). */
static bool hpack_integer(const uint8_t *data, size_t length, size_t *at, uint32_t bits, uint32_t *out) {
    uint32_t limit = (1u << bits) - 1, value = data[*at] & limit;
    ++*at;
    for (uint32_t shift = 0; value >= limit; shift += 7) {
        if (*at >= length || shift > 14) return false;
        uint8_t byte = data[(*at)++];
        value += (byte & 0x7Fu) << shift;
        if (byte < 0x80) break;
    }
    *out = value;
    return value <= HPACK_MAX_INTEGER;
}

/* A string literal; `room` is for one that is coded. */
static bool hpack_literal(const uint8_t *data, size_t length, size_t *at, uint8_t *room, hpack_string *out) {
    if (*at >= length) return false;
    bool is_coded = (data[*at] & 0x80) != 0;
    uint32_t size;
    if (!hpack_integer(data, length, at, 7, &size) || size > HPACK_CODED || size > length - *at) return false;
    *out = (hpack_string){data + *at, size};
    *at += size;
    if (!is_coded) return true;
    out->at = room;
    return hpack_unhuffman(data + *at - size, size, room, &out->length);
}

static hpack_kind hpack_kind_of(const uint8_t *name, size_t length) {
    for (int kind = HPACK_OTHER + 1; kind < HPACK_KINDS; kind++) {
        const char *known = hpack_names[kind];
        if (known[0] == (char)name[0] && strlen(known) == length && memcmp(known, name, length) == 0) {
            return (hpack_kind)kind;
        }
    }
    return HPACK_OTHER;
}

/* Look an index up (RFC 7541 §2.3.3); false if there cannot be such an entry. */
static bool hpack_entry(const hpack_decoder *decoder, uint32_t index, hpack_field *out) {
    uint32_t known = sizeof hpack_static / sizeof *hpack_static;
    if (index == 0) return false;
    if (index <= known) {
        const uint8_t *name = (const uint8_t *)hpack_static[index - 1].name;
        const uint8_t *value = (const uint8_t *)hpack_static[index - 1].value;
        uint32_t length = (uint32_t)strlen(hpack_static[index - 1].name);
        *out = (hpack_field){{value, (uint32_t)strlen(hpack_static[index - 1].value)}, length, HPACK_OTHER, false, true};
        out->kind = hpack_kind_of(name, length);
        out->is_pseudo = *name == ':';
        return true;
    }
    index -= known + 1;
    if (index >= decoder->count) {
        *out = (hpack_field){{NULL, HPACK_UNKNOWN}, HPACK_UNKNOWN, HPACK_OTHER, false, true};
        return !decoder->is_complete;
    }
    *out = decoder->entries[(decoder->newest - index) & (HPACK_ENTRIES - 1)];
    return true;
}

/* Add a field to the table; its value, if it may be asked for, moves to the ring unless it lies in the stream. */
static void hpack_add(hpack_decoder *decoder, const hpack_field *field) {
    hpack_field entry = *field;
    if (entry.kind != HPACK_OTHER && entry.value.at == decoder->value) {
        if (entry.value.length > HPACK_KEPT - decoder->kept) decoder->kept = 0;
        uint8_t *kept = decoder->values + decoder->kept;
        memcpy(kept, entry.value.at, entry.value.length);
        decoder->kept += entry.value.length;
        entry.value.at = kept;
    }
    decoder->size += entry.name_length + entry.value.length + HPACK_OVERHEAD;
    while (decoder->count && decoder->size > HPACK_TABLE) {
        const hpack_field *oldest = &decoder->entries[(decoder->newest - decoder->count + 1) & (HPACK_ENTRIES - 1)];
        decoder->size -= oldest->name_length + oldest->value.length + HPACK_OVERHEAD;
        decoder->count--;
        decoder->is_complete = false;
    }
    decoder->newest = (decoder->newest + 1) & (HPACK_ENTRIES - 1);
    decoder->entries[decoder->newest] = entry;
    decoder->count++;
}

/* Read one representation (RFC 7541 §6) at data[*at]; `is_field` is false of a new table size. The value is valid until
 * the next call. */
static bool hpack_next(hpack_decoder *decoder, const uint8_t *data, size_t length, size_t *at, hpack_field *out,
                       bool *is_field) {
    uint8_t first = data[*at];
    uint32_t index;
    *is_field = true;
    if (first & 0x80) return hpack_integer(data, length, at, 7, &index) && hpack_entry(decoder, index, out);
    if ((first & 0xE0) == 0x20) {
        *is_field = false;
        return hpack_integer(data, length, at, 5, &index);
    }
    bool is_added = (first & 0x40) != 0;
    if (!hpack_integer(data, length, at, is_added ? 6 : 4, &index)) return false;
    if (index) {
        if (!hpack_entry(decoder, index, out)) return false;
    } else {
        hpack_string name;
        if (!hpack_literal(data, length, at, decoder->name, &name)) return false;
        out->kind = name.length ? hpack_kind_of(name.at, name.length) : HPACK_OTHER;
        out->name_length = name.length;
        out->is_pseudo = name.length && *name.at == ':';
    }
    if (!hpack_literal(data, length, at, decoder->value, &out->value)) return false;
    out->is_text = true;
    for (uint32_t i = 0; i < out->value.length; i++) out->is_text &= out->value.at[i] && out->value.at[i] < 0x80;
    if (is_added) hpack_add(decoder, out);
    return true;
}
