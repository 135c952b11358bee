/* Fuzzes the list of byte ranges that reassembly builds, against an array that knows who came first at each position.
 *
 * Input: seven bytes a segment (where, how long, with which bytes). Built by run_core.sh, like fuzz_core.c.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core.c"

#define PLACES 8192  /* positions from -PLACES / 2 on */
#define PIECE 7u     /* bytes of input for one segment */
#define MAX_PIECES 4096u
#define NOBODY -1

static void check(bool condition) {
    if (!condition) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length) {
    static uint8_t contents[256 + PLACES]; /* a segment's bytes are a window of these */
    static int16_t byte_at[PLACES];
    static uint32_t packet_at[PLACES];
    for (size_t i = 0; i < sizeof contents; i++) contents[i] = (uint8_t)(i * 7 + i / 64);
    for (size_t i = 0; i < PLACES; i++) byte_at[i] = NOBODY;

    span_list list = {0};
    size_t pieces = length / PIECE < MAX_PIECES ? length / PIECE : MAX_PIECES;
    for (size_t i = 0; i < pieces; i++, data += PIECE) {
        uint32_t place = load_le32(data) % PLACES, size = (uint32_t)(data[4] | data[5] << 8);
        size = size % 97 ? size % 97 : size; /* mostly short: many spans; sometimes over all of them */
        if (size > PLACES - place) size = PLACES - place;
        if (size == 0) continue;
        span piece = {(int64_t)place - PLACES / 2, contents + data[6], size, (uint32_t)i};
        uint64_t new_bytes = 0, differing = 0;
        for (uint32_t k = 0; k < size; k++) {
            if (byte_at[place + k] == NOBODY) {
                byte_at[place + k] = piece.bytes[k];
                packet_at[place + k] = (uint32_t)i;
                new_bytes++;
            } else {
                differing += byte_at[place + k] != piece.bytes[k];
            }
        }
        span_added added;
        check(spans_add(&list, piece, &added));
        check(added.new_bytes == new_bytes && added.differing == differing);
    }

    int64_t before = INT64_MIN;
    size_t covered = 0;
    for (span_place place = {0, 0}; spans_at(&list, place); place = spans_next(&list, place)) {
        const span *one = spans_at(&list, place);
        check(one->length > 0 && one->start >= before);
        before = one->start + one->length;
        for (uint32_t k = 0; k < one->length; k++, covered++) {
            size_t at = (size_t)(one->start + k + PLACES / 2);
            check(byte_at[at] == one->bytes[k] && packet_at[at] == one->packet);
        }
    }
    for (size_t i = 0; i < PLACES; i++) {
        check(spans_byte(&list, (int64_t)i - PLACES / 2) == byte_at[i]);
        covered -= byte_at[i] != NOBODY;
    }
    check(covered == 0);
    spans_free(&list);
    return 0;
}

#ifdef FUZZ_DRIVER
#include "driver.h"
#endif
