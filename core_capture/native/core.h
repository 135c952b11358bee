/* Shared by the C files of the core; not seen by cffi. */
#ifndef KUBESHARK_CORE_H
#define KUBESHARK_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core_api.h"

#define KC_NO_FLOW 0xFFFFFFFFu
#define KC_RECORD_HEADER 16u
#define KC_MAX_CAPTURED (1u << 20) /* _records.MAX_CAPTURED: a larger record is damage */

_Static_assert(sizeof(kc_packet) == 32, "PACKET of _columns.py");
_Static_assert(sizeof(kc_flow) == 104, "FLOW of _columns.py");

#if defined(__GNUC__) || defined(__clang__)
#define KC_PREFETCH(address) __builtin_prefetch(address)
#define KC_LIKELY(condition) __builtin_expect(!!(condition), 1)
#define KC_UNLIKELY(condition) __builtin_expect(!!(condition), 0)
#else
#define KC_PREFETCH(address) ((void)(address))
#define KC_LIKELY(condition) (condition)
#define KC_UNLIKELY(condition) (condition)
#endif

/* Unaligned loads; the caller has checked that the bytes are there. */
static inline uint16_t load_be16(const uint8_t *at) { return (uint16_t)((at[0] << 8) | at[1]); }

static inline uint32_t load_be32(const uint8_t *at) {
    return ((uint32_t)at[0] << 24) | ((uint32_t)at[1] << 16) | ((uint32_t)at[2] << 8) | at[3];
}

static inline uint32_t load_le32(const uint8_t *at) {
    return ((uint32_t)at[3] << 24) | ((uint32_t)at[2] << 16) | ((uint32_t)at[1] << 8) | at[0];
}

static inline uint64_t load_native64(const uint8_t *at) {
    uint64_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

static inline void store_le32(uint8_t *at, uint32_t value) {
    at[0] = (uint8_t)value;
    at[1] = (uint8_t)(value >> 8);
    at[2] = (uint8_t)(value >> 16);
    at[3] = (uint8_t)(value >> 24);
}

#define NS_PER_SECOND 1000000000u

static inline uint64_t record_time(const uint8_t *record) {
    return (uint64_t)load_le32(record) * NS_PER_SECOND + load_le32(record + 4);
}

/* The heart of every hash here: with secret seeds, a sender cannot aim at collisions. */
static inline uint64_t multiply_fold(uint64_t a, uint64_t b) {
    __extension__ typedef unsigned __int128 wide;
    wide product = (wide)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Make room for one more element of `size` bytes; false, with everything as it was, without memory. */
static inline bool array_reserve(void **array, size_t *capacity, size_t count, size_t size) {
    if (count < *capacity) return true;
    size_t wanted = *capacity ? *capacity * 2 : 64;
    if (wanted > SIZE_MAX / 4 / size) return false; /* also: the next doubling cannot wrap */
    void *grown = realloc(*array, wanted * size);
    if (!grown) return false;
    *array = grown;
    *capacity = wanted;
    return true;
}

#define CACHE_LINE 64u
#define PREFETCH_AHEAD 4096u /* bytes; 1 to 32 KiB measured the same */

/* Ask for every cache line up to PREFETCH_AHEAD behind `at`; returns up to where, for the next call. A record's
 * position is in the record before it, so a walk would wait for memory once a record; reading along in order takes a
 * quarter of that. */
static inline size_t prefetch_ahead(const uint8_t *data, size_t length, size_t at, size_t asked) {
    size_t end = length - at > PREFETCH_AHEAD ? at + PREFETCH_AHEAD : length;
    for (; asked < end; asked += CACHE_LINE) KC_PREFETCH(data + asked);
    return asked;
}

/* Whether a whole record lies at data[at], and its captured length. at <= length must hold. */
static inline bool record_at(const uint8_t *data, size_t length, size_t at, uint32_t *captured) {
    if (length - at < KC_RECORD_HEADER) return false;
    *captured = load_le32(data + at + 8);
    return *captured <= KC_MAX_CAPTURED && *captured <= length - at - KC_RECORD_HEADER;
}

#endif
