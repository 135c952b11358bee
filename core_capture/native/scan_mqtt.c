/* MQTT 3.1, 3.1.1 and 5 (OASIS): streams of whole control packets, also without their CONNECT.
 *
 * Left to the dissector: a CONNECT anywhere but first, topic aliases, PUBREL with a reason, and whatever is malformed.
 * Numbers: version and, from bit 8, type; QoS and, as bit 2, retain; reason code. Texts: topic, client's name. Key: the
 * asker, the type asked with and the packet identifier. Oracle: pipeline/dissectors/messaging/mqtt.py, _mqtt_packet.py
 * and _mqtt_properties.py. */
#include "scan.h"

#define MQTT_PORT 1883u
#define MQTT_PROBED 512u       /* PROBED of mqtt.py */
#define MQTT_REPEATED 1024u    /* its REPEATED: a client's name beyond it is cut in most messages */
#define MQTT_SOUND 1024u       /* SOUND_TOPIC of _mqtt_packet.py */
#define MQTT_TOPICS 1000u      /* its MAX_TOPICS */
#define MQTT_HEAD 70000u       /* its MAX_HEAD */
#define MQTT_BODY (1u << 20)   /* its MAX_BODY */
#define MQTT_GUESSED 50u       /* packets that its guess_version looks at */
#define MQTT_FAILED 0x80u

enum {
    MQTT_CONNECT = 1, MQTT_CONNACK, MQTT_PUBLISH, MQTT_PUBACK, MQTT_PUBREC, MQTT_PUBREL, MQTT_PUBCOMP, MQTT_SUBSCRIBE,
    MQTT_SUBACK, MQTT_UNSUBSCRIBE, MQTT_UNSUBACK, MQTT_PINGREQ, MQTT_PINGRESP, MQTT_DISCONNECT, MQTT_AUTH
};

typedef struct {
    const uint8_t *at;
    size_t left;
} mqtt_cursor;

typedef struct {
    size_t start, body, end;
    uint8_t type, flags, version, qos;
    uint8_t reason;
    uint16_t id;
    scan_word topic, client, assigned;
    bool has_alias;
} mqtt_packet;

static bool take_bytes(mqtt_cursor *cursor, size_t count, const uint8_t **out) {
    if (cursor->left < count) return false;
    *out = cursor->at;
    cursor->at += count;
    cursor->left -= count;
    return true;
}

static bool take_number(mqtt_cursor *cursor, size_t size, uint32_t *out) {
    const uint8_t *bytes;
    if (!take_bytes(cursor, size, &bytes)) return false;
    for (*out = 0; size; size--) *out = *out << 8 | *bytes++;
    return true;
}

/* Seven bits a byte, low ones first, at most four bytes. */
static bool take_variable(mqtt_cursor *cursor, uint32_t *out) {
    *out = 0;
    for (unsigned shift = 0; shift < 28; shift += 7) {
        uint32_t byte;
        if (!take_number(cursor, 1, &byte)) return false;
        *out |= (byte & 0x7F) << shift;
        if (byte < 0x80) return true;
    }
    return false;
}

static bool take_string(mqtt_cursor *cursor, scan_word *out) {
    uint32_t length;
    if (!take_number(cursor, 2, &length) || !take_bytes(cursor, length, &out->bytes)) return false;
    out->length = length;
    return true;
}

/* Walk a property list; notes an assigned client's name and a topic alias. */
static bool take_properties(mqtt_cursor *cursor, mqtt_packet *packet) {
    /* By identifier: bytes of a number, or a variable number, strings, a pair of strings; 0 is no property. */
    enum { VARIABLE = 5, STRING, PAIR };
    static const uint8_t kinds[0x2B] = {
        [0x01] = 1,      [0x02] = 4,      [0x03] = STRING, [0x08] = STRING, [0x09] = STRING, [0x0B] = VARIABLE,
        [0x11] = 4,      [0x12] = STRING, [0x13] = 2,      [0x15] = STRING, [0x16] = STRING, [0x17] = 1,
        [0x18] = 4,      [0x19] = 1,      [0x1A] = STRING, [0x1C] = STRING, [0x1F] = STRING, [0x21] = 2,
        [0x22] = 2,      [0x23] = 2,      [0x24] = 1,      [0x25] = 1,      [0x26] = PAIR,   [0x27] = 4,
        [0x28] = 1,      [0x29] = 1,      [0x2A] = 1,
    };
    uint32_t size, number, ignored;
    mqtt_cursor inner;
    if (!take_variable(cursor, &size) || !take_bytes(cursor, size, &inner.at)) return false;
    for (inner.left = size; inner.left;) {
        if (!take_variable(&inner, &number) || number >= sizeof kinds) return false;
        scan_word value = {NULL, 0};
        switch (kinds[number]) {
            case 0: return false;
            case VARIABLE:
                if (!take_variable(&inner, &ignored)) return false;
                break;
            case PAIR:
                if (!take_string(&inner, &value) || !take_string(&inner, &value)) return false;
                break;
            case STRING:
                if (!take_string(&inner, &value)) return false;
                break;
            default:
                if (!take_number(&inner, kinds[number], &ignored)) return false;
        }
        if (number == 0x12 && !packet->assigned.bytes) packet->assigned = value;
        if (number == 0x23) packet->has_alias = true;
    }
    return true;
}

static bool is_mqtt_name(const uint8_t *data, size_t length) {
    return (length >= 6 && memcmp(data, "\0\4MQTT", 6) == 0) || (length >= 8 && memcmp(data, "\0\6MQIsdp", 8) == 0);
}

static bool read_connect(mqtt_cursor *cursor, mqtt_packet *packet) {
    const uint8_t *skipped;
    uint32_t level, flags, keep_alive;
    scan_word ignored;
    if (!is_mqtt_name(cursor->at, cursor->left) || !take_bytes(cursor, 2u + cursor->at[1], &skipped)) return false;
    if (!take_number(cursor, 1, &level) || !take_number(cursor, 1, &flags) || !take_number(cursor, 2, &keep_alive)) {
        return false;
    }
    packet->version = level & 0x7F;
    bool is_new = packet->version == 5;
    if ((is_new && !take_properties(cursor, packet)) || !take_string(cursor, &packet->client)) return false;
    if (flags & 0x04) {
        if (is_new && !take_properties(cursor, packet)) return false;
        if (!take_string(cursor, &ignored) || !take_string(cursor, &ignored)) return false;
    }
    if ((flags & 0x80) && !take_string(cursor, &ignored)) return false;
    if ((flags & 0x40) && !take_string(cursor, &ignored)) return false;
    return packet->version != 0;
}

/* A reason code and properties, both of which may be left out at the end. */
static bool read_reason(mqtt_cursor *cursor, mqtt_packet *packet) {
    uint32_t reason;
    if (!cursor->left) return true;
    if (!take_number(cursor, 1, &reason)) return false;
    packet->reason = (uint8_t)reason;
    return !cursor->left || take_properties(cursor, packet);
}

static bool read_topics(mqtt_cursor *cursor, mqtt_packet *packet) {
    size_t count = 0;
    for (; cursor->left; count++) {
        scan_word topic;
        uint32_t options = 0;
        if (count == MQTT_TOPICS || !take_string(cursor, &topic)) return false;
        if (packet->type == MQTT_SUBSCRIBE && !take_number(cursor, 1, &options)) return false;
        if (count == 0) packet->topic = topic, packet->qos = options & 3;
    }
    return count > 0;
}

static bool is_acknowledgement(uint8_t type) { return type >= MQTT_PUBACK && type <= MQTT_PUBCOMP; }

/* Read a packet's fields as its version has them; the dissector's parse without an error. */
static bool read_fields(const uint8_t *data, mqtt_packet *packet) {
    size_t limit = packet->type == MQTT_PUBLISH ? MQTT_HEAD : MQTT_BODY, length = packet->end - packet->body;
    mqtt_cursor cursor = {data + packet->body, length < limit ? length : limit};
    bool is_new = packet->version == 5;
    uint32_t number;
    switch (packet->type) {
        case MQTT_CONNECT: return read_connect(&cursor, packet);
        case MQTT_PUBLISH:
            packet->qos = packet->flags >> 1 & 3;
            if (!take_string(&cursor, &packet->topic)) return false;
            if (packet->qos) {
                if (!take_number(&cursor, 2, &number)) return false;
                packet->id = (uint16_t)number;
            }
            return !is_new || take_properties(&cursor, packet);
        case MQTT_CONNACK:
            if (!take_number(&cursor, 2, &number)) return false;
            packet->reason = (uint8_t)number;
            return !is_new || !cursor.left || take_properties(&cursor, packet);
        case MQTT_DISCONNECT: case MQTT_AUTH: return read_reason(&cursor, packet);
        case MQTT_PINGREQ: case MQTT_PINGRESP: return true;
        default: break;
    }
    if (length > limit || !take_number(&cursor, 2, &number)) return false;
    packet->id = (uint16_t)number;
    if (is_acknowledgement(packet->type)) return read_reason(&cursor, packet);
    if (is_new && !take_properties(&cursor, packet)) return false;
    if (packet->type == MQTT_SUBSCRIBE || packet->type == MQTT_UNSUBSCRIBE) return read_topics(&cursor, packet);
    for (size_t i = 0; i < cursor.left && i < MQTT_TOPICS && packet->reason < MQTT_FAILED; i++) {
        if (i == 0 || cursor.at[i] >= MQTT_FAILED) packet->reason = cursor.at[i];
    }
    return true;
}

/* The fixed header at data[at], of a packet that is whole and whose flags fit its type. */
static bool read_header_at(const uint8_t *data, size_t length, size_t at, mqtt_packet *packet) {
    uint8_t type = data[at] >> 4, flags = data[at] & 15;
    bool is_good = type == MQTT_PUBLISH ? (flags & 6) != 6
                   : type == MQTT_PUBREL || type == MQTT_SUBSCRIBE || type == MQTT_UNSUBSCRIBE ? (flags & 7) == 2
                                                                                             : type > 0 && flags == 0;
    mqtt_cursor cursor = {data + at + 1, length - at - 1};
    uint32_t size;
    if (!is_good || !take_variable(&cursor, &size) || cursor.left < size) return false;
    *packet = (mqtt_packet){.start = at, .body = length - cursor.left, .type = type, .flags = flags};
    packet->end = packet->body + size;
    return true;
}

/* May a packet whose fields are whole begin a side whose start was not captured? The dissector's is_sound. */
static bool is_sound(const uint8_t *data, const mqtt_packet *packet) {
    size_t length = packet->end - packet->body;
    switch (packet->type) {
        case MQTT_PINGREQ: case MQTT_PINGRESP: return length == 0;
        case MQTT_PUBLISH:
            for (size_t i = 0; i < packet->topic.length; i++) {
                if (packet->topic.bytes[i] < ' ' || packet->topic.bytes[i] == 0x7F) return false;
            }
            return packet->topic.length > 0 && packet->topic.length <= MQTT_SOUND;
        case MQTT_CONNECT: return true;
        case MQTT_CONNACK: return data[packet->body] <= 1;
        case MQTT_DISCONNECT: case MQTT_AUTH: return length < MQTT_SOUND;
        default: return packet->id != 0 && !(is_acknowledgement(packet->type) && length > MQTT_SOUND);
    }
}

/* Whether one of the first packets of a side can be of no older version than 5: the dissector's guess_version. */
static bool is_version_5(const scan_side *side) {
    mqtt_packet packet;
    size_t at = 0;
    for (size_t i = 0; i < MQTT_GUESSED && at < side->length; i++, at = packet.end) {
        if (!read_header_at(side->data, side->length, at, &packet)) return false;
        size_t length = packet.end - packet.body;
        uint8_t type = packet.type;
        if (type == MQTT_AUTH || (type == MQTT_DISCONNECT && length)) return true;
        if ((type == MQTT_CONNACK || type == MQTT_UNSUBACK || is_acknowledgement(type)) && length > 2) return true;
        if (type == MQTT_SUBSCRIBE || type == MQTT_UNSUBSCRIBE) {
            mqtt_packet old = packet, new = packet;
            old.version = 4, new.version = 5;
            if (!read_fields(side->data, &old) && read_fields(side->data, &new)) return true;
        }
    }
    return false;
}

/* What the conversation is told by: a CONNECT, or at its own port a sound packet. False if the dissector must look. */
static bool find_session(const scan_stream *stream, uint8_t *version, scan_word *client) {
    const kc_flow *flow = stream->flow;
    const scan_side *side = stream->side;
    mqtt_packet packet;
    bool is_known = false;
    *version = 0;
    *client = (scan_word){NULL, 0};
    if (side[0].length && read_header_at(side[0].data, side[0].length, 0, &packet) && packet.type == MQTT_CONNECT) {
        if (!read_fields(side[0].data, &packet)) return false;
        *version = packet.version;
        *client = packet.client;
        is_known = true;
    }
    if (!*version) *version = is_version_5(&side[0]) || is_version_5(&side[1]) ? 5 : 4;
    for (int i = 0; i < 2; i++) {
        if (!side[i].length) continue;
        if (!read_header_at(side[i].data, side[i].length, 0, &packet)) return false;
        packet.version = *version;
        if (!read_fields(side[i].data, &packet)) return false;
        bool is_sure = is_sound(side[i].data, &packet);
        if (side[i].starts_midway && !is_sure) return false;
        is_known |= is_sure && packet.type != MQTT_CONNECT && packet.end <= MQTT_PROBED &&
                    (flow->port_a == MQTT_PORT || flow->port_b == MQTT_PORT);
    }
    size_t at = 0;
    for (int i = 0; i < 2 && *version == 5 && !client->length && at < side[1].length; i++, at = packet.end) {
        if (!read_header_at(side[1].data, side[1].length, at, &packet)) return false;
        if (packet.type != MQTT_CONNACK) continue;
        packet.version = 5;
        if (!read_fields(side[1].data, &packet)) return false;
        *client = packet.assigned; /* the server named it */
        break;
    }
    return is_known && client->length <= MQTT_REPEATED;
}

/* What a packet is in its conversation: the dissector's _role. */
static void set_role(kc_message *message, const mqtt_packet *packet) {
    static const uint8_t asked[16] = {
        [MQTT_CONNACK] = MQTT_CONNECT,     [MQTT_PUBACK] = MQTT_PUBLISH,       [MQTT_PUBREC] = MQTT_PUBLISH,
        [MQTT_PUBCOMP] = MQTT_PUBREL,      [MQTT_SUBACK] = MQTT_SUBSCRIBE,     [MQTT_UNSUBACK] = MQTT_UNSUBSCRIBE,
        [MQTT_PINGRESP] = MQTT_PINGREQ,
    };
    uint8_t type = packet->type, asker = message->direction;
    if (asked[type]) {
        message->kind = KC_RESPONSE;
        type = asked[type];
        asker = asker ? 0 : 1;
    } else if (type == MQTT_DISCONNECT || type == MQTT_AUTH || (type == MQTT_PUBLISH && !packet->qos)) {
        message->kind = message->direction ? KC_EVENT : KC_REQUEST;
        if (!message->direction) message->bits = KC_ONE_WAY;
        return; /* nothing answers it: no key */
    }
    message->key = (uint64_t)asker << 32 | (uint64_t)type << 16 | packet->id;
}

static bool scan_packets(kc_scan *scan, scan_stream *stream, uint32_t direction, uint8_t version,
                         const kc_text *client) {
    const scan_side *side = &stream->side[direction];
    mqtt_packet packet;
    for (size_t at = 0; at < side->length; at = packet.end) {
        if (!read_header_at(side->data, side->length, at, &packet)) return false;
        if (packet.type == MQTT_CONNECT && (at || direction)) return false;
        packet.version = version;
        if (!read_fields(side->data, &packet) || (packet.has_alias && packet.type == MQTT_PUBLISH)) return false;
        if (packet.type == MQTT_PUBREL && packet.end - packet.body > 2) return false;
        kc_message *message = add_message(scan, stream, direction, at, packet.end);
        if (!message) return false;
        set_role(message, &packet);
        message->number[0] = version | packet.type << 8;
        message->number[1] = packet.qos | (packet.type == MQTT_PUBLISH ? (packet.flags & 1) << 2 : 0);
        message->number[2] = packet.reason;
        message->text[1] = *client;
        scan_word *topic = &packet.topic;
        if (topic->length && !add_shown(scan, topic->bytes, topic->length, topic->length, &message->text[0])) return false;
    }
    return true;
}

static bool scan_mqtt(kc_scan *scan, scan_stream *stream) {
    uint8_t version;
    scan_word client;
    kc_text name;
    if (stream->flow->transport != PROTOCOL_TCP || !has_no_gap(stream)) return false;
    if (!find_session(stream, &version, &client)) return false;
    return add_shown(scan, client.bytes, client.length, client.length, &name) &&
           scan_packets(scan, stream, 0, version, &name) && scan_packets(scan, stream, 1, version, &name);
}
