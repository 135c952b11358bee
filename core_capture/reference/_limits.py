"""Every bound of the core, with its reason: input is hostile, memory and time are not for sale."""

MAX_IP_DEPTH = 8
"""IP headers in one packet. Real tunnels nest two or three deep; 64 KiB could hold thousands, each with its flow."""

MAX_OFFSET = 0xFFFF
"""PACKET holds the offsets of layer 4 and its payload as u2."""

MAX_DATAGRAM = 65_535
"""Bytes of one reassembled datagram: total length is a u16, and so is IPv6's fragment offset."""

MAX_DATAGRAMS = 1024
"""Unfinished datagrams kept: at most 64 MiB of fragments."""

MAX_COMPLETED = 8
"""Datagrams one packet may complete, one inside the other: each is up to 64 KiB more to keep and to look at."""

FRAGMENT_TIMEOUT_NS = 60 * 10**9
"""RFC 8200 §4.5 waits a minute; identifications are used again."""

MAX_GAP_FILL = 1 << 20
"""Zeros that stand for one gap; more would let one forged sequence number allocate memory."""

GAP_FILL_BASE = 1 << 16
GAP_FILL_PER_BYTE = 64
"""Zeros a direction may hold in all: the base, and this many for each byte captured (96 of 1,500 bytes kept: 15)."""

MAX_STREAM_BYTES = 1 << 30
"""Bytes of one direction, zeros included."""
