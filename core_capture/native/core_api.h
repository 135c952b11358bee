/* The C core's interface: what cffi reads (so: no preprocessor lines) and what every C file here includes through
 * core.h.
 *
 * Ownership: arrays and buffers belong to the caller and are only used during the call. A kc_decoder or kc_streams
 * belongs to the caller from _new to _free; the core keeps no other pointer. Lifetime: `data` may move between calls;
 * it must not change from the first kc_decode to the last kc_streams_take. A change voids the results. Threads: no
 * statics; one decoder is used by one thread at a time. Oracle: core_capture/reference (same arrays, bit for bit);
 * meanings: core_capture/_columns.py.
 */

typedef struct {
    uint64_t time_ns;
    uint32_t offset;
    uint32_t flow;
    uint32_t seq;
    uint32_t payload_length;
    uint16_t payload_offset;
    uint16_t transport_offset;
    uint8_t flags;
    uint8_t direction;
    uint8_t transport;
    uint8_t bits;
} kc_packet; /* _columns.PACKET */

typedef struct {
    uint8_t a[16];
    uint8_t b[16];
    uint16_t port_a;
    uint16_t port_b;
    uint8_t transport;
    uint8_t ip_version;
    uint8_t client;
    uint8_t tunnel;
    uint16_t vlan;
    uint16_t bits;
    uint32_t carrier;
    uint32_t first_packet;
    uint32_t reserved;
    uint64_t first_ns;
    uint64_t last_ns;
    uint32_t packets[2];
    uint64_t bytes[2];
    uint32_t isn[2];
} kc_flow; /* _columns.FLOW */

typedef enum {
    KC_OK = 0,
    KC_NO_MEMORY = 1,
    KC_FULL = 2,     /* the output array has no room for the next record: call again with more */
    KC_BAD_INPUT = 3 /* an argument contradicts the data (an offset that is not a record's) */
} kc_status;

int kubeshark_core_abi(void);

/* Walk whole records from *position; write their offsets. Both counters are updated, also with KC_FULL. */
kc_status kc_offsets(const uint8_t *data, size_t length, size_t *position, uint64_t *out, size_t capacity,
                     size_t *count);

/* Rewrite the headers of classic pcap records in place: to little-endian, fractions times `multiplier`, whole seconds
 * among them carried. Stops at the first record that is incomplete or damaged (more than KC_MAX_CAPTURED) or whose
 * seconds no longer fit: *end is its start. */
void kc_convert(uint8_t *records, size_t length, int swapped, uint32_t multiplier, size_t *end, size_t *count);

/* Where a reader is in a ring of TPACKET_V3 blocks, and what it did; zero at first but for the two rules. Damaged are
 * packets of a block that contradicts itself. */
typedef struct {
    uint64_t delivered;
    uint64_t truncated; /* of them: not whole */
    uint64_t stamped; /* of those delivered: the adapter gave the time */
    uint64_t damaged;
    uint32_t block;     /* the next one */
    uint32_t is_inside; /* of it, with `left` packets from `at` on */
    uint32_t left;
    uint32_t at;
    uint32_t snaplen; /* rule: at most so much of a packet */
    uint32_t cooked;  /* rule: write LINKTYPE_LINUX_SLL2, for a socket that gives no link layer */
} kc_ring;

/* Copy what the kernel handed over as records, with VLAN tags where they were, and give the blocks back. Returns the
 * bytes written; stops where `out` is full, and goes on there. `blocks` are `count` blocks that the kernel writes to
 * meanwhile, aligned to 8; `capacity` takes a record of a whole block, or it never goes on. */
size_t kc_ring_read(kc_ring *ring, uint8_t *blocks, size_t block_size, size_t count, uint8_t *out, size_t capacity);

/* Add up the sizes of the records at offsets[order[i]]; KC_BAD_INPUT if one lies outside the data. */
kc_status kc_gather_size(const uint8_t *data, size_t length, const uint64_t *offsets, size_t offset_count,
                         const uint64_t *order, size_t order_count, size_t *size);

/* Copy those records one behind the other into `out` of exactly that size. */
kc_status kc_gather(const uint8_t *data, size_t length, const uint64_t *offsets, size_t offset_count,
                    const uint64_t *order, size_t order_count, uint8_t *out, size_t size);

/* Decode a column of the store's container (_container.py): `planes` holds, for each of `columns` numbers in a row and
 * each of its `width` bytes, lowest first, that byte of all rows. With `delta` rows hold differences to the row before.
 * `out` has rows * columns numbers of 1, 2, 4 or 8 bytes. */
kc_status kc_unplane(const uint8_t *planes, size_t length, size_t rows, size_t columns, size_t width, int delta,
                     void *out);

/* Lay `lengths` one behind the other from `start` on and write the stretches of those chosen, neighbours as one, none
 * without length; returns how many. There is room for `count`. */
size_t kc_runs(const uint8_t *chosen, const uint64_t *lengths, size_t count, uint64_t start, uint64_t *starts,
               uint64_t *ends);

/* Look up a key in Bloom filters that lie one behind the other up to `ends`, each a power of two bytes (_summary.py). */
kc_status kc_may_hold(const uint8_t *filters, size_t length, const uint64_t *ends, size_t count, uint64_t key,
                      unsigned probes, uint8_t *answers);

typedef struct {
    const uint8_t *data;
    size_t length;
} kc_piece;

typedef struct {
    uint64_t time_ns;
    const uint8_t *record;
    uint32_t index;
    uint32_t size;
} kc_timed;

/* Copy the whole records of some pieces into `out` of their length in all, sorted by time, then tie (by record; NULL: all
 * are equal), then place; `offsets` and `times` are those of the sorted records, `rows` is scratch. KC_FULL if `rows` has
 * no room for twice as many as there are, KC_BAD_INPUT if not only whole records, or not one a tie, are there. */
kc_status kc_by_time(const kc_piece *pieces, size_t piece_count, const uint16_t *ties, size_t tie_count, kc_timed *rows,
                     size_t capacity, uint8_t *out, uint64_t *offsets, uint64_t *times, size_t *count);

typedef struct {
    uint32_t packet;
    uint32_t offset;
    uint32_t length;
} kc_arena_entry; /* _columns.ARENA */

typedef struct {
    size_t packets;
    size_t flows;
    size_t arena_bytes;
    size_t arena_entries;
    size_t end; /* of the whole records decoded so far */
} kc_counts;

typedef struct kc_decoder kc_decoder;

/* Begin a flow table of its own; NULL without memory. `seed`: 32 random bytes, so that no sender can choose collisions.
 */
kc_decoder *kc_decoder_new(const uint8_t *seed, uint32_t link_type);
void kc_decoder_free(kc_decoder *decoder);

/* Decode on from where the last call ended; `out` is the whole array, of which the rows so far are kept. */
kc_status kc_decode(kc_decoder *decoder, const uint8_t *data, size_t length, kc_packet *out, size_t capacity);

void kc_decoder_counts(const kc_decoder *decoder, kc_counts *counts);

/* Copy the results into arrays of the counted sizes. */
void kc_decoder_take(const kc_decoder *decoder, kc_flow *flows, uint8_t *arena, kc_arena_entry *arena_index);

/* What kc_decode made, for reassembly: arrays of _columns.Decoded. */
typedef struct {
    const uint8_t *data;
    size_t data_length;
    const uint8_t *arena;
    size_t arena_length;
    const kc_arena_entry *arena_index;
    size_t arena_entries;
    const kc_packet *packets;
    size_t packet_count;
    const kc_flow *flows;
    size_t flow_count;
} kc_decoded;

/* One direction of a TCP flow: where its part of the common arrays begins and how long it is. */
typedef struct {
    uint64_t data_start, data_length;
    uint64_t first_chunk, chunks;
    uint64_t first_gap, gaps;
    uint64_t retransmissions, out_of_order, overlaps;
    uint8_t starts_midway;
    uint8_t has_place;   /* data_start says where its bytes go in the common array, */
    uint8_t is_laid_out; /* and they are there */
} kc_side;

typedef struct {
    uint64_t start, end, missing;
} kc_gap; /* _columns.Gap */

typedef struct {
    size_t packets;
    size_t sides; /* two for each TCP flow, in the order wanted */
    size_t chunks;
    size_t gaps;
    uint64_t data_bytes;
} kc_stream_counts;

typedef struct kc_streams kc_streams;

/* Reassemble flows in two steps, into memory the caller allocated: plan what goes where (once for each kc_streams), then,
 * with the same `decoded`, take it. */
kc_streams *kc_streams_new(void);
void kc_streams_free(kc_streams *streams);
kc_status kc_streams_plan(kc_streams *streams, const kc_decoded *decoded, const uint64_t *wanted, size_t wanted_count);
void kc_streams_counts(const kc_streams *streams, kc_stream_counts *counts);

/* packet_starts has wanted_count + 1 elements, the others have the counted sizes; chunk starts and gaps count from the
 * start of their direction, skips from the packet's payload. `data` gets the directions with gaps, from its start on up to
 * `data_used`; the bytes of the others stay where they are until kc_lay_out. */
kc_status kc_streams_take(const kc_streams *streams, const kc_decoded *decoded, uint64_t *packet_starts,
                          uint32_t *packets, kc_side *sides, uint64_t *chunk_starts, uint32_t *chunk_packets,
                          uint32_t *chunk_skips, kc_gap *gaps, uint8_t *data, uint64_t *data_used);

/* Streams as kc_streams_take made them: stream i is flow wanted[i], its packets are packets[packet_starts[i] ..
 * packet_starts[i + 1]), and, if it is TCP, its sides (endpoint a's, then b's) are sides[first_side[i]] and the next. */
typedef struct {
    const uint64_t *wanted;
    size_t count;
    const uint64_t *packet_starts;
    const uint32_t *packets;
    size_t packet_count;
    const uint32_t *first_side;
    kc_side *sides;
    size_t side_count;
    const uint64_t *chunk_starts;
    const uint32_t *chunk_packets;
    const uint32_t *chunk_skips; /* bytes of the packet's payload before the chunk's first */
    size_t chunk_count;
    uint8_t *data; /* room for all sides; those that are laid out come one behind the other, as they were asked for */
    size_t data_length;
    uint64_t *data_used;
} kc_assembled;

/* Copy the bytes of `count` sides, from number `first` on, into `assembled->data`. */
kc_status kc_lay_out(const kc_decoded *decoded, const kc_assembled *assembled, size_t first, size_t count);

typedef struct {
    uint32_t at, length; /* in the scan's text */
} kc_text;

/* One message that a scanner found; what numbers and texts mean is said by the scanner's file. */
typedef struct {
    uint64_t key;
    uint32_t stream;
    uint32_t start, end;          /* in the side's data, or in the datagram */
    uint32_t packet, last_packet; /* that first carried its first and last byte */
    uint32_t place;               /* in capture order: the packet for TCP, else the number of the datagram */
    uint8_t kind;                 /* 0 request, 1 response, 2 event */
    uint8_t direction;            /* 0: the client sent it */
    uint8_t protocol;             /* which of the dissector's protocols */
    uint8_t bits;                 /* KC_ONE_WAY, KC_INTERIM, KC_CHUNKED */
    int32_t number[3];
    kc_text text[4];
} kc_message; /* _messages.MESSAGE */

/* Messages that belong together, by number; KC_NONE (all ones) for a half that is missing. */
typedef struct {
    uint32_t stream;
    uint32_t request, response, event;
} kc_exchange; /* _messages.EXCHANGE */

typedef struct {
    size_t messages;
    size_t exchanges;
    size_t text_bytes;
} kc_scan_counts;

typedef struct kc_scan kc_scan;

/* Find the messages of streams that hold nothing but whole, well-formed messages of one protocol, and pair them.
 *
 * A scanner is strict: it leaves a stream to the dissector in pipeline/dissectors, its oracle, unless it is sure to say
 * the same (taken[i] = 0 then, and nothing of the stream is kept). `chosen` are numbers of streams in `assembled`;
 * `protocol` is one of _messages.SCANNERS. Calls add up until kc_scan_take. */
kc_scan *kc_scan_new(void);
void kc_scan_free(kc_scan *scan);
kc_status kc_scan_streams(kc_scan *scan, uint32_t protocol, const kc_decoded *decoded, const kc_assembled *assembled,
                          const uint32_t *chosen, size_t chosen_count, uint8_t *taken);
void kc_scan_count(const kc_scan *scan, kc_scan_counts *counts);
void kc_scan_take(const kc_scan *scan, kc_message *messages, kc_exchange *exchanges, uint8_t *text);

/* Copy the first `width` bytes that each side of a stream sent, client's first, zeros behind them, and how many there
 * are: out[i][2][width], lengths[i][2]. For streams of datagrams: of the first datagram of that side that has any. */
kc_status kc_heads(const kc_decoded *decoded, const kc_assembled *assembled, uint8_t *out, uint8_t *lengths,
                   uint32_t width);
