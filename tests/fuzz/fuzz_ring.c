/* Fuzzes the parser of TPACKET_V3 blocks: any bytes are blocks that a kernel might have written.
 *
 * Input: one byte of rules (cooked, a small output, two blocks), then the blocks. Built by run_core.sh, like fuzz_core.c.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core.c"

#define MAX_BLOCK 8192u
#define SMALL 512u

static void check(bool condition) {
    if (!condition) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length) {
    if (length < 2) return 0;
    uint8_t rules = data[0];
    data++, length--;
    size_t count = rules & 2 ? 2 : 1;
    size_t block_size = length / count / 8 * 8;
    if (block_size > MAX_BLOCK) block_size = MAX_BLOCK;
    if (block_size < 48) return 0;
    uint8_t *blocks = malloc(block_size * count); /* exactly: the sanitizer sees a byte too far */
    size_t capacity = rules & 4 ? SMALL : 2 * MAX_BLOCK;
    uint8_t *out = malloc(capacity);
    if (!blocks || !out) abort();
    memcpy(blocks, data, block_size * count);
    kc_ring ring = {.snaplen = rules & 8 ? 96 : 262144, .cooked = rules & 1};
    uint64_t records = 0;
    for (int turn = 0; turn < 64; turn++) {
        size_t size = kc_ring_read(&ring, blocks, block_size, count, out, capacity), at = 0;
        check(size <= capacity);
        uint32_t captured;
        while (at < size) {
            check(record_at(out, size, at, &captured) && captured <= ring.snaplen);
            check(load_le32(out + at + 12) >= captured);
            at += KC_RECORD_HEADER + captured;
            records++;
        }
        check(at == size && records == ring.delivered && ring.block < count);
    }
    check(ring.truncated <= ring.delivered);
    free(out);
    free(blocks);
    return 0;
}

#ifdef FUZZ_DRIVER
#include "driver.h"
#endif
