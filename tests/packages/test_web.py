"""Requests against a real HTTPS server: what is refused, and who sees which header."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from kubeshark.errors import PluginError
from kubeshark.packages import _web
from kubeshark.packages._web import TRIES, Web, origin, shown
from tests.packages._servers import Authority, Handler, Site, site

SECRET = "Bearer hush"


def to(target: str, status: int = 302) -> Callable[[Handler], None]:
    def answer(handler: Handler) -> None:
        handler.send_response(status)
        handler.send_header("Location", target)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


def test_a_page_and_a_file(web_site: Site, tmp_path: Path) -> None:
    web_site.pages["/a"] = b"hello"
    seen: list[tuple[int, int | None]] = []
    web = Web(progress=lambda done, total: seen.append((done, total)))
    assert web.send("GET", f"{web_site.url}/a").body == b"hello"
    answer = web.send("GET", f"{web_site.url}/a", into=tmp_path / "file")
    assert (answer.status, answer.body, (tmp_path / "file").read_bytes()) == (200, b"", b"hello")
    assert seen[-1] == (5, 5)
    assert web.send("GET", f"{web_site.url}/none", into=tmp_path / "other").status == 404
    assert not (tmp_path / "other").exists()
    assert web.send("HEAD", f"{web_site.url}/a").status == 200


def test_a_certificate_must_be_trusted(authority: Authority) -> None:
    with site(authority) as found, pytest.raises(PluginError, match="its certificate is not trusted"):
        Web().send("GET", f"{found.url}/")


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/x",
        "file:///etc/passwd",
        "ftp://example.org/x",
        "data:,x",
        "https:///x",
        "https://me:hush@example.org/x",
        "x",
        "https://[::1",
        "https://host:port/",
        "https://ho st/",
    ],
)
def test_addresses_that_are_not_asked(url: str) -> None:
    with pytest.raises(PluginError) as caught:
        Web(allow_http=True).send("GET", url)
    assert "hush" not in str(caught.value)


def test_plain_http_stays_on_this_machine() -> None:
    with site() as found:
        found.pages["/"] = b"x"
        assert Web(allow_http=True).send("GET", f"{found.url}/").body == b"x"
        with pytest.raises(PluginError, match="is not reached by https"):
            Web().send("GET", f"{found.url}/")


def test_this_machine_is_reached_without_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    with site() as found, site() as proxy:
        for name in ("http_proxy", "https_proxy"):
            monkeypatch.setenv(name, proxy.url)
        found.pages["/"] = b"direct"
        assert Web(allow_http=True).send("GET", f"{found.url}/", credentials=SECRET).body == b"direct"
        assert proxy.asked == []


def test_redirects(web_site: Site, trusted: Authority) -> None:
    with site(trusted) as other, site() as plain:
        other.pages["/there"] = b"there"
        plain.pages["/there"] = b"plain"
        web_site.pages |= {
            "/other": to(f"{other.url}/there?token=hush"),
            "/down": to(f"{plain.url}/there"),
            "/file": to("file:///etc/passwd"),
            "/loop": to("/loop"),
            "/broken": to("https://[::1"),
            "/put": to("/there"),
        }
        web = Web(allow_http=True)
        answer = web.send("GET", f"{web_site.url}/other", credentials=SECRET)
        assert answer.body == b"there"
        assert web_site.asked[-1][2]["authorization"] == SECRET
        assert "authorization" not in other.asked[-1][2]  # credentials stay at their place
        for path, reason in (
            ("/down", "which is not https"),
            ("/file", "which is not https"),
            ("/loop", "more than 5"),
            ("/broken", "no address"),
        ):
            with pytest.raises(PluginError, match=reason):
                web.send("GET", f"{web_site.url}{path}", credentials=SECRET)
        assert plain.asked == []
        assert (
            web.send("PUT", f"{web_site.url}/put", body=b"x").status == 302
        )  # not followed: the body is for one place


def test_answers_have_a_limit(web_site: Site, tmp_path: Path) -> None:
    web_site.pages["/big"] = bytes(1000)

    def endless(handler: Handler) -> None:
        handler.send_response(200)
        handler.end_headers()
        for _ in range(1000):
            handler.wfile.write(bytes(1000))

    def short(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        handler.wfile.write(bytes(10))

    web_site.pages |= {"/endless": endless, "/short": short}
    web = Web()
    for path, reason in (("/big", "larger than 100 bytes"), ("/endless", "larger than 100 bytes")):
        with pytest.raises(PluginError, match=reason):
            web.send("GET", f"{web_site.url}{path}", limit=100)
    with pytest.raises(PluginError, match="broke off after 10"):
        web.send("GET", f"{web_site.url}/short", limit=10_000, into=tmp_path / "x")


def test_a_transfer_has_a_deadline(web_site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    web_site.pages["/"] = b"x"
    monkeypatch.setattr(_web, "DEADLINE_S", -1.0)
    with pytest.raises(PluginError, match="takes longer than"):
        Web().send("GET", f"{web_site.url}/")


def test_errors_show_no_secret(trusted: Authority) -> None:
    with site(trusted) as found:
        url = found.url
    with pytest.raises(PluginError) as caught:  # nobody listens there any more
        Web().send("GET", f"{url}/x?token=hush", credentials=SECRET)
    assert "hush" not in str(caught.value)
    assert shown("https://me:hush@host/x?token=hush#hush") == "https://host/x"
    assert origin("https://Host/x") == ("https", "host", 443)
    with pytest.raises(PluginError, match="no port"):
        origin("https://host:port/")


def flaky(*troubles: str) -> Callable[[Handler], None]:
    """Answer with trouble after trouble, then well: a status, "reset", or "cut" after a few bytes."""
    left = list(troubles)

    def answer(handler: Handler) -> None:
        trouble = left.pop(0) if left else "200"
        if trouble == "reset":
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            handler.close_connection = True
            handler.connection.close()
            return
        status, _, after = trouble.partition(" ")
        handler.send_response(200 if status == "cut" else int(status))
        if after:
            handler.send_header("Retry-After", after)
        handler.send_header("Content-Length", "5")
        handler.end_headers()
        handler.wfile.write(b"he" if status == "cut" else b"hello")
        handler.close_connection = True

    return answer


@pytest.mark.parametrize(
    ("troubles", "pauses"),
    [
        ((), []),
        (("503", "429"), [1.0, 2.0]),
        (("429 7", "500 99999", "502"), [7.0, 30.0, 4.0]),
        (("cut", "503 Sun, 06 Nov 1994 08:49:37 GMT"), [1.0, 2.0]),
    ],
)
def test_what_may_go_well_the_next_time_is_tried_again(
    troubles: tuple[str, ...], pauses: list[float], tmp_path: Path
) -> None:
    waited: list[float] = []
    with site() as found:
        found.pages["/a"] = flaky(*troubles)
        web = Web(allow_http=True, tries=TRIES, pause=waited.append)
        answer = web.send("GET", f"{found.url}/a", into=tmp_path / "file")
    assert (answer.status, (tmp_path / "file").read_bytes(), waited) == (200, b"hello", pauses)
    assert len(found.asked) == len(troubles) + 1


def test_a_connection_that_is_reset_is_tried_again() -> None:
    waited: list[float] = []
    with site() as found:
        found.pages["/a"] = flaky("reset", "reset")
        assert (
            Web(allow_http=True, tries=TRIES, pause=waited.append).send("PUT", f"{found.url}/a", body=b"x").status
            == 200
        )
    assert waited == [1.0, 2.0]


def test_tries_are_bounded_and_some_things_are_final() -> None:
    waited: list[float] = []
    with site() as found:
        web = Web(allow_http=True, tries=TRIES, pause=waited.append)
        found.pages["/busy"] = flaky(*["503"] * 9)
        assert web.send("GET", f"{found.url}/busy").status == 503
        assert waited == [1.0, 2.0, 4.0]
        found.pages["/cut"] = flaky(*["cut"] * 9)
        with pytest.raises(PluginError, match="broke off after 2 of 5 bytes"):
            web.send("GET", f"{found.url}/cut")
        waited.clear()
        assert web.send("GET", f"{found.url}/none").status == 404
        with pytest.raises(PluginError, match="larger than"):
            web.send("GET", f"{found.url}/cut", limit=1)
    with pytest.raises(PluginError, match="cannot be reached: Connection refused"):
        web.send("GET", f"{found.url}/a")  # nobody is there: that is no hiccup
    assert waited == []
    found.pages.clear()


def test_without_leave_nothing_is_sent_twice() -> None:
    with site() as found:
        found.pages["/a"] = flaky("503")
        assert Web(allow_http=True).send("POST", f"{found.url}/a", body=b"x").status == 503
    assert len(found.asked) == 1
