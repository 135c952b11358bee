"""A new plugin's files: a small real dissector in each language, with a capture that code writes."""

from __future__ import annotations

import keyword
import re
import struct
import sys
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from kubeshark.errors import PluginRejected, UsageError
from kubeshark.extension_api._manifest import parse_manifest

__all__ = ["LANGUAGES", "scaffold", "tcp_capture"]

LANGUAGES = {
    # language: (what its code becomes in the plugin's folder, the entry, {template: file})
    "js": ("plugin.js", {"plugin.js": "plugin.js"}),
    "ts": ("build/plugin.js", {"plugin.ts": "plugin.ts", "line.ts": "line.ts", "tsconfig.json": "tsconfig.json"}),
    "c": ("build/plugin.so", {"plugin.c": "plugin.c"}),
    "cpp": ("build/plugin.so", {"plugin.cpp": "plugin.cpp"}),
    "go": ("build/plugin.wasm", {"main.go": "main.go", "go.mod": "go.mod"}),
    "python": ("{{name}}.py", {"plugin.py": "{{name}}.py", "pyproject.toml": "pyproject.toml"}),
}
TALK = (
    (0, b"GET apple\r\nPUT pear 3\n"),
    (1, b"200 one apple\r\n404 no such"),
    (1, b" fruit\n"),
    (0, b"LIST\r\n no verb\r\n"),
    (1, b"nonsense\r\n"),
    (0, b"QUIT\n"),
)
_ID = re.compile(r"[a-z][a-z0-9-]{0,24}")  # its filter is called ID_failed, and names have 32 characters
_START_S = 1_700_000_000
_SYN, _FIN, _PSH, _ACK = 2, 1, 8, 16


def scaffold(plugin: str, language: str) -> dict[str, bytes]:
    """Return the files of a new plugin by their relative path; UsageError for a name that it cannot have."""
    if not _ID.fullmatch(plugin):
        raise UsageError(f"{plugin!r} is not an id", hint="use a-z, 0-9 and -, first a letter, at most 25")
    entry, sources = LANGUAGES[language]
    name = plugin.replace("-", "_")
    if language == "python" and (keyword.iskeyword(name) or name in sys.stdlib_module_names):
        raise UsageError(f"{plugin!r} is a module or a word of Python's own", hint="choose another name")
    words = {
        "id": plugin,
        "name": name,
        "NAME": name.upper()[:16],
        "language": "js" if language == "ts" else language,
        "entry": entry.replace("{{name}}", name),
        "bundled": '\nsource = "plugin.ts"' if language == "ts" else "",
        "source": ", ".join(f"`{target.replace('{{name}}', name)}`" for target in sources.values()),
    }
    templates = {"common/plugin.toml": "plugin.toml", "common/README.md": "README.md"}
    templates["common/expected.jsonl"] = f"tests/{name}.expected.jsonl"
    templates |= {f"{language}/{template}": target for template, target in sources.items()}
    root = Path(str(files("kubeshark.extension_api"))) / "sdk" / "templates"
    made = {
        _filled(target, words): _filled(root.joinpath(f"{template}.in").read_text("utf-8"), words).encode()
        for template, target in templates.items()
    }
    try:
        parse_manifest(made["plugin.toml"], plugin=plugin)
    except PluginRejected as error:
        raise UsageError(error.message, hint=error.hint) from None
    if language == "ts":  # where editors find it; `plugin build` keeps it up to date
        made["kubeshark.d.ts"] = (root.parent / "js" / "kubeshark.d.ts").read_bytes()
    return {**made, f"tests/{name}.pcap": tcp_capture(TALK, server_port=7700)}


def _filled(text: str, words: dict[str, str]) -> str:
    for key, word in words.items():
        text = text.replace("{{" + key + "}}", word)
    return text


def tcp_capture(talk: Sequence[tuple[int, bytes]], *, server_port: int) -> bytes:
    """Return a pcap file of one TCP connection: (who speaks, what), 0 the client; a packet a millisecond."""
    out = bytearray(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 1 << 16, 101))  # LINKTYPE_RAW: IP without Ethernet
    ports = (40_000, server_port)
    sequence = [1000, 5000]
    steps = [(0, b"", _SYN), (1, b"", _SYN | _ACK), *((side, data, _PSH | _ACK) for side, data in talk)]
    steps += [(0, b"", _FIN | _ACK), (1, b"", _FIN | _ACK)]
    for at, (side, data, flags) in enumerate(steps):
        segment = struct.pack(
            ">HHIIBBHHH",
            ports[side],
            ports[1 - side],
            sequence[side],
            sequence[1 - side] if flags & _ACK else 0,
            5 << 4,
            flags,
            65_535,
            0,
            0,
        )
        segment += data
        addresses = bytes((192, 0, 2, 1 + side)) + bytes((192, 0, 2, 2 - side))  # of documentation: RFC 5737
        pseudo = addresses + struct.pack(">BBH", 0, 6, len(segment))
        segment = segment[:16] + struct.pack(">H", _checksum(pseudo + segment)) + segment[18:]
        header = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(segment), at, 0, 64, 6, 0) + addresses
        packet = header[:10] + struct.pack(">H", _checksum(header)) + header[12:] + segment
        out += struct.pack("<IIII", _START_S, 1000 * at, len(packet), len(packet)) + packet
        sequence[side] += len(data) + bool(flags & (_SYN | _FIN))
    return bytes(out)


def _checksum(data: bytes) -> int:
    """RFC 1071."""
    data += bytes(len(data) % 2)
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return int(~total & 0xFFFF)
