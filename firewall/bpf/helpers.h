/* The kernel's helpers by their numbers (linux/bpf.h), and words of ours: no header of libbpf is needed. */
#pragma once

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s16 s16;
typedef __s64 s64;

#define inline_ static inline __attribute__((always_inline))
#define aligned_ __attribute__((aligned(8))) /* of bytes on the stack that are read as words */
#define swap16(x) ((u16)__builtin_bswap16((u16)(x)))
#define swap32(x) ((u32)__builtin_bswap32((u32)(x)))

enum { TC_NEXT = -1, TC_DROP = 2, TO_INGRESS = 1 };
enum { TO_DROP = 1, TO_STACK = 2 }; /* of XDP */

struct map; /* made by the loader */

static void *(*const map_lookup_elem)(const struct map *, const void *) = (void *)1;
static long (*const map_update_elem)(const struct map *, const void *, const void *, u64) = (void *)2;
static long (*const map_delete_elem)(const struct map *, const void *) = (void *)3;
static u64 (*const ktime_get_ns)(void) = (void *)5;
static long (*const skb_store_bytes)(struct __sk_buff *, u32, const void *, u32, u64) = (void *)9;
static long (*const redirect)(u32, u64) = (void *)23;
static long (*const skb_load_bytes)(const struct __sk_buff *, u32, void *, u32) = (void *)26;
static s64 (*const csum_diff)(const void *, u32, const void *, u32, u32) = (void *)28;
static long (*const skb_change_tail)(struct __sk_buff *, u32, u64) = (void *)38;
static long (*const skb_change_head)(struct __sk_buff *, u32, u64) = (void *)43;
static long (*const skb_load_bytes_relative)(const struct __sk_buff *, u32, void *, u32, u32) = (void *)68;
static long (*const ringbuf_output)(const struct map *, const void *, u64, u64) = (void *)130;
static u64 (*const xdp_get_buff_len)(struct xdp_md *) = (void *)188;
static long (*const xdp_load_bytes)(struct xdp_md *, u32, void *, u32) = (void *)189;
