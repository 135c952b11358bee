/* What processes read and write through libssl, in the clear (ADR 35).
 *
 * Uprobes stand at the entry and the return of SSL_read, SSL_write and their _ex forms. Between the two, the thread's
 * first system call on a descriptor says which socket it is. What the call moved is copied out of the process when it
 * returns, in pieces, into one ring; a piece that finds no room is counted, and leaves a hole of known length: every
 * piece says where in its direction it begins.
 *
 * Without BTF: nothing here depends on the layout of a structure of the kernel but the registers of an entry from user
 * space and the arguments of a system call, both of which are ABI.
 */
#include <linux/bpf.h>
#include <linux/types.h>

typedef __u8 u8;
typedef __u32 u32;
typedef __u64 u64;
typedef __s32 s32;

#define SEC(name) __attribute__((section(name), used))
#define inline_ static inline __attribute__((always_inline))

struct map; /* made by the loader */

static void *(*const map_lookup_elem)(const struct map *, const void *) = (void *)1;
static long (*const map_update_elem)(const struct map *, const void *, const void *, u64) = (void *)2;
static long (*const map_delete_elem)(const struct map *, const void *) = (void *)3;
static u64 (*const ktime_get_ns)(void) = (void *)5;
static u64 (*const get_current_pid_tgid)(void) = (void *)14;
static u64 (*const get_current_cgroup_id)(void) = (void *)80;
static long (*const probe_read_user)(void *, u32, const void *) = (void *)112;
static long (*const ringbuf_output)(const struct map *, const void *, u64, u64) = (void *)130;

#if defined(KUBESHARK_x86_64)
struct registers { u64 words[21]; };
enum { ARG0 = 14, ARG1 = 13, ARG2 = 12, ARG3 = 11, RESULT = 10 }; /* rdi rsi rdx rcx, rax of pt_regs */
#elif defined(KUBESHARK_aarch64)
struct registers { u64 words[34]; };
enum { ARG0 = 0, ARG1 = 1, ARG2 = 2, ARG3 = 3, RESULT = 0 };
#else
#error "which registers hold arguments here?"
#endif

enum { READ = 0, WRITE = 1, CLOSE = 2 };
enum { PIECE = 16384, MAX_PIECES = 32, NO_SOCKET = -1 };
enum { EVENTS_LOST, BYTES_LOST, EVENTS, BYTES, COUNTS };

struct call { /* of a thread, while it is in libssl */
    u64 ssl, data, done; /* done: where an _ex form puts how many bytes it moved, else 0 */
    u32 kind;
    s32 descriptor;
};

struct connection_key { u64 process, ssl; };

struct connection {
    u64 moved[2]; /* bytes, by kind */
    s32 descriptor;
    u32 unused;
};

struct event { /* EVENT of _tls_events.py */
    u64 time_ns; /* CLOCK_MONOTONIC */
    u64 ssl;
    u64 at; /* bytes that this direction had moved before */
    u32 process, thread;
    s32 descriptor;
    u32 length;
    u32 kind;
    u32 unused;
    u8 data[PIECE];
};
enum { EVENT_HEAD = 48 };

extern struct map calls, connections, chosen, counts, scratch, ring;

inline_ void count(u32 what, u64 by) {
    u64 *value = map_lookup_elem(&counts, &what);
    if (value) *value += by; /* of this processor */
}

/* Whether the process, or the control group that it is in, was chosen; the key 0 stands for all. */
inline_ int is_chosen(u32 process) {
    u64 key = 0;
    if (map_lookup_elem(&chosen, &key)) return 1;
    key = process;
    if (map_lookup_elem(&chosen, &key)) return 1;
    key = get_current_cgroup_id() | 1ull << 63;
    return map_lookup_elem(&chosen, &key) != 0;
}

inline_ int enter(struct registers *at, u32 kind, int has_done) {
    u64 thread = get_current_pid_tgid();
    if (!is_chosen((u32)(thread >> 32))) return 0;
    struct call call = {
        .ssl = at->words[ARG0], .data = at->words[ARG1], .done = has_done ? at->words[ARG3] : 0,
        .kind = kind, .descriptor = NO_SOCKET,
    };
    map_update_elem(&calls, &thread, &call, 0);
    return 0;
}

SEC("uprobe/SSL_read") int enter_read(struct registers *at) { return enter(at, READ, 0); }
SEC("uprobe/SSL_write") int enter_write(struct registers *at) { return enter(at, WRITE, 0); }
SEC("uprobe/SSL_read_ex") int enter_read_ex(struct registers *at) { return enter(at, READ, 1); }
SEC("uprobe/SSL_write_ex") int enter_write_ex(struct registers *at) { return enter(at, WRITE, 1); }

/* The first descriptor of a system call inside is taken: what comes behind it may be a log file. */
SEC("tracepoint/descriptor") int descriptor(u64 *context) {
    u64 thread = get_current_pid_tgid();
    struct call *call = map_lookup_elem(&calls, &thread);
    if (call && call->descriptor == NO_SOCKET) call->descriptor = (s32)context[2]; /* id, then the arguments */
    return 0;
}

inline_ void tell(struct event *event, u32 size) {
    if (ringbuf_output(&ring, event, EVENT_HEAD + size, 0)) {
        count(EVENTS_LOST, 1);
        count(BYTES_LOST, size);
    } else {
        count(EVENTS, 1);
        count(BYTES, size);
    }
}

SEC("uprobe/leave") int leave(struct registers *at) {
    u64 thread = get_current_pid_tgid();
    struct call *found = map_lookup_elem(&calls, &thread);
    if (!found) return 0;
    struct call call = *found;
    map_delete_elem(&calls, &thread);
    s32 result = (s32)at->words[RESULT];
    if (result <= 0) return 0;
    u64 length = (u64)result;
    if (call.done && probe_read_user(&length, sizeof length, (void *)call.done)) return 0;
    if (!length) return 0;

    struct connection_key key = {.process = thread >> 32, .ssl = call.ssl};
    struct connection *known = map_lookup_elem(&connections, &key);
    if (!known) {
        struct connection fresh;
        fresh.moved[0] = fresh.moved[1] = 0;
        fresh.descriptor = NO_SOCKET;
        fresh.unused = 0;
        map_update_elem(&connections, &key, &fresh, 0);
        known = map_lookup_elem(&connections, &key);
        if (!known) return 0;
    }
    if (call.descriptor != NO_SOCKET) known->descriptor = call.descriptor;
    u32 kind = call.kind & 1, zero = 0;
    u64 place = known->moved[kind];
    known->moved[kind] += length;

    struct event *event = map_lookup_elem(&scratch, &zero);
    if (!event) return 0;
    event->time_ns = ktime_get_ns();
    event->ssl = call.ssl;
    event->process = (u32)(thread >> 32);
    event->thread = (u32)thread;
    event->descriptor = known->descriptor;
    event->kind = kind;
    u64 at_data = call.data, left = length;
    for (u32 piece = 0; piece < MAX_PIECES && left; piece++) {
        u32 size = left > PIECE ? PIECE : (u32)left;
        if (size > PIECE) return 0; /* for the verifier */
        if (probe_read_user(event->data, size, (void *)at_data)) break;
        event->at = place;
        event->length = size;
        tell(event, size);
        place += size;
        at_data += size;
        left -= size;
    }
    if (left) { /* a call that moves more than 512 KiB, or memory that is not there: a hole */
        count(EVENTS_LOST, 1);
        count(BYTES_LOST, left);
    }
    return 0;
}

SEC("uprobe/SSL_free") int enter_free(struct registers *at) {
    u64 thread = get_current_pid_tgid();
    struct connection_key key = {.process = thread >> 32, .ssl = at->words[ARG0]};
    struct connection *known = map_lookup_elem(&connections, &key);
    u32 zero = 0;
    struct event *event = map_lookup_elem(&scratch, &zero);
    if (!known || !event) return 0;
    event->time_ns = ktime_get_ns();
    event->ssl = key.ssl;
    event->at = 0;
    event->process = (u32)(thread >> 32);
    event->thread = (u32)thread;
    event->descriptor = known->descriptor;
    event->length = 0;
    event->kind = CLOSE;
    event->unused = 0;
    map_delete_elem(&connections, &key);
    tell(event, 0);
    return 0;
}

char licence[] SEC("license") = "GPL";
