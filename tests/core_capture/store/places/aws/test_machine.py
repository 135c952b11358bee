"""Keys that containers and instances have, from services that speak as theirs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from kubeshark.core_capture.store.places.aws import _http as _aws_http
from kubeshark.core_capture.store.places.aws._machine import keys_of_container, keys_of_instance
from kubeshark.errors import StoreError

SAID = {"AccessKeyId": "ASIA1", "SecretAccessKey": "hidden", "Token": "hidden-2", "Expiration": "2100-01-01T00:00:00Z"}
ROLES = "/latest/meta-data/iam/security-credentials/"


class Service(ThreadingHTTPServer):
    """Answers by path; a request without the header it wants is refused."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: dict[str, str] = {}
        self.wanted = ("", "")
        self.url = f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Service

    def do_GET(self) -> None:
        name, value = self.server.wanted
        is_let_in = not name or self.headers.get(name) == value
        self._say(401 if not is_let_in else 200 if self.path in self.server.answers else 404)

    def do_PUT(self) -> None:
        assert self.headers["X-aws-ec2-metadata-token-ttl-seconds"]
        self._say(200 if self.path in self.server.answers else 404)

    def _say(self, status: int) -> None:
        body = self.server.answers.get(self.path, "").encode() if status == 200 else b""
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Log nothing."""


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    monkeypatch.setattr(_aws_http.time, "sleep", lambda _: None)
    with Service() as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_container_has_keys(service: Service, tmp_path: Path) -> None:
    service.answers["/keys"] = json.dumps(SAID)
    given = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{service.url}/keys"}
    assert keys_of_container(given).token == "hidden-2"
    service.wanted = ("Authorization", "hidden-3")
    with pytest.raises(StoreError, match="the container's service answers 401"):
        keys_of_container(given)
    (tmp_path / "token").write_text("hidden-3\n")  # EKS Pod Identity
    assert keys_of_container({**given, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(tmp_path / "token")}).until
    assert keys_of_container({**given, "AWS_CONTAINER_AUTHORIZATION_TOKEN": "hidden-3"}).access == "ASIA1"
    for more, said in (
        ({"AWS_CONTAINER_AUTHORIZATION_TOKEN": "a\r\nb"}, "is none"),
        ({"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": "/none/x"}, "cannot be read"),
        ({"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://example.com/keys"}, "neither https nor on this machine"),
    ):
        with pytest.raises(StoreError, match=said):
            keys_of_container(given | more)
    with pytest.raises(StoreError, match="no container with a role"):
        keys_of_container({})


def test_an_instance_has_a_role(service: Service) -> None:
    given = {"AWS_EC2_METADATA_SERVICE_ENDPOINT": service.url}
    service.answers = {"/latest/api/token": "hidden-4", ROLES: "node\n", f"{ROLES}node": json.dumps(SAID)}
    service.wanted = ("X-aws-ec2-metadata-token", "hidden-4")
    assert keys_of_instance(given).access == "ASIA1"
    service.answers[f"{ROLES}node"] = '{"Code": "hidden"}'
    with pytest.raises(StoreError, match="gives no keys") as raised:
        keys_of_instance(given)
    assert "hidden" not in str(raised.value)
    service.answers[ROLES] = "../../user-data"
    with pytest.raises(StoreError, match="has no role"):
        keys_of_instance(given)
    service.answers = {}
    with pytest.raises(StoreError, match="answers 404"):
        keys_of_instance(given)
    with pytest.raises(StoreError, match="AWS_EC2_METADATA_DISABLED"):
        keys_of_instance({**given, "AWS_EC2_METADATA_DISABLED": "true"})
