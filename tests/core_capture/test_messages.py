"""Rows of the C core as numpy sees them, and streams that are made when they are looked at."""

from __future__ import annotations

import numpy as np
import pytest

from kubeshark.core_capture import EXCHANGE, MESSAGE, NO_MESSAGE, ROW, SCANNERS, Assembled, Scanned, load_core
from tests.pipeline._traffic import Capture, Connection, dns

native = pytest.importorskip("kubeshark.core_capture._core_native", reason="needs the C core: apt-get install gcc")
ffi = native.ffi


def assembled(capture: Capture) -> Assembled:
    (segment,) = capture.segments()
    streams = load_core("native").assemble(segment.decoded, range(len(segment.flows)))
    assert isinstance(streams, Assembled)
    return streams


def two_flows() -> Assembled:
    capture = Capture()
    Connection(capture).open().ask().answer()
    capture.add(dns(7))
    capture.add(dns(7, answer=True))
    return assembled(capture)


@pytest.mark.parametrize(("dtype", "name"), [(MESSAGE, "kc_message"), (EXCHANGE, "kc_exchange")])
def test_rows_are_laid_out_as_in_c(dtype: np.dtype[np.void], name: str) -> None:
    assert dtype.itemsize == ffi.sizeof(name)
    assert {field: dtype.fields[field][1] for field in dtype.names or ()} == {  # type: ignore[index]
        field: ffi.offsetof(name, field) for field, _ in ffi.typeof(name).fields
    }


def test_a_row_read_at_once_is_what_its_fields_are() -> None:
    raw = bytes(range(1, 1 + MESSAGE.itemsize))
    row = np.frombuffer(raw, dtype=MESSAGE)[0]
    alone = [int(row[name]) for name in (MESSAGE.names or ()) if name not in ("number", "text")]
    texts = [int(place) for text in row["text"] for place in text]
    assert ROW.unpack(raw) == (*alone, *map(int, row["number"]), *texts)


def test_a_stream_is_made_once_when_it_is_looked_at() -> None:
    streams = two_flows()
    assert len(streams) == 2
    assert streams[0] is streams[0]
    assert [each.flow for each in streams] == [each.flow for each in streams[0:2]] == [0, 1]
    assert streams[-1].flow == 1
    with pytest.raises(IndexError):
        streams[2]


def test_heads_are_padded_and_counted() -> None:
    heads, lengths = two_flows().heads(40)
    assert heads.shape == (2, 2, 40)
    assert heads[0, 0].tobytes() == b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n".ljust(40, b"\0")
    assert lengths.tolist() == [[28, 40], [24, 24]]
    assert heads[1, 1, :2].tobytes() == b"\0\7"


def test_scans_say_who_found_what() -> None:
    streams = two_flows()
    found = streams.scan([("dns", np.array([1])), ("http", np.array([0]))])
    assert found.taken.tolist() == [True, True]
    assert found.owner.tolist() == [0, 1]
    assert found.exchanges["stream"].tolist() == [1, 0]
    assert found.texts(found.exchanges["request"], 0) == [b"a.test", b"GET"]
    assert NO_MESSAGE not in found.exchanges["response"].tolist()


def test_a_stream_of_another_protocol_is_left() -> None:
    found = two_flows().scan([("http", np.array([1])), ("dns", np.array([0]))])
    assert not found.taken.any()
    assert (len(found.messages), len(found.exchanges), found.text) == (0, 0, b"")


def test_a_stream_that_is_not_there_is_an_error() -> None:
    with pytest.raises(IndexError):
        two_flows().scan([("http", np.array([2]))])


@pytest.mark.parametrize("name", SCANNERS)
def test_nothing_to_scan(name: str) -> None:
    found: Scanned = two_flows().scan([(name, np.array([], dtype=np.int64))])
    assert len(found.exchanges) == 0
