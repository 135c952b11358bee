#include "frame.h"

enum { REQUEST_HEADER = 32, RESULT_HEADER = 32 };
enum { INT = 0, DOUBLE = 1, BOOL = 2, ITEM_TEXT = 3, HEAP_TEXT = 4, HEAP_BYTES = 5, ITEM_BYTES = 6, HEAP_JSON = 7 };
enum { MANY_FIELDS = 64 }; /* of one message: more are left to the oracle */
static const uint32_t REQUEST_MAGIC = 0x3142534Bu;
static const uint32_t ERROR_FIELD = 0xFFFF, HAS_ERROR = 2;
static const uint64_t MAX_DECODED_BYTES = 32ull << 20; /* texts may overlap: bound their sum */

static inline uint64_t aligned(uint64_t size) { return (size + 7) & ~7ull; } /* sizes are far below 2^64 - 8 */

int kf_abi(void) { return KF_ABI; }

/* Return how many of the next items fit one frame: at least one. `count` is at least 1. */
uint64_t kf_cut(const uint32_t *lengths, uint64_t count, uint64_t max_items, uint64_t max_bytes) {
    uint64_t bytes = lengths[0], taken = 1;
    uint64_t limit = count < max_items ? count : max_items;
    while (taken < limit && bytes + lengths[taken] <= max_bytes) bytes += lengths[taken++];
    return taken;
}

/* Lay out a request: `items` name all but the offset, item i's payload is data[starts[i] : + length].
 * Return its bytes, 0 if it does not fit or an item lies outside of the data. */
uint64_t kf_encode(uint32_t hook, const kf_item *items, const uint64_t *starts, uint64_t count, const uint8_t *data,
                   uint64_t data_bytes, uint8_t *out, uint64_t capacity) {
    if (capacity > UINT32_MAX || capacity < REQUEST_HEADER || count > (capacity - REQUEST_HEADER) / sizeof(kf_item)) return 0;
    const uint64_t payload = REQUEST_HEADER + count * sizeof(kf_item);
    const uint64_t room = capacity - payload;
    uint64_t offset = 0;
    for (uint64_t i = 0; i < count; i++) {
        const uint64_t length = items[i].length;
        if (length > data_bytes || starts[i] > data_bytes - length) return 0;
        if (offset > room || aligned(length) > room - offset) return 0;
        uint8_t *const row = out + REQUEST_HEADER + i * sizeof(kf_item);
        const uint32_t place = (uint32_t)offset;
        memcpy(row, &items[i], sizeof(kf_item)); /* no copy on the stack, written and read again */
        memcpy(row, &place, sizeof place);
        if (length) memcpy(out + payload + offset, data + starts[i], length);
        offset += aligned(length);
    }
    const uint16_t abi = KF_ABI, number = (uint16_t)hook;
    const uint32_t rest[4] = {(uint32_t)count, 0, (uint32_t)payload, (uint32_t)(payload + offset)};
    memcpy(out, &REQUEST_MAGIC, 4);
    memcpy(out + 4, &abi, 2);
    memcpy(out + 6, &number, 2);
    memcpy(out + 8, rest, sizeof rest);
    memset(out + 24, 0, 8);
    return payload + offset;
}

/* Well-formed UTF-8 (Unicode 15, table 3-7), as Python's strict decoder takes it. */
static bool is_utf8(const uint8_t *text, uint64_t length) {
    uint64_t at = 0;
    while (at < length) {
        uint64_t word;
        if (length - at >= 8) {
            memcpy(&word, text + at, 8);
            if (!(word & 0x8080808080808080ull)) {
                at += 8;
                continue;
            }
        }
        const uint8_t c = text[at];
        if (c < 0x80) {
            at++;
            continue;
        }
        const uint64_t more = c >= 0xC2 && c <= 0xDF ? 1 : c >= 0xE0 && c <= 0xEF ? 2 : c >= 0xF0 && c <= 0xF4 ? 3 : 0;
        if (more == 0 || length - at <= more) return false;
        const uint8_t low = c == 0xE0 ? 0xA0 : c == 0xF0 ? 0x90 : 0x80, high = c == 0xED ? 0x9F : c == 0xF4 ? 0x8F : 0xBF;
        if (text[at + 1] < low || text[at + 1] > high) return false;
        for (uint64_t i = 2; i <= more; i++)
            if (text[at + i] < 0x80 || text[at + i] > 0xBF) return false;
        at += more + 1;
    }
    return true;
}

typedef struct {
    const uint8_t *heap;
    uint64_t heap_bytes, budget;
    bool has_json;
    uint32_t fields;              /* of the message before, 0 if it cannot stand for others */
    uint64_t heads[MANY_FIELDS]; /* of its fields: all but their values */
} reading;

static inline uint64_t word_at(const uint8_t *data) {
    uint64_t word;
    memcpy(&word, data, sizeof word);
    return word;
}

static inline bool good_value(reading *in, uint32_t type, uint64_t raw, uint32_t item_bytes) {
    if (type == INT) return true;
    if (type == DOUBLE) return (raw >> 52 & 0x7FF) != 0x7FF;
    if (type == BOOL) return raw <= 1;
    const bool inside = type == ITEM_TEXT || type == ITEM_BYTES;
    const uint64_t offset = raw & 0xFFFFFFFFu, length = raw >> 32, bytes = inside ? item_bytes : in->heap_bytes;
    if (offset + length > bytes || length > in->budget) return false;
    in->budget -= length;
    if (type == HEAP_JSON) in->has_json = true;
    return type != HEAP_TEXT || is_utf8(in->heap + offset, length);
}

/* Are these the fields that the message before had, but for their values? */
static inline bool same_heads(const reading *in, const uint8_t *fields, uint32_t count) {
    uint64_t differ = in->fields ^ count;
    for (uint32_t i = 0; i < count && !differ; i++) differ = in->heads[i] ^ word_at(fields + i * sizeof(kf_field));
    return !differ;
}

/* Ids and types of a message's fields; what is right is kept for the next one. `accepted[id]` has a bit for each type
 * that the manifest's field may have. */
static bool good_heads(reading *in, const uint8_t *fields, const kf_message *message, const uint8_t *accepted,
                       uint32_t types) {
    bool error = false;
    uint64_t seen = 0; /* ids; those from 63 on share a bit and are left to the oracle */
    in->fields = 0;
    for (uint32_t i = 0; i < message->fields; i++) {
        kf_field field;
        memcpy(&field, fields + i * sizeof field, sizeof field);
        if (field.zero || field.zeros || field.type > HEAP_JSON) return false;
        uint32_t allowed = 1u << ITEM_TEXT | 1u << HEAP_TEXT;
        uint64_t bit = 1ull << 63;
        if (field.id != ERROR_FIELD) {
            if (field.id >= types || field.id >= 63) return false;
            allowed = accepted[field.id];
            bit = 1ull << field.id;
        } else {
            error = field.value >> 32 != 0;
        }
        if (seen & bit || !(allowed >> field.type & 1)) return false;
        seen |= bit;
        in->heads[i] = word_at(fields + i * sizeof field);
    }
    if (!(seen >> 63)) in->fields = message->fields; /* an error is more than its id and type */
    return error == ((message->flags & HAS_ERROR) != 0);
}

/* The fields of one message. Most messages of a frame have the same ones: those are compared, not looked up. */
static bool good_fields(reading *in, const uint8_t *fields, const kf_message *message, uint32_t item_bytes,
                        const uint8_t *accepted, uint32_t types) {
    if (message->fields > MANY_FIELDS) return false;
    if (message->flags & HAS_ERROR || !same_heads(in, fields, message->fields))
        if (!good_heads(in, fields, message, accepted, types)) return false;
    for (uint32_t i = 0; i < message->fields; i++) {
        const uint8_t *field = fields + i * sizeof(kf_field);
        if (!good_value(in, field[2], word_at(field + 8), item_bytes)) return false;
    }
    return true;
}

/* Look at a result of `dissect` behind its header, which the caller checked. KF_GOOD: the oracle would take it, too.
 * KF_WRONG: it need not. KF_JSON: the same as good, but for the JSON in its heap, which nobody read. */
int kf_check(const uint8_t *result, uint64_t bytes, const uint32_t *lengths, uint32_t items, const uint8_t *accepted,
             uint32_t types) {
    uint32_t head[8];
    if (bytes < RESULT_HEADER) return KF_WRONG;
    memcpy(head, result, sizeof head);
    const uint64_t messages = head[3], fields = head[4], heap_bytes = head[5];
    const uint64_t consumed_at = RESULT_HEADER, messages_at = consumed_at + aligned(4ull * items);
    const uint64_t fields_at = messages_at + messages * sizeof(kf_message);
    const uint64_t heap_at = fields_at + fields * sizeof(kf_field); /* < 2^38: cannot wrap */
    if (heap_at > bytes || heap_bytes > bytes - heap_at) return KF_WRONG;
    for (uint32_t i = 0; i < items; i++) {
        uint32_t count;
        memcpy(&count, result + consumed_at + 4ull * i, 4);
        if (count > lengths[i]) return KF_WRONG;
    }
    reading in = {.heap = result + heap_at, .heap_bytes = heap_bytes, .budget = MAX_DECODED_BYTES};
    uint32_t last_item = 0, last_start = 0, next = 0;
    for (uint64_t i = 0; i < messages; i++) {
        kf_message m;
        uint32_t count;
        memcpy(&m, result + messages_at + i * sizeof m, sizeof m);
        if (m.item >= items || m.kind > 2 || m.flags > 7 || m.reserved) return KF_WRONG;
        memcpy(&count, result + consumed_at + 4ull * m.item, 4);
        if (m.start > m.end || m.end > count) return KF_WRONG;
        if (m.item < last_item || (m.item == last_item && m.start < last_start)) return KF_WRONG;
        if (m.first_field != next || m.fields > fields - next) return KF_WRONG;
        if (!good_fields(&in, result + fields_at + (uint64_t)next * sizeof(kf_field), &m, lengths[m.item], accepted, types))
            return KF_WRONG;
        next += m.fields;
        last_item = m.item;
        last_start = m.start;
    }
    if (next != fields) return KF_WRONG;
    return in.has_json ? KF_JSON : KF_GOOD;
}
