"""Read and write files, small and in blocks, with and without options, a missing one, a forbidden one."""

from __future__ import annotations

import socket
import struct

from network import FILES, PHONE

from talks._line import PATIENCE_S

READ, WRITE, DATA, ACK, ERROR, OPTIONS = range(1, 7)
PORT = 69


def talk() -> None:
    _read(b"motd.txt", b"netascii")
    _read(b"boot/kernel.img", b"octet")
    _read(b"boot/kernel.img", b"octet", {b"blksize": b"1024", b"tsize": b"0", b"timeout": b"2"})
    _read(b"exactly-two-blocks.bin", b"OCTET")
    _write(b"upload/report.txt", b"never arrives")  # no such folder
    _write(b"report.txt", b"temperature,21.5\r\n" * 60)
    _write(b"image.raw", bytes(range(256)) * 6, {b"blksize": b"1400", b"tsize": b"1536"})
    _read(b"missing.txt", b"octet")
    _read(b"../etc/passwd", b"octet")


def _request(opcode: int, name: bytes, mode: bytes, options: dict[bytes, bytes]) -> tuple[socket.socket, int]:
    """Send a request from a port of its own; return the socket and the block size asked for."""
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.settimeout(PATIENCE_S)
    client.bind((PHONE, 0))
    words = [name, mode, *(word for option in options.items() for word in option)]
    client.sendto(struct.pack(">H", opcode) + b"".join(word + b"\0" for word in words), (FILES, PORT))
    return client, int(options.get(b"blksize", b"512"))


def _read(name: bytes, mode: bytes, options: dict[bytes, bytes] | None = None) -> None:
    client, block_bytes = _request(READ, name, mode, options or {})
    with client:
        while True:
            packet, server = client.recvfrom(65536)
            opcode, block = struct.unpack_from(">HH", packet)
            if opcode == ERROR:
                return
            client.sendto(struct.pack(">HH", ACK, block if opcode == DATA else 0), server)
            if opcode == DATA and len(packet) < 4 + block_bytes:
                return


def _write(name: bytes, contents: bytes, options: dict[bytes, bytes] | None = None) -> None:
    client, block_bytes = _request(WRITE, name, b"octet", options or {})
    with client:
        for block in range(len(contents) // block_bytes + 2):
            packet, server = client.recvfrom(65536)  # acknowledges the block before, or the options
            if packet[1] == ERROR:
                return
            piece = contents[block * block_bytes : (block + 1) * block_bytes]
            if block * block_bytes <= len(contents):
                client.sendto(struct.pack(">HH", DATA, block + 1) + piece, server)
