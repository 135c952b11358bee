"""What a broker answers, whatever it is asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeshark.extension_api._frame import DISSECT, JOB, START
from kubeshark.extension_api._permissions import Grants
from kubeshark.extension_api._services import MAX_MESSAGE, Status, pack, unpack
from kubeshark.hosts.broker import AskedTooMuchError, Broker, ServiceError
from kubeshark.hosts.broker import _broker as module


def broker(hosts: tuple[str, ...] = (), paths: tuple[str, ...] = (), **settings: Any) -> Broker:
    made = Broker(Grants.parse(hosts, paths), **settings)
    made.begin(JOB)
    return made


def ask(served: Broker, *parts: str | bytes) -> tuple[Status, list[bytes]]:
    encoded = [part.encode() if isinstance(part, str) else part for part in parts]
    code, answer = unpack(served.answer(pack(0, encoded)))
    return Status(code), answer


def test_files_below_what_was_granted(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    served = broker(paths=("data", f"ro:{shared}", str(shared / "out")), own_folder=tmp_path / "own")
    assert ask(served, "file_write", "data/f", b"\x00\xff") == (Status.OK, [])
    assert ask(served, "file_append", "data/f", "x") == (Status.OK, [])
    assert ask(served, "file_read", "data/f") == (Status.OK, [b"\x00\xffx"])
    assert ask(served, "file_make_folder", "data/g/h") == (Status.OK, [])
    assert ask(served, "file_move", "data/f", "data/g/f") == (Status.OK, [])
    assert ask(served, "file_list", "data/g") == (Status.OK, [b"f", b"file", b"3", b"h", b"folder", b"0"])
    assert ask(served, "file_delete", "data/g") == (Status.OK, [])
    assert list((tmp_path / "own").iterdir()) == []
    (shared / "in").write_bytes(b"1")
    assert ask(served, "file_read", f"{shared}/in") == (Status.OK, [b"1"])
    status, (reason,) = ask(served, "file_write", f"{shared}/in", b"2")
    assert (status, reason) == (Status.FAILED, b"in: the folder is granted for reading only")
    (shared / "out").mkdir()
    assert ask(served, "file_write", f"{shared}/out/f", b"2") == (Status.OK, [])  # the longer grant counts
    for path in ("/etc/passwd", "data2/f", f"{shared}x/f", "", "f", "../x", f"{shared}/../x"):
        status, (reason,) = ask(served, "file_read", path)
        assert status in (Status.REFUSED, Status.FAILED), path
        assert b"not granted" in reason or b".." in reason
    served.close()
    assert ask(served, "file_read", f"{shared}/in")[0] is Status.FAILED


def test_a_request_goes_out_and_comes_back(web: Any) -> None:
    served = broker((web.host,))
    status, answer = ask(served, "http", "POST", f"http://{web.host}/say/hi", "X-A: 1\r\nX-B:2\n", b"body")
    assert (status, answer[0], answer[1], answer[4]) == (Status.OK, b"200", b"Said So", b"hi")
    assert b"X-Kind: plain\n" in answer[3]
    assert (web.asked[0][2]["x-a"], web.asked[0][2]["x-b"]) == ("1", "2")
    status, (reason,) = ask(served, "http", "GET", "http://hooks.example/", "", "")
    assert (status, reason) == (Status.REFUSED, b'permission "hosts: hooks.example" not granted')
    assert ask(served, "http", "GET", "nonsense", "", "")[0] is Status.FAILED
    assert ask(served, "http", "GET", f"http://{web.host}/", "no colon", "")[0] is Status.INVALID
    served.cancel()
    assert ask(served, "http", "GET", f"http://{web.host}/say/x", "", "") == (
        Status.FAILED,
        [b"the plugin is being closed"],
    )


def test_hot_hooks_and_nonsense_are_refused(tmp_path: Path) -> None:
    served = broker(paths=("data",), own_folder=tmp_path)
    assert ask(served, "nothing")[0] is Status.INVALID
    assert ask(served)[0] is Status.INVALID
    assert ask(served, "file_read")[0] is Status.INVALID
    assert ask(served, "file_read", "data/x", "y")[0] is Status.INVALID
    assert ask(served, "file_read", b"data/\xff")[0] is Status.INVALID
    assert unpack(served.answer(pack(7, [b"file_read", b"data/x"])))[0] == Status.INVALID
    served.begin(DISSECT)
    status, (reason,) = ask(served, "file_write", "data/x", "")
    assert status is Status.REFUSED
    assert reason.startswith(b"file_write cannot be asked for in dissect, only in segment_sealed, job")
    assert list(tmp_path.iterdir()) == []


@given(st.binary(max_size=200), st.lists(st.binary(max_size=30), max_size=6))
def test_any_bytes_get_an_answer(data: bytes, parts: list[bytes]) -> None:
    served = broker(("127.0.0.1:1",), ("data",), own_folder=Path("/nonexistent/kubeshark/data"))
    for request in (data, pack(0, parts), pack(0, [b"file_read", *parts]), pack(0, [b"http", *parts])):
        code, _ = unpack(served.answer(request))
        assert code != Status.OK


def test_too_many_requests_end_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_REQUESTS", 3)
    served = broker()
    for _ in range(3):
        assert ask(served, "file_read", "x")[0] is Status.REFUSED
    with pytest.raises(AskedTooMuchError, match="more than 3 things in one call"):
        ask(served, "file_read", "x")
    served.begin(START, 0.0)
    with pytest.raises(AskedTooMuchError, match="more than 0 s"):
        ask(served, "file_read", "x")
    served.begin(JOB)
    assert ask(served, "file_read", "x")[0] is Status.REFUSED


def test_an_answer_that_is_too_large_is_a_failure(tmp_path: Path) -> None:
    served = broker(paths=("data",), own_folder=tmp_path, operations={"much": lambda _: [bytes(MAX_MESSAGE)]})
    status, (reason,) = ask(served, "much")
    assert status is Status.FAILED
    assert b"at most 8,388,608 fit" in reason
    (tmp_path / "large").write_bytes(bytes(MAX_MESSAGE))
    assert ask(served, "file_read", "data/large")[0] is Status.FAILED


def test_a_host_adds_operations_and_replaces_none(tmp_path: Path) -> None:
    def match(parts: Any) -> list[bytes]:
        if parts[0] != b"tcp":
            raise ServiceError(Status.INVALID, "1:5: unexpected token")
        return [b"1"]

    served = broker(operations={"kfl_match": match, "file_read": lambda _: [b"stolen"]}, hooks=1 << DISSECT)
    served.begin(DISSECT)
    assert ask(served, "kfl_match", "tcp") == (Status.OK, [b"1"])
    assert ask(served, "kfl_match", "x") == (Status.INVALID, [b"1:5: unexpected token"])
    assert ask(served, "file_read", "data/x")[0] is Status.REFUSED
    served.begin(JOB)
    assert ask(served, "kfl_match", "tcp")[0] is Status.REFUSED
