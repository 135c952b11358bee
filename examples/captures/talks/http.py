"""A browser, a build machine and a phone: pages and an API, kept connections, pipelining, HTTP/2, TLS, a WebSocket."""

from __future__ import annotations

import contextlib
import http.client
import json
import subprocess

from network import API, BUILD_MACHINE, LAPTOP, LAPTOP_V6, NOBODY_HOME, PHONE, WEB, WEB_V6

from talks._line import Line, line

AGENT = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64) sample/1.0", "Accept-Language": "en"}


def talk() -> None:
    _browse()
    _use_the_api()
    _pipeline()
    _other_versions()
    _websocket()
    _fail()


def _fetch(
    connection: http.client.HTTPConnection, method: str, target: str, body: bytes | None = None, **headers: str
) -> http.client.HTTPResponse:
    """Send one request on a kept connection and read its answer."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, target, body, {**AGENT, **named})
    response = connection.getresponse()
    response.read()
    return response


def _browse() -> None:
    shop = http.client.HTTPConnection(WEB, 80, source_address=(LAPTOP, 0))
    page = _fetch(shop, "GET", "/", Accept_Encoding="gzip")
    _fetch(shop, "GET", "/style.css?v=3", Accept_Encoding="gzip")
    _fetch(shop, "GET", "/logo.png", Referer="http://shop.example.test/")
    _fetch(shop, "GET", "/", If_None_Match=page.headers["ETag"])
    _fetch(shop, "HEAD", "/catalogue.csv")
    _fetch(shop, "GET", "/catalogue.csv")  # 300 KB: many segments
    _fetch(shop, "GET", "/catalogue.csv", Range="bytes=100-199")
    _fetch(shop, "GET", "/search?q=green+tea&page=2&sort=price%2Casc", Cookie="session=8f14e45f; theme=dark")
    _fetch(shop, "GET", "/missing.html")
    _fetch(shop, "POST", "/style.css", b"color=green", Content_Type="application/x-www-form-urlencoded")
    shop.close()
    old = http.client.HTTPConnection(WEB_V6, 80, source_address=(LAPTOP_V6, 0))
    _fetch(old, "GET", "/robots.txt", Connection="close")
    old.close()


def _use_the_api() -> None:
    api = http.client.HTTPConnection(API, 8080, source_address=(PHONE, 0))
    _fetch(api, "POST", "/login", b"user=ada&password=secret", Content_Type="application/x-www-form-urlencoded")
    _fetch(api, "GET", "/orders?item=tea", Cookie="session=8f14e45f")
    _fetch(api, "POST", "/orders", json.dumps({"item": "pot", "count": 1}).encode(), Content_Type="application/json")
    _fetch(api, "GET", "/orders/stream")
    _fetch(api, "PUT", "/orders/2", b'{"count": 7}', Content_Type="application/json")
    _fetch(api, "DELETE", "/orders/2")
    _fetch(api, "GET", "/slow")
    _fetch(api, "GET", "/boom")
    _fetch(api, "GET", "/old")
    _fetch(api, "GET", "/private")
    _fetch(api, "GET", "/private", Authorization="Basic YWRhOnNlY3JldA==")
    upload = b'--cut\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\nhello\r\n--cut--\r\n'
    _fetch(api, "POST", "/upload", upload, Content_Type="multipart/form-data; boundary=cut")
    api.close()


def _pipeline() -> None:
    """Three requests in one segment; a body that waits for 100 Continue; HTTP/1.0 without length."""
    with line(WEB, 80, BUILD_MACHINE) as shop:
        shop.say(b"".join(b"GET /robots.txt?%d HTTP/1.1\r\nHost: shop.example.test\r\n\r\n" % at for at in range(3)))
        for _ in range(3):
            shop.hear(b"Disallow: /cart\n")
    with line(API, 8080, BUILD_MACHINE) as api:
        api.say(b"POST /upload HTTP/1.1\r\nHost: api.example.test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        api.hear(b"100 Continue\r\n\r\n")
        api.ask(b"12345", b'{"received": 5}')
    with line(WEB, 80, BUILD_MACHINE) as shop:
        shop.ask(b"GET /robots.txt HTTP/1.0\r\n\r\n", b"Disallow: /cart\n")


def _other_versions() -> None:
    """HTTP/2 in the clear, and inside TLS, whose secrets the recording carries (SSLKEYLOGFILE)."""
    curl = ["curl", "--silent", "--show-error", "--interface", LAPTOP, "--noproxy", "*", "--max-time", "5"]
    for page in ("robots.txt", "style.css", "missing.html"):  # curl 7.88 cannot keep such a connection
        command = [*curl, "--http2-prior-knowledge", f"http://{WEB}:8081/{page}"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    secure = ["--insecure", "--connect-to", f"shop.example.test:443:{WEB}:443"]
    for version in ("--http1.1", "--http2"):
        command = [*curl, *secure, version, "https://shop.example.test/robots.txt", "-d", "tea=green"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def _websocket() -> None:
    with line(API, 8080, LAPTOP) as live:
        live.ask(
            b"GET /live HTTP/1.1\r\nHost: api.example.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            b"\r\n\r\n",
        )
        mask, text = b"\x37\xfa\x21\x3d", b'{"subscribe": "prices"}'
        masked = bytes(byte ^ mask[at % 4] for at, byte in enumerate(text))
        live.ask(bytes([0x81, 0x80 | len(text)]) + mask + masked, b"\x88\x02\x03\xe8")
        live.say(b"\x88\x82" + mask + bytes([0x03 ^ mask[0], 0xE8 ^ mask[1]]))


def _fail() -> None:
    """Nobody listens; nonsense is answered; a request is never finished."""
    with contextlib.suppress(ConnectionRefusedError):
        http.client.HTTPConnection(NOBODY_HOME, 8080, source_address=(LAPTOP, 0)).connect()
    with line(WEB, 80, PHONE) as shop:
        shop.ask(b"\x16\x03\x01 this is not HTTP\r\n\r\n", b"</html>\r\n")
    unfinished = Line((API, 8080), LAPTOP)
    unfinished.say(b"POST /orders HTTP/1.1\r\nHost: api.example.test\r\nContent-Length: 100\r\n\r\nonly the beginning")
    unfinished.vanish()
