/* WebSocket behind its upgrade (RFC 6455): streams of whole messages, also in fragments.
 *
 * Left to the dissector: frames that are cut, masked the wrong way round or not in the shortest form, and what
 * may carry a protocol of its own. Payloads stay as they are: compressed ones are inflated when they are looked at.
 * Numbers: close code (0 without), opcode, bytes of the payload. Oracle: pipeline/dissectors/web/ws.py. */
#include "scan.h"

#define HTTP1_WS 3u /* the place of WebSocket among the protocols of an HTTP/1 stream: _scans.INSIDE */

#define WS_FINAL 0x80u
#define WS_RSV1 0x40u /* permessage-deflate, RFC 7692 */
#define WS_MASKED 0x80u
#define WS_CLOSE 8u
#define WS_MAX_CONTROL 125u

typedef struct {
    uint8_t opcode; /* 0: goes on with a message */
    bool is_final, is_compressed;
    uint8_t mask[4]; /* zeros for a server's */
    size_t payload, end;
} ws_frame;

/* Read the frame at data[at..]; false unless it is whole and as it should be. */
static bool read_ws_frame(const uint8_t *data, size_t length, size_t at, bool is_masked, ws_frame *frame) {
    if (length - at < 2) return false;
    uint8_t first = data[at], second = data[at + 1];
    *frame = (ws_frame){first & 15u, (first & WS_FINAL) != 0, (first & WS_RSV1) != 0, {0}, 0, 0};
    bool is_control = frame->opcode >= WS_CLOSE;
    if ((first & 0x30u) || ((second & WS_MASKED) != 0) != is_masked) return false;
    if (is_control ? frame->opcode > 10 || frame->is_compressed || !frame->is_final : frame->opcode > 2) return false;
    if (frame->opcode == 0 && frame->is_compressed) return false;
    uint64_t size = second & 127u;
    if (is_control && size > WS_MAX_CONTROL) return false;
    at += 2;
    if (size >= 126) {
        size_t bytes = size == 126 ? 2 : 8;
        if (length - at < bytes) return false;
        size = 0;
        for (size_t i = 0; i < bytes; i++) size = size << 8 | data[at + i];
        if (size < (bytes == 2 ? 126u : 1u << 16)) return false; /* RFC 6455 §5.2: the shortest form */
        at += bytes;
    }
    if (is_masked) {
        if (length - at < 4) return false;
        memcpy(frame->mask, data + at, 4);
        at += 4;
    }
    if (size > length - at) return false;
    frame->payload = at;
    frame->end = at + (size_t)size;
    return true;
}

/* May a side's first message begin MQTT, AMQP or NATS? The dissector's CARRIED, by the first byte. */
static bool may_carry(const uint8_t *data, const ws_frame *frame) {
    if (frame->is_compressed || frame->end == frame->payload) return false;
    uint8_t first = data[frame->payload] ^ frame->mask[0];
    return first == 0x10 || first == 'A' || first == 'I';
}

/* One message: `payload` bytes in frames that begin at `start`, the last of which is `last`. */
typedef struct {
    bool is_open; /* fragments are to follow */
    uint8_t opcode;
    size_t start, payload;
} ws_message;

static bool add_ws_message(kc_scan *scan, scan_stream *stream, uint32_t direction, const ws_message *found,
                           const ws_frame *last, size_t base) {
    kc_message *message = add_message(scan, stream, direction, found->start, last->end);
    if (!message) return false;
    message->start -= (uint32_t)base; /* in what was handed over */
    message->end -= (uint32_t)base;
    message->kind = direction ? KC_RESPONSE : KC_REQUEST;
    message->bits = KC_ONE_WAY;
    message->protocol = HTTP1_WS;
    message->number[1] = found->opcode;
    message->number[2] = (int32_t)found->payload; /* below MAX_SCANNED */
    if (found->opcode == WS_CLOSE && found->payload >= 2) {
        const uint8_t *code = stream->side[direction].data + last->payload;
        message->number[0] = (code[0] ^ last->mask[0]) << 8 | (code[1] ^ last->mask[1]);
    }
    return true;
}

static bool scan_ws_side(kc_scan *scan, scan_stream *stream, uint32_t direction, size_t at) {
    const uint8_t *data = stream->side[direction].data;
    size_t length = stream->side[direction].length, base = at;
    ws_message open = {0};
    bool has_data = false;
    while (at < length) {
        ws_frame frame;
        if (!read_ws_frame(data, length, at, direction == 0, &frame)) return false;
        ws_message found = {false, frame.opcode, at, frame.end - frame.payload};
        bool is_control = frame.opcode >= WS_CLOSE; /* may stand between fragments */
        if (!is_control) {
            if (open.is_open != (frame.opcode == 0)) return false;
            if (open.is_open) found = (ws_message){false, open.opcode, open.start, open.payload + found.payload};
            open = found;
            open.is_open = !frame.is_final;
        }
        if (!is_control && !has_data) {
            if (may_carry(data, &frame)) return false;
            has_data = frame.end > frame.payload;
        }
        if ((is_control || !open.is_open) && !add_ws_message(scan, stream, direction, &found, &frame, base)) return false;
        at = frame.end;
    }
    return !open.is_open;
}

/* Go on with a stream of which HTTP ends at `starts`. */
static bool scan_ws(kc_scan *scan, scan_stream *stream, const size_t starts[2]) {
    return begin_protocol(scan, PAIR_NONE) && scan_ws_side(scan, stream, 0, starts[0]) &&
           scan_ws_side(scan, stream, 1, starts[1]);
}
