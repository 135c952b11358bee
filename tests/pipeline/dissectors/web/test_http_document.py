"""Headers, queries, cookies and forms as entries show them."""

from __future__ import annotations

import gzip
import zlib
from typing import Any

import pytest

from kubeshark.pipeline.dissectors.web._http_document import (
    MAX_PAIRS,
    request_detail,
    response_detail,
    segments_of,
)
from kubeshark.pipeline.dissectors.web._http_fields import NO_FIELDS, fields_of

Headers = list[tuple[str, str]]

SUMMARY: dict[str, Any] = {
    "method": "POST",
    "url": "/a?b=c",
    "path": "/a",
    "path_segments": ["a"],
    "http_version": "HTTP/1.1",
    "request_headers_size": 9,
    "status_code": 200,
    "content_type": "",
    "response_headers_size": 9,
}


def request(headers: Headers, body: bytes = b"", **summary: Any) -> dict[str, Any]:
    return dict(request_detail(SUMMARY | summary, "/a", fields_of(headers), body, len(body), cut=False)[1])


@pytest.mark.parametrize(
    ("path", "segments"),
    [
        ("/v1/a%20b/17", ["v1", "a b", "17"]),
        ("/", []),
        ("", []),
        ("//a//b/", ["a", "b"]),
        ("*", ["*"]),
        ("/%ff", ["\ufffd"]),
    ],
)
def test_segments_of_a_path(path: str, segments: list[str]) -> None:
    assert segments_of(path) == segments


def test_form() -> None:
    post = request([("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")], b"a=1&b=x+y%21&a=&c")[
        "postData"
    ]
    assert [(param["name"], param["value"]) for param in post["params"]] == [
        ("a", "1"),
        ("a", ""),
        ("b", "x y!"),
        ("c", ""),
    ]


def test_multipart_form() -> None:
    body = (
        b'--XX\r\nContent-Disposition: form-data; name="note"\r\n\r\nhello\r\n'
        b'--XX\r\ncontent-disposition: form-data; name="f"; filename="a.png"\r\n'
        b"Content-Type: image/png\r\n\r\n\x89PNG\0\r\n"
        b"--XX--\r\n"
    )
    post = request([("Content-Type", 'multipart/form-data; boundary="XX"')], body)["postData"]
    assert post["params"] == [
        {"name": "note", "value": "hello", "fileName": "", "contentType": ""},
        {"name": "f", "value": "", "fileName": "a.png", "contentType": "image/png"},
    ]
    assert post["encoding"] == "base64"


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ([("Content-Type", "multipart/form-data")], b"--\r\n"),
        ([("Content-Type", "multipart/form-data; boundary=")], b"----"),
        ([("Content-Type", "text/plain")], b"a=b"),
        ([], b"a=b"),
    ],
)
def test_other_bodies_have_no_params(headers: Headers, body: bytes) -> None:
    assert request(headers, body)["postData"]["params"] == []


def test_pairs_are_bounded() -> None:
    many = "&".join(f"k{n}=v" for n in range(5000))
    shown = request([("Cookie", many.replace("&", ";"))], url="/a?" + many)
    assert (len(shown["queryString"]), len(shown["cookies"])) == (MAX_PAIRS, MAX_PAIRS)


def test_a_cut_body_is_marked() -> None:
    variables, document = request_detail(SUMMARY, "/a", NO_FIELDS, b"abc", 3_000_000, cut=True)
    assert document["postData"]["bodyTruncated"] is True
    assert variables["request_body_truncated"] is True


def test_a_coding_that_is_not_undone_is_said() -> None:
    _, document = response_detail(
        SUMMARY, "OK", fields_of([("Content-Encoding", "dcb")]), NO_FIELDS, b"\x0b\x02", 2, cut=False
    )
    assert document["content"] == {
        "size": 2,
        "mimeType": "",
        "encoding": "",
        "text": "\x0b\x02",
        "comment": "content coding 'dcb' is not undone",
    }


def test_quoted_parameters_of_a_part() -> None:
    body = b'--XX\r\nContent-Disposition: form-data; name="a;b"; filename="x\\"y;z.txt"\r\n\r\n1\r\n--XX--\r\n'
    (param,) = request([("Content-Type", 'multipart/form-data; boundary="XX"')], body)["postData"]["params"]
    assert (param["name"], param["fileName"], param["value"]) == ("a;b", 'x"y;z.txt', "1")


@pytest.mark.parametrize(
    ("transfer", "content"), [("gzip, chunked", ""), ("GZIP", ""), ("deflate, chunked", "gzip"), ("chunked", "gzip")]
)
def test_transfer_codings_are_undone(transfer: str, content: str) -> None:
    body = gzip.compress(b"hello") if "gzip" in (content, transfer.lower().partition(",")[0]) else b"hello"
    body = zlib.compress(body) if "deflate" in transfer else body
    headers = [("Transfer-Encoding", transfer), *([("Content-Encoding", content)] if content else [])]
    assert request(headers, body)["postData"]["text"] == "hello"
