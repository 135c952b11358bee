/* The batch frame in C: requests are laid out, results of `dissect` are checked. Layout: docs/adr/0003-batch-abi.md.
 *
 * Oracle: extension_api/_frame.py, `encode_request` and `decode_dissect`. What is refused here is given to the oracle,
 * which says why, or takes it after all; what is accepted here must be accepted there.
 * No function keeps a pointer, allocates, or recurses. Little-endian machines only (build_frame.py sees to it).
 */
#ifndef KUBESHARK_FRAME_H
#define KUBESHARK_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { KF_ABI = 1 };
enum { KF_GOOD = 0, KF_WRONG = 1, KF_JSON = 2 };

/* Items of a request as the frame holds them; see _frame.py, ITEM. */
typedef struct {
    uint32_t offset, length;
    uint64_t stream, time_ns;
    uint8_t direction, transport;
    uint16_t flags, client_port, server_port;
    uint32_t argument, zero;
    uint64_t base;
} kf_item;

typedef struct {
    uint32_t item;
    uint8_t kind, flags;
    uint16_t fields;
    uint32_t start, end;
    uint64_t key;
    uint32_t first_field, reserved;
} kf_message;

typedef struct {
    uint16_t id;
    uint8_t type, zero;
    uint32_t zeros;
    uint64_t value;
} kf_field;

_Static_assert(sizeof(kf_item) == 48 && sizeof(kf_message) == 32 && sizeof(kf_field) == 16, "the batch ABI");

int kf_abi(void);
uint64_t kf_cut(const uint32_t *lengths, uint64_t count, uint64_t max_items, uint64_t max_bytes);
uint64_t kf_encode(uint32_t hook, const kf_item *items, const uint64_t *starts, uint64_t count, const uint8_t *data,
                   uint64_t data_bytes, uint8_t *out, uint64_t capacity);
int kf_check(const uint8_t *result, uint64_t bytes, const uint32_t *lengths, uint32_t items, const uint8_t *accepted,
             uint32_t types);

#endif
