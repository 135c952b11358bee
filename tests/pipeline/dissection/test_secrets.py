"""TLS secrets from files, the environment and captures: who sees decrypted traffic, and where secrets are not."""

from __future__ import annotations

import os
import ssl
from collections.abc import Sequence
from pathlib import Path

import pytest

from kubeshark import Pipeline
from kubeshark.core_capture import RawBlock
from kubeshark.errors import InputError
from kubeshark.extension_api import Message, MessageKind, ProtocolSpec, Stream, Verdict, hookimpl
from kubeshark.pipeline import Entry, FileDissection, Plugins
from kubeshark.pipeline.dissection._secrets import (
    LiveSecrets,
    block_secrets,
    key_log_files,
    read_key_log,
    read_key_logs,
    secrets_block,
)
from tests.pipeline._live import LiveCapture, packets_of

from ..tls._exchange import Exchange, exchange

REQUEST = b"GET /cart HTTP/1.1\r\nHost: shop.example\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
TALK = ((0, REQUEST), (1, ANSWER))


@pytest.fixture(scope="module")
def found() -> Exchange:
    return exchange(TALK, alpn=["http/1.1"])


@pytest.fixture
def file(tmp_path: Path, found: Exchange) -> Path:
    path = tmp_path / "shop.pcap"
    path.write_bytes(found.pcap())
    return path


@pytest.fixture
def keys(tmp_path: Path, found: Exchange) -> Path:
    path = tmp_path / "keys.log"
    path.write_text(found.keys)
    return path


def dissected(file: Path, kfl: str = "", keylogs: Sequence[Path] = ()) -> list[Entry]:
    with FileDissection([str(file)], kfl, plugins=Plugins(), keylogs=keylogs) as dissection:
        entries = list(dissection)
        assert dissection.problems == []
        return entries


def opened(tmp_path: Path, keylogs: Sequence[Path] = ()) -> Pipeline:
    return Pipeline.open(tmp_path / "store", plugins=Plugins(), keylogs=keylogs)


def test_key_log_file(file: Path, keys: Path) -> None:
    assert dissected(file, "http") == []
    (entry,) = dissected(file, "http", [keys])
    values = ("tls", "capture_source", "capture_source_code", "method", "url", "status_code", "tls_info", "tls_summary")
    assert [entry.get(name) for name in values] == [True, "keylog", 101, "GET", "/cart", 200, "HTTP", "/cart"]
    assert entry.get("tls_total_size") == len(REQUEST) + len(ANSWER)
    assert entry.raw(MessageKind.REQUEST) == REQUEST
    document = entry.to_dict()
    assert (document["tls"], document["captureSource"]) == (True, 101)
    assert document["capture"] == {"backend": "file", "source": "keylog", "proxy": None, "vlan": None}
    assert document["response"]["content"]["text"] == "ok"


def test_handshake_stays_an_entry_of_its_own(file: Path, keys: Path) -> None:
    without, with_keys = dissected(file, "tlsx"), dissected(file, "tlsx", [keys])
    assert [entry.id for entry in without] == [entry.id for entry in with_keys]
    assert with_keys[0].get("tls") is False
    assert with_keys[0].get("tls_total_size") == 0
    assert [entry.get("protocol") for entry in dissected(file, "!conn", [keys])] == ["TLS", "HTTP"]
    assert dissected(file, "conn", [keys])[0].document()["event"]["data"]["l7Detected"] == ["TLS", "HTTP"]


@pytest.mark.parametrize("kfl", ["https", "tls && http", "tls", 'capture_source == "keylog"', "method == 'GET'"])
def test_filters_reach_decrypted_entries(kfl: str, file: Path, keys: Path) -> None:
    assert len(dissected(file, kfl.replace("'", '"'), [keys])) == 1


def test_environment(file: Path, keys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "other.log"
    other.write_text("# nothing\n")
    monkeypatch.setenv("KUBESHARK_KEYLOG", os.pathsep.join([str(other), str(keys)]))
    assert key_log_files([file]) == [file, other, keys]
    assert len(dissected(file, "https")) == 1


def test_store_with_a_key_log_at_the_query(tmp_path: Path, file: Path, keys: Path) -> None:
    with opened(tmp_path) as store:
        store.import_file(file)
        assert list(store.query("http")) == []
    with opened(tmp_path, [keys]) as store:
        (entry,) = store.query("http")
        again = store.entry(entry.id)
        assert again
        assert again.to_dict() == entry.to_dict()


def test_key_log_stored_with_the_capture(tmp_path: Path, file: Path, keys: Path, found: Exchange) -> None:
    with opened(tmp_path) as store:
        store.import_file(file, keylogs=[keys])
        (entry,) = store.query("https")
        again = store.entry(entry.id)
        assert again
        assert again.to_dict() == entry.to_dict()
        store.export("", tmp_path / "out.pcapng", format="pcapng")
    secret = found.keys.split()[2]
    for path in (tmp_path / "store").iterdir():
        assert secret.encode() not in path.read_bytes()
    assert len(dissected(tmp_path / "out.pcapng", "https")) == 1


def test_key_log_for_a_capture_that_is_there(tmp_path: Path, file: Path, keys: Path) -> None:
    with opened(tmp_path) as store:
        store.import_file(file)
        for _ in range(2):
            result = store.import_file(file, keylogs=[keys])
            assert result.already_there
        assert len(list(store.query("https"))) == 1
        assert store.info()["segments"] == 2
        store.export("", tmp_path / "out.pcapng", format="pcapng")
        store.export("dst.port == 443", tmp_path / "part.pcapng", format="pcapng")
    assert len(dissected(tmp_path / "out.pcapng", "https")) == 1
    assert len(dissected(tmp_path / "part.pcapng", "https")) == 1


def test_secrets_of_a_pcapng(tmp_path: Path, file: Path, keys: Path) -> None:
    with opened(tmp_path) as store:
        store.import_file(file, keylogs=[keys])
        store.export("", tmp_path / "with.pcapng", format="pcapng")
    with Pipeline.open(tmp_path / "second", plugins=Plugins()) as store:
        store.import_file(tmp_path / "with.pcapng")
        assert len(list(store.query("https"))) == 1
        assert len(list(store.query("tlsx"))) == 1


def test_what_is_no_key_log(tmp_path: Path, file: Path, keys: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        dissected(file, "", [tmp_path / "missing"])
    with opened(tmp_path) as store, pytest.raises(InputError, match="no TLS secrets"):
        store.import_file(file, keylogs=[file])
    keys.write_text(keys.read_text() + "nonsense\n")
    with FileDissection([str(file)], plugins=Plugins(), keylogs=[keys]) as dissection:
        list(dissection)
        assert dissection.report() == ["1 lines of the key logs are no key-log lines"]
        assert dissection.exit_code == 0
    with opened(tmp_path, [keys]) as store:
        store.import_file(file)
        query = store.query("https")
        assert len(list(query)) == 1
        assert query.notices == ["1 lines of the key logs are no key-log lines"]


def test_key_logs_are_bounded(keys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kubeshark.pipeline.dissection._secrets.MAX_KEYLOG_BYTES", 10)
    with pytest.raises(InputError, match="more than 10 bytes"):
        read_key_log(keys)


def test_blocks(found: Exchange) -> None:
    block = secrets_block(found.keys.encode())
    assert len(block.body) % 4 == 0
    log = block_secrets(block)
    assert log
    assert len(log) == 1
    assert block_secrets(RawBlock(10, b"KSLT", 0)) is not None
    assert block_secrets(RawBlock(10, b"GNEW\4\0\0\0abcd", 0)) is None
    assert block_secrets(RawBlock(5, block.body, 0)) is None


class Spy:
    """A plugin that takes every stream and keeps all that it can see of it."""

    SPEC = ProtocolSpec("spy", "SPY", "Spy", priority=-1)

    def __init__(self) -> None:
        self.seen: list[object] = []

    @hookimpl
    def protocols(self) -> Sequence[ProtocolSpec]:
        return (self.SPEC,)

    @hookimpl
    def probe(self, protocol: ProtocolSpec, streams: Sequence[Stream]) -> Sequence[Verdict]:
        self.look(streams)
        return [Verdict.NOT_MINE] * len(streams)

    @hookimpl
    def dissect(self, protocol: ProtocolSpec, streams: Sequence[Stream]) -> Sequence[Sequence[Message]]:
        return [[] for _ in streams]

    def look(self, values: Sequence[object], depth: int = 0) -> None:
        for value in values:
            if isinstance(value, bytes | bytearray | memoryview | str):
                self.seen.append(bytes(value) if not isinstance(value, str) else value.encode())
            elif isinstance(value, list | tuple):
                self.look(value, depth)
            elif type(value).__module__.startswith("kubeshark.") and depth < 6:
                names = [name for name in dir(value) if not name.startswith("__")]
                self.look([got for name in names if not callable(got := getattr(value, name, None))], depth + 1)


def test_streams_hold_no_secrets(tmp_path: Path) -> None:
    found = exchange(TALK)
    file, keys = tmp_path / "spied.pcap", tmp_path / "keys.log"
    file.write_bytes(found.pcap(port=8444))
    keys.write_text(found.keys)
    plugins, spy = Plugins(), Spy()
    plugins.manager.register(spy, "spy")
    plugins._index()
    with FileDissection([str(file)], plugins=plugins, keylogs=[keys]) as dissection:
        entries = list(dissection)
    seen = b"".join(spy.seen)  # type: ignore[arg-type]
    assert REQUEST in seen  # the plugin sees what was decrypted
    for line in found.keys.splitlines():
        if not line.startswith("#"):
            secret = line.split()[2]
            assert secret.encode() not in seen
            assert bytes.fromhex(secret) not in seen
            assert secret not in str([entry.to_dict() for entry in entries])


def test_old_versions_too(tmp_path: Path) -> None:
    old = exchange(TALK, version=ssl.TLSVersion.TLSv1_2, alpn=["http/1.1"])
    (tmp_path / "old.pcap").write_bytes(old.pcap())
    (tmp_path / "keys").write_text(old.keys)
    assert len(dissected(tmp_path / "old.pcap", "https", [tmp_path / "keys"])) == 1


def test_a_live_view_reads_a_key_log_that_grows(tmp_path: Path, file: Path, found: Exchange) -> None:
    """As a browser's does: its keys come with the connections."""
    keys = tmp_path / "growing.log"
    keys.write_text("# nothing yet\n")
    ((link_type, records),) = packets_of(file).items()
    with opened(tmp_path, [keys]) as store:
        live = LiveCapture(tmp_path / "store", store.store.identities[0], link_type)
        follow = store.follow("http")
        assert not any(map(len, follow.look()))
        with keys.open("a") as log:
            log.write(found.keys)
        live.add(records)
        told = [entry.id for run in follow.look() for entry in run]
        follow.close()
    with opened(tmp_path, [keys]) as store:
        assert told == [entry.id for entry in store.query("http")] != []


def test_a_live_view_keeps_its_secrets_while_a_key_log_is_away(tmp_path: Path, keys: Path) -> None:
    with opened(tmp_path) as store:
        secrets = LiveSecrets(read_key_logs([keys]), [keys], store.store)
        assert secrets.step(brings_some=False) is not None
        keys.unlink()
        assert secrets.step(brings_some=False) is not None
        assert secrets.problems == []
