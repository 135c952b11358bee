"""The C SDK under AddressSanitizer and UBSan: mutated requests, every hook, every size of result area.

The tftp example is compiled with a small `main` that reads cases from a file; the Python decoder is the oracle for
what comes out.
"""

from __future__ import annotations

import os
import random
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from kubeshark.errors import KubesharkError
from kubeshark.extension_api._frame import (
    DISSECT,
    FILTER,
    PROBE,
    RENDER,
    FrameItem,
    decode_dissect,
    decode_filter,
    decode_probe,
    decode_render,
    encode_request,
    encode_values,
    request_size,
)
from kubeshark.extension_api._manifest import Manifest, read_manifest
from kubeshark.extension_api._models import ByteRange, TimelinePoint
from kubeshark.extension_api._representation import parse_representation

MAIN = """
#include "tftp.c"
/* Cases: u32 hook, u32 room for the result, u32 length, request. Answers: i64 written, bytes. */
int main(void) {
    uint32_t head[3];
    while (fread(head, 4, 3, stdin) == 3) {
        /* exact sizes, so that ASan sees one byte too many */
        uint8_t *in = malloc(head[2] ? head[2] : 1), *out = malloc(head[1] ? head[1] : 1);
        if (!in || !out || fread(in, 1, head[2], stdin) != head[2]) return 1;
        int64_t written = ks_call(head[0], in, head[2], out, head[1]);
        fwrite(&written, 8, 1, stdout);
        if (written > 0) fwrite(out, 1, (size_t)written, stdout);
        free(in);
        free(out);
    }
    return 0;
}
"""
DRAWER = """
#include "kubeshark_plugin.h"

static bool render(const ks_item *request, const ks_item *response, ks_render *out) {
    (void)response;
    ks_timeline(out, KS_REQUEST, "t");
    ks_row_int(out, KS_REQUEST, "no row of a table", 1, "");
    ks_point(out, KS_REQUEST, 0, "\\"a\\"", KS_CLIENT);
    ks_point(out, KS_REQUEST, 1ull << 40, "b", KS_SERVER);
    ks_hex(out, KS_REQUEST, "h", request->bytes);
    ks_range(out, KS_REQUEST, 0, 1, "n", "x_n");
    ks_range(out, KS_REQUEST, 1, 2, "m", "");
    ks_point(out, KS_REQUEST, 1, "no point of a timeline", KS_CLIENT);
    ks_code(out, KS_REQUEST, "c", ks_literal("SELECT 1"), "application/sql");
    ks_range(out, KS_REQUEST, 1, 2, "no range of a dump", "");
    ks_image(out, KS_REQUEST, "i", request->bytes, "image/png");
    ks_hex(out, KS_REQUEST, "empty", ks_literal(""));
    ks_timeline(out, KS_REQUEST, "empty");
    return true;
}

const ks_plugin_hooks ks_plugin = {.render = render};
"""
PAYLOADS = [
    b"\0\1boot.img\0octet\0blksize\x001024\0tsize\x000\0",
    b"\0\3\0\1" + bytes(range(256)) * 2,
    b"\0\4\0\1",
    b'\0\5\0\1File "not"\n found\xff\0',
    b"\0\6na\xe2\x82me\0\xf0\x9f\x90\x9f\0",
    b"",
]
ROOM = 64 << 10


@pytest.fixture(scope="module")
def program(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(root, tmp_path_factory.mktemp("asan"), MAIN)


def compiled(root: Path, folder: Path, main: str) -> Path:
    (folder / "main.c").write_text(main)
    flags = ["-std=c11", "-g", "-O1", "-Wall", "-Wextra", "-Wconversion", "-Werror"]
    sanitizers = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    includes = [
        f"-I{root / 'extension_api' / 'sdk' / 'c'}",
        f"-I{root / 'examples' / 'plugins' / 'c' / 'tftp' / 'src'}",
    ]
    for compiler in filter(None, map(shutil.which, ("clang", "gcc"))):
        command = [compiler, *flags, *sanitizers, *includes, "-o", "fuzz", "main.c"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if "libasan" not in done.stderr and "libclang_rt" not in done.stderr:
            break  # it has the sanitizers' libraries
    else:
        pytest.skip("no compiler with sanitizers is installed: apt-get install gcc")
    assert done.returncode == 0, done.stderr
    return folder / "fuzz"


@pytest.fixture(scope="module")
def manifest(root: Path) -> Manifest:
    return read_manifest(root / "examples" / "plugins" / "c" / "tftp")


def run(program: Path, cases: list[tuple[int, int, bytes]]) -> list[tuple[int, bytes]]:
    data = b"".join(struct.pack("<III", hook, room, len(request)) + request for hook, room, request in cases)
    environment = {**os.environ, "ASAN_OPTIONS": "detect_leaks=1", "UBSAN_OPTIONS": "print_stacktrace=1"}
    done = subprocess.run([program], input=data, capture_output=True, env=environment, timeout=100, check=False)
    assert done.returncode == 0, done.stderr.decode("utf-8", "replace")[-4000:]
    answers, at = [], 0
    for _ in cases:
        (written,) = struct.unpack_from("<q", done.stdout, at)
        at += 8
        answers.append((written, done.stdout[at : at + max(0, written)]))
        at += max(0, written)
    return answers


def request(hook: int, payloads: list[bytes]) -> bytes:
    items = [FrameItem(payload, index, transport=17, server_port=69) for index, payload in enumerate(payloads)]
    out = bytearray(request_size([len(payload) for payload in payloads]))
    encode_request(hook, items, out)
    return bytes(out)


VALUES = [encode_values([500, 501, 0]), encode_values([500, "x", 0]), b"", b"\xff" * 8]
REQUESTS = {
    PROBE: request(PROBE, PAYLOADS),
    DISSECT: request(DISSECT, PAYLOADS),
    FILTER: request(FILTER, VALUES[:3]),
    RENDER: request(RENDER, PAYLOADS),
}


def test_every_hook_answers_what_the_decoder_takes(program: Path, manifest: Manifest) -> None:
    answers = dict(zip(REQUESTS, run(program, [(hook, ROOM, data) for hook, data in REQUESTS.items()]), strict=True))
    assert len(decode_probe(memoryview(answers[PROBE][1]), 6)) == 6
    assert decode_filter(memoryview(answers[FILTER][1]), 3) == [True, None, None]
    dissected = decode_dissect(memoryview(answers[DISSECT][1]), PAYLOADS, manifest.field_types)
    assert [message.item for message in dissected.messages] == [0, 1, 2, 3, 4, 5]
    assert dissected.messages[4].fields[7] == {"na\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}me": "\N{FISH}"}
    for text in decode_render(memoryview(answers[RENDER][1]), 3):
        parse_representation(text, "tftp@1.0.0")


def test_every_section_of_a_representation(root: Path, tmp_path: Path) -> None:
    (tmp_path / "drawer.c").write_text(DRAWER)
    program = compiled(root, tmp_path, MAIN.replace("tftp.c", "drawer.c"))
    ((_, answer),) = run(program, [(RENDER, ROOM, request(RENDER, [b"a\xff", b""]))])
    (text,) = decode_render(memoryview(answer), 1)
    shown = parse_representation(bytes(text), "x").request
    assert [section.type for section in shown] == ["timeline", "hex", "code", "image", "hex", "timeline"]
    assert shown[0].points == (TimelinePoint(0, '"a"', "client"), TimelinePoint(1 << 40, "b", "server"))
    assert (shown[1].body, shown[1].ranges) == ("Yf8=", (ByteRange(0, 1, "n", "x_n"), ByteRange(1, 2, "m")))
    assert (shown[2].body, shown[2].mime_type, shown[2].encoding) == ("SELECT 1", "application/sql", "")
    assert (shown[3].body, shown[3].mime_type, shown[3].encoding) == ("Yf8=", "image/png", "base64")
    assert (shown[4].ranges, shown[5].points) == ((), ())


def test_too_little_room_says_how_much_is_needed(program: Path) -> None:
    for hook, data in REQUESTS.items():
        needed = run(program, [(hook, 0, data)])[0][0]
        assert needed < -32
        cases = [(hook, room, data) for room in (1, 31, 32, 33, -needed - 1, -needed)]
        assert [written for written, _ in run(program, cases)] == [needed] * 5 + [-needed]


def test_mutated_requests_break_nothing(program: Path, manifest: Manifest) -> None:
    chance = random.Random(20260314)
    cases = []
    for _ in range(4000):
        hook, data = chance.choice(list(REQUESTS.items()))
        mutated = bytearray(data)
        for _ in range(chance.randrange(1, 6)):
            at = chance.choice((chance.randrange(len(mutated)), chance.randrange(32 + 48 * 3)))
            mutated[at] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)))
        if chance.random() < 0.2:
            del mutated[chance.randrange(len(mutated)) :]
        cases.append(
            (chance.choice((hook, hook, hook, chance.randrange(40))), chance.choice((ROOM, 200)), bytes(mutated))
        )
    answered = 0
    for (hook, _, _), (written, data) in zip(cases, run(program, cases), strict=True):
        if hook == DISSECT and written > 0:
            answered += 1
            try:  # the request was mutated: its payloads may differ, its structure may not
                decode_dissect(memoryview(data), PAYLOADS, manifest.field_types)
            except KubesharkError as error:
                assert "outside" in str(error) or "consumed" in str(error) or "items" in str(error)
    assert answered > 100
