"""--keylog, as a user gives it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.pipeline.dissection.test_secrets import TALK
from tests.pipeline.tls._exchange import exchange

from .._command import kubeshark

FIELDS = ("--output", "jsonl", "--fields", "id,tls,url")


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    found = exchange(TALK, alpn=["http/1.1"])
    (tmp_path / "shop.pcap").write_bytes(found.pcap())
    path = tmp_path / "keys.log"
    path.write_text(found.keys)
    return path


def test_dissect_import_query_show(tmp_path: Path, keys: Path) -> None:
    capture = tmp_path / "shop.pcap"
    places = {"KUBESHARK_STORE": str(tmp_path / "store"), "KUBESHARK_IDENTITY": str(tmp_path / "identity.age")}
    one = kubeshark("dissect", capture, "--filter", "https", "--keylog", keys, *FIELDS)
    assert json.loads(one.stdout)["url"] == "/cart"
    assert kubeshark("import", capture, **places).returncode == 0
    assert kubeshark("query", "https", *FIELDS, **places).stdout == ""
    line = json.loads(kubeshark("query", "https", "--keylog", keys, *FIELDS, **places).stdout)
    assert (line["tls"], line["url"]) == (True, "/cart")
    assert "/cart" in kubeshark("show", line["id"], "--keylog", keys, **places).stdout
    assert kubeshark("show", line["id"], **places).returncode != 0
    assert kubeshark("query", "https", *FIELDS, **places, KUBESHARK_KEYLOG=str(keys)).stdout
    assert "already" in kubeshark("import", capture, "--keylog", keys, **places).stderr
    assert json.loads(kubeshark("query", "https", *FIELDS, **places).stdout) == line


def test_a_key_log_that_is_not_there(tmp_path: Path, keys: Path) -> None:
    done = kubeshark("dissect", tmp_path / "shop.pcap", "--keylog", tmp_path / "none")
    assert done.returncode in (1, 3)
    assert "key log cannot be read" in done.stderr
    assert len(done.stderr.splitlines()) == 1
