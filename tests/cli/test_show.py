"""kubeshark show --hex: the bytes of an entry, all of them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kubeshark import Pipeline
from kubeshark.cli import main
from kubeshark.extension_api import MessageKind


def test_hex_is_every_byte(tmp_path: Path, sample: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = tmp_path / "store"
    assert main(["import", str(sample), "--store", str(store)]) == 0
    with Pipeline.open(store) as pipeline:
        entry = next(iter(pipeline.query("http && status_code == 200 && response_body_size > 600")))
        sent = [entry.raw(kind) for kind in (MessageKind.REQUEST, MessageKind.RESPONSE)]
        connection = next(iter(pipeline.query("conn")))
    assert all(len(data) > 16 for data in sent)
    capsys.readouterr()
    assert main(["show", entry.id, "--store", str(store)]) == 0
    plain = capsys.readouterr().out
    assert main(["show", entry.id, "--hex", "--store", str(store)]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(plain)
    dumps = re.split(r"(?:REQUEST|RESPONSE) BYTES", shown[len(plain) :])[1:]
    lines = [re.findall(r"^    [0-9a-f]{4,}  (.{47})  ", dump, re.MULTILINE) for dump in dumps]
    assert [bytes.fromhex(" ".join(each)) for each in lines] == sent
    assert main(["show", connection.id, "--hex", "--store", str(store)]) == 0
    assert "BYTES" not in capsys.readouterr().out
    assert main(["show", entry.id, "--hex", "--output", "json", "--store", str(store)]) == 2
