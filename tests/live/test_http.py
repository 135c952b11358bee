"""Real HTTP servers and clients: nginx, Hypercorn, curl, gRPC and WebSocket libraries."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from kubeshark.pipeline import Entry

from ._relay import Relay
from ._servers import free_port, need, running

HTTP1, HTTP2 = "--http1.1", "--http2-prior-knowledge"
NGINX = """
user root; daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;
events {{}}
http {{
  access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s; gzip on; gzip_types text/plain; gzip_min_length 1;
  default_type text/plain;
  server {{
    listen 127.0.0.1:{port}{options};
    root {folder}; client_max_body_size 1m;
    location /teapot {{ return 418 "short\\n"; }}
    location /moved {{ return 302 /teapot; }}
  }}
}}
"""


def nginx(folder: Path, options: str = "") -> tuple[list[str], int]:
    port = free_port()
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, port=port, options=options))
    (folder / "large.txt").write_text("large " * 20_000)
    return [need("nginx"), "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")], port


def curl(*arguments: str) -> None:
    subprocess.run([need("curl"), "--silent", "--max-time", "10", *arguments], capture_output=True, check=False)


def fetch(way: str, *urls: str) -> None:
    """Ask for each URL: over one connection, but curl 7.88 cannot use one of HTTP/2 in clear text twice in turn."""
    if way == HTTP1:
        curl(way, *urls)
    for url in urls if way == HTTP2 else ():
        curl(way, url)


def need_module(name: str) -> Any:
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not installed: pip install kubeshark[test]")
    return pytest.importorskip(name)


def shown(entries: Sequence[Entry], *names: str) -> list[tuple[Any, ...]]:
    return [tuple(entry.get(name) for name in names) for entry in entries]


def assert_whole(entries: Sequence[Entry]) -> None:
    for entry in entries:
        assert entry.error is None, entry.error
        json.dumps(entry.to_dict())
        entry.representation()


@pytest.mark.parametrize(
    ("options", "way", "version"),
    [pytest.param("", HTTP1, "HTTP/1.1", id="1"), pytest.param(" http2", HTTP2, "HTTP/2", id="2")],
)
def test_nginx(tmp_path: Path, options: str, way: str, version: str) -> None:
    command, port = nginx(tmp_path, options)
    with running(command, port), Relay(port, shown_port=8080) as relay:
        at = f"http://127.0.0.1:{relay.port}"
        curl(way, "--compressed", f"{at}/large.txt?a=1")
        fetch(way, f"{at}/none", f"{at}/moved")
        curl(way, "-I", f"{at}/teapot")
        curl(way, "-X", "PUT", "--data-binary", "x" * 50_000, f"{at}/large.txt")
        fetch(way, *[f"{at}/teapot?{number}" for number in range(8)])
    entries = relay.entries("http")
    assert_whole(entries)
    assert {entry.get("http_version") for entry in entries} == {version}
    assert {entry.get("protocol") for entry in entries} == {"HTTP"}
    found = {(entry.get("method"), entry.get("url")): entry for entry in entries}
    assert {key: entry.get("status_code") for key, entry in found.items()} == {
        ("GET", "/large.txt?a=1"): 200,
        ("GET", "/none"): 404,
        ("GET", "/moved"): 302,
        ("HEAD", "/teapot"): 418,
        ("PUT", "/large.txt"): 405,
        **{("GET", f"/teapot?{number}"): 418 for number in range(8)},
    }
    # nginx refuses before the body is there: whether curl still sends it is a race
    assert found["PUT", "/large.txt"].get("request_body_size") in (0, 50_000)
    large = found["GET", "/large.txt?a=1"]
    assert large.get("response_body_size") < len("large ") * 20_000
    assert large.get("response_body") == "large " * 20_000
    assert found["GET", "/teapot?7"].get("response_body") == "short\n"
    assert found["HEAD", "/teapot"].get("response_body") == ""


@pytest.fixture
def hypercorn(tmp_path: Path) -> Iterator[int]:
    need_module("hypercorn")
    port = free_port()
    command = [sys.executable, "-m", "hypercorn", f"{Path(__file__).parent / '_asgi_app.py'}:app"]
    with running([*command, "--bind", f"127.0.0.1:{port}"], port, cwd=tmp_path):
        yield port


@pytest.mark.parametrize("way", [pytest.param(HTTP1, id="1"), pytest.param(HTTP2, id="2")])
def test_bodies_and_events(hypercorn: int, way: str) -> None:
    query = json.dumps({"query": "query Hero { hero }"})
    with Relay(hypercorn, shown_port=8080) as relay:
        at = f"http://127.0.0.1:{relay.port}"
        fetch(way, f"{at}/gzip", f"{at}/brotli", f"{at}/large", f"{at}/events", f"{at}/none")
        curl(way, "--json", query, f"{at}/graphql")
    entries = relay.entries("http")
    assert_whole(entries)
    found = {entry.get("path"): entry for entry in entries}
    assert {path: entry.get("status_code") for path, entry in found.items()} == {
        "/gzip": 200,
        "/brotli": 200,
        "/large": 200,
        "/events": 200,
        "/none": 404,
        "/graphql": 200,
    }
    assert found["/gzip"].get("response_body") == found["/brotli"].get("response_body") == "small " * 100
    assert found["/large"].get("response_body") == "x" * 200_000
    assert found["/events"].get("sse_events") == ["1", "2"]
    (call,) = relay.entries('gql && http && gql_operation == "query" && gql_name == "Hero"')
    assert (call.get("protocol"), call.get("http2"), call.get("gqlv1")) == ("GQL", way is HTTP2, way is HTTP1)


def test_streams_of_one_connection(hypercorn: int) -> None:
    need_module("h2")
    paths = ["/large", "/gzip", "/none", *(f"/echo?{number}" for number in range(20))]
    with Relay(hypercorn, shown_port=8080) as relay:
        multiplex(relay.port, paths)
    entries = relay.entries("http2")
    assert_whole(entries)
    assert [entry.get("url") for entry in entries] == paths
    assert [entry.to_dict()["matcherKey"] for entry in entries] == [str(2 * at + 1) for at in range(len(paths))]
    assert shown(entries[:3], "status_code", "response_body") == [
        (200, "x" * 200_000),
        (200, "small " * 100),
        (404, "body of 5"),
    ]
    assert [entry.get("response_body") for entry in entries[3:]] == [f"body of {2 * at + 1}" for at in range(3, 23)]
    assert {entry.get("request.headers")["x-same"] for entry in entries} == {"in the table"}


def multiplex(port: int, paths: Sequence[str]) -> None:
    """Ask for everything at once, bodies in two pieces each, and read until every stream has ended."""
    from h2.connection import H2Connection
    from h2.events import DataReceived, StreamEnded

    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        http2 = H2Connection()
        http2.initiate_connection()
        streams = [http2.get_next_available_stream_id() + 2 * at for at in range(len(paths))]
        for stream, path in zip(streams, paths, strict=True):
            pseudo = [(":method", "POST"), (":scheme", "http"), (":authority", "shop"), (":path", path)]
            http2.send_headers(stream, [*pseudo, ("x-same", "in the table")])
        for piece in (b"body ", b"of %d"):
            for stream in streams:
                http2.send_data(stream, piece % stream if b"%" in piece else piece, end_stream=b"%" in piece)
        client.sendall(http2.data_to_send())
        left = len(paths)
        while left:
            for event in http2.receive_data(client.recv(1 << 16)):
                if isinstance(event, DataReceived):
                    http2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                left -= isinstance(event, StreamEnded)
            client.sendall(http2.data_to_send())


def test_an_upgrade_to_http2(hypercorn: int) -> None:
    with Relay(hypercorn, shown_port=8080) as relay:
        at = f"http://127.0.0.1:{relay.port}"
        curl("--http2", f"{at}/gzip", f"{at}/none")
    entries = relay.entries("http")
    assert_whole(entries)
    assert shown(entries, "http_version", "method", "path", "status_code") == [
        ("HTTP/1.1", "GET", "/gzip", 101),
        ("HTTP/2", "", "", 200),  # the answer to it
        ("HTTP/2", "GET", "/none", 404),
    ]
    assert entries[1].get("response_body") == "small " * 100
    (connection,) = relay.entries("conn")
    assert connection.get("conn_l7_detected") == ["HTTP", "HTTP/2"]


@pytest.mark.parametrize("compression", ["deflate", None])
def test_websocket(hypercorn: int, compression: str | None) -> None:
    client = need_module("websockets.asyncio.client")

    async def talk(port: int) -> None:
        async with client.connect(
            f"ws://127.0.0.1:{port}/chat", subprotocols=["chat"], compression=compression
        ) as socket:
            for text in ("hello hello hello", "hello hello hello", "ä" * 70_000):
                await socket.send(text)
                assert await socket.recv() == text.upper()
            await socket.send([b"\0\1", b"\2"])  # in fragments
            assert await socket.recv() == b"\2\1\0"
            await (await socket.ping(b"?"))

    with Relay(hypercorn, shown_port=8080) as relay:
        asyncio.run(talk(relay.port))
    (upgrade,) = relay.entries("http")
    assert shown([upgrade], "status_code", "http_upgrade", "ws_subprotocol") == [(101, "websocket", "chat")]
    entries = relay.entries("ws")
    assert_whole(entries)
    asked = [entry for entry in entries if entry.get("ws_request")]
    answered = [entry for entry in entries if entry.get("ws_response")]
    assert [entry.get("ws_opcode") for entry in asked] == ["text", "text", "text", "binary", "ping", "close"]
    assert [entry.get("ws_opcode") for entry in answered] == ["text", "text", "text", "binary", "pong", "close"]
    assert [entry.get("request_body") for entry in asked[:3]] == ["hello hello hello"] * 2 + ["ä" * 70_000]
    assert [entry.get("response_body") for entry in answered[:3]] == ["HELLO HELLO HELLO"] * 2 + ["Ä" * 70_000]
    assert answered[3].to_dict()["response"]["payload"] == "AgEA"
    assert {entry.get("status_code") for entry in (asked[-1], answered[-1])} == {1000}
    assert asked[0].to_dict()["request"]["compressed"] is (compression is not None)


MOSQUITTO = "listener {other} 127.0.0.1\nlistener {port} 127.0.0.1\nprotocol websockets\nallow_anonymous true\n"
NATS = 'listen: "127.0.0.1:-1"\nwebsocket {{ listen: "127.0.0.1:{port}", no_tls: true }}\n'
CONNECT = b"\x10\x0d\0\x04MQTT\x04\x02\0\x3c\0\x01a"
PUBLISH = b"\x30\x05\0\x01thi"


@pytest.mark.parametrize(
    ("program", "configuration", "said", "kfl"),
    [
        pytest.param("mosquitto", MOSQUITTO, [CONNECT, PUBLISH], 'mqtt && mqtt_topic == "t"', id="mqtt"),
        pytest.param(
            "nats-server",
            NATS,
            [b"CONNECT {}\r\nPUB a 2\r\nhi\r\n", b"PING\r\n"],
            'nats && nats_subject == "a"',
            id="nats",
        ),
    ],
)
def test_what_a_websocket_carries(
    tmp_path: Path, program: str, configuration: str, said: Sequence[bytes], kfl: str
) -> None:
    client = need_module("websockets.asyncio.client")
    port = free_port()
    (tmp_path / "server.conf").write_text(configuration.format(port=port, other=free_port()))

    async def talk(at: int) -> None:
        async with client.connect(f"ws://127.0.0.1:{at}/", subprotocols=["mqtt"], compression=None) as socket:
            for data in said:
                await socket.send(data)
                await asyncio.sleep(0.1)

    with running([need(program), "-c", tmp_path / "server.conf"], port), Relay(port, shown_port=8083) as relay:
        asyncio.run(talk(relay.port))
    assert len(relay.entries(kfl)) == 1
    assert len(relay.entries("ws && ws_request")) >= len(said)
    (upgrade,) = relay.entries("http")
    assert upgrade.get("http_upgrade") == "websocket"


@pytest.fixture
def grpc_server() -> Iterator[int]:
    grpc = need_module("grpc")

    def refuse(request: bytes, context: Any) -> bytes:
        context.abort(grpc.StatusCode.NOT_FOUND, "no such größe")
        return b""

    def count(request: bytes, context: Any) -> Iterator[bytes]:
        yield from (b"\x08" + bytes((number,)) for number in range(5))

    handlers = {
        "Hi": grpc.unary_unary_rpc_method_handler(lambda request, context: b"\x0a\x02hi" + request),
        "Refuse": grpc.unary_unary_rpc_method_handler(refuse),
        "Count": grpc.unary_stream_rpc_method_handler(count),
        "Sum": grpc.stream_unary_rpc_method_handler(lambda requests, context: b"".join(requests)),
    }
    server = grpc.server(ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("demo.Greeter", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield port
    server.stop(None).wait()


def test_grpc(grpc_server: int) -> None:
    grpc = need_module("grpc")
    with Relay(grpc_server, shown_port=50051) as relay:
        options = [("grpc.enable_http_proxy", 0)]
        with grpc.insecure_channel(f"127.0.0.1:{relay.port}", options) as channel:
            greeter = "/demo.Greeter/"
            channel.unary_unary(greeter + "Hi")(b"\x12\x05world", metadata=(("x-trace", "t1"),))
            channel.unary_unary(greeter + "Hi")(b"\x12" + b"\xff\x03" + b"y" * 511, compression=grpc.Compression.Gzip)
            with pytest.raises(grpc.RpcError):
                channel.unary_unary(greeter + "Refuse")(b"")
            list(channel.unary_stream(greeter + "Count")(b""))
            channel.stream_unary(greeter + "Sum")(iter([b"\x08\x01", b"\x10\x02"]))
            with pytest.raises(grpc.RpcError):
                channel.unary_unary(greeter + "Nothing")(b"")
    entries = relay.entries("grpc")
    assert_whole(entries)
    assert shown(entries, "protocol", "grpc_service", "grpc_method", "grpc_status", "grpc_message") == [
        ("GRPC", "demo.Greeter", "Hi", 0, ""),
        ("GRPC", "demo.Greeter", "Hi", 0, ""),
        ("GRPC", "demo.Greeter", "Refuse", 5, "no such größe"),
        ("GRPC", "demo.Greeter", "Count", 0, ""),
        ("GRPC", "demo.Greeter", "Sum", 0, ""),
        ("GRPC", "demo.Greeter", "Nothing", 12, "Method not found!"),
    ]
    hi, zipped, _, counted, summed, _ = (entry.to_dict() for entry in entries)
    assert hi["request"]["grpc"]["messages"][0]["fields"] == [{"number": 2, "type": "text", "value": "world"}]
    assert zipped["request"]["grpc"]["messages"][0]["compressed"]
    assert zipped["request"]["grpc"]["messages"][0]["fields"][0]["value"] == "y" * 511
    assert [message["fields"][0]["value"] for message in counted["response"]["grpc"]["messages"]] == [0, 1, 2, 3, 4]
    assert len(summed["request"]["grpc"]["messages"]) == 2
    assert hi["subProtocol"] == 1
    assert len(relay.entries('http && http2 && grpc_method == "Hi" && request.headers["x-trace"] == "t1"')) == 1
