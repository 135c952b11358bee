"""What tests of example plugins share: entries of a capture through the command line, and bytes fed in pieces."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from kubeshark.cli import main
from kubeshark.extension_api._frame import (
    DISSECT,
    REQUEST_BYTES,
    RESULT_BYTES,
    FrameItem,
    FrameMessage,
    ItemFlag,
    decode_dissect,
    encode_request,
)
from kubeshark.extension_api._manifest import Manifest, read_manifest
from kubeshark.hosts._instance import Instance
from kubeshark.pipeline.plugins._stage import Stage


class Feeder:
    """Feeds one side's bytes to a plugin in this process, as hosts/_feed.py does: what it leaves comes again."""

    def __init__(self, instance: Instance, manifest: Manifest) -> None:
        self.instance = instance
        self.manifest = manifest
        self._request = memoryview(bytearray(REQUEST_BYTES))
        self._result = memoryview(bytearray(RESULT_BYTES))

    def call(self, hook: int, items: Sequence[FrameItem]) -> memoryview:
        length = encode_request(hook, items, self._request)
        return self._result[: self.instance.call(hook, self._request[:length], self._result)]

    def feed(self, data: bytes, cuts: Sequence[int] = (), *, direction: int = 0, gap: bool = False) -> list[Any]:
        """Return (kind, start, end, key, fields, error, one-way) of each message; `cuts` are where pieces end."""
        found: list[Any] = []
        start = 0
        for end in [*sorted(cuts), len(data)]:
            flags = ItemFlag.LAST if end == len(data) else ItemFlag(0)
            if start == 0:
                flags |= ItemFlag.FIRST | (ItemFlag.GAP if gap else 0)
            item = FrameItem(data[start:end], direction=direction, flags=flags, base=start)
            answer = decode_dissect(self.call(DISSECT, [item]), [item.payload], self.manifest.field_types)
            found += [self._shown(message, start) for message in answer.messages]
            start += answer.consumed[0]
        return found

    def _shown(self, message: FrameMessage, start: int) -> Any:
        fields = {self.manifest.fields[number].name: value for number, value in message.fields.items()}
        place = start + message.start, start + message.end
        return message.kind.name, *place, message.key, fields, message.error, message.one_way


Entries = Callable[[Path, str], list[dict[str, Any]]]


@pytest.fixture
def entries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Entries:
    """Install a plugin's folder, dissect its capture, return each entry's variables that are not defaults."""
    monkeypatch.setenv("KUBESHARK_PLUGINS", str(tmp_path))

    def dissect(folder: Path, kfl: str) -> list[dict[str, Any]]:
        manifest = read_manifest(folder)
        if not (tmp_path / manifest.id).exists():
            with Stage(folder) as stage:
                stage.commit()
        (capture,) = (folder / "tests").glob("*.pcap")
        fields = ",".join([*(row.variable for row in manifest.fields if row.variable), "error_message"])
        assert main(["dissect", str(capture), "--filter", kfl, "--output", "jsonl", "--fields", fields]) == 0
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        return [{name: value for name, value in line.items() if value not in ("", 0, [], {})} for line in lines]

    return dissect


@pytest.fixture(scope="session")
def copy_of(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Callable[[str], Path]:
    """Copy an example's folder (`go/stomp`): building writes into it."""

    def copy(example: str) -> Path:
        folder = tmp_path_factory.mktemp("example") / Path(example).name
        shutil.copytree(root / "examples" / "plugins" / example, folder, ignore=shutil.ignore_patterns("build"))
        return folder

    return copy


@pytest.fixture(scope="session")
def expected() -> Callable[[Path], list[dict[str, Any]]]:
    def read(folder: Path) -> list[dict[str, Any]]:
        (file,) = (folder / "tests").glob("*.expected.jsonl")
        return [json.loads(line) for line in file.read_text("utf-8").splitlines()]

    return read


@pytest.fixture(scope="session")
def feeder() -> type[Feeder]:
    return Feeder
