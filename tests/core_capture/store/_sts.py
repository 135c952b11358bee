"""An STS server for the tests. It gives the keys it is told to, and lets botocore say whether a request is signed."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import parse_qs, urlsplit

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from kubeshark.core_capture.store.places.aws._keys import AwsKeys


class StsServer(ThreadingHTTPServer):
    """`callers` may ask, `keys` is what they get, for `life`; `asked` are the forms that came."""

    daemon_threads = True

    def __init__(self, tls: Path | None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.callers: list[AwsKeys] = []
        self.keys = AwsKeys("", "")
        self.mine: AwsKeys | None = None  # what it gives as the service of a container, or of an instance
        self.life = timedelta(hours=1)
        self.asked: list[dict[str, str]] = []
        self.answer: tuple[int, bytes] | None = None  # instead
        self.endpoint = f"{'https' if tls else 'http'}://127.0.0.1:{self.server_port}"
        if tls:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(tls / "tls.crt", tls / "tls.key")
            self.socket = context.wrap_socket(self.socket, server_side=True)

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of who goes away."""


@contextmanager
def sts(tls: Path | None = None) -> Iterator[StsServer]:
    """Run one, over TLS with the certificate in a folder; it ends with the block."""
    with StsServer(tls) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def is_signed(keys: AwsKeys, url: str, headers: Message | dict[str, str], body: bytes) -> bool:
    """Say whether botocore would have signed it so."""
    given = headers["Authorization"]
    names = given.partition("SignedHeaders=")[2].partition(",")[0].split(";")
    scope = given.partition("Credential=")[2].partition(",")[0].split("/")
    request = AWSRequest("POST", url, {name: headers[name] for name in names}, body)
    request.context["timestamp"] = headers["X-Amz-Date"]
    signer = SigV4Auth(Credentials(keys.access, keys.secret, keys.token or None), scope[3], scope[2])
    text = signer.string_to_sign(request, signer.canonical_request(request))
    needed = {"host", "x-amz-date"} | ({"x-amz-security-token"} if keys.token else set())
    is_whole = needed <= set(names) and headers.get("X-Amz-Security-Token", "") == keys.token
    return is_whole and given.endswith(f"Signature={signer.signature(text, request)}")


class _Handler(BaseHTTPRequestHandler):
    server: StsServer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        query = urlsplit(self.path).query or body.decode()  # obstore asks by the query
        form = {name: values[0] for name, values in parse_qs(query).items()}
        self.server.asked.append(form)
        status, said = self.server.answer or self._answer(form, body)
        self._send(said, status)

    def do_GET(self) -> None:
        """As a container's service, and an instance's metadata."""
        keys = self.server.mine
        assert keys is not None
        said = {"AccessKeyId": keys.access, "SecretAccessKey": keys.secret, "Token": None}
        self._send(b"node" if self.path.endswith("security-credentials/") else json.dumps(said).encode())

    def do_PUT(self) -> None:
        self._send(b"session")

    def _send(self, said: bytes, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def _answer(self, form: dict[str, str], body: bytes) -> tuple[int, bytes]:
        action, server = form["Action"], self.server
        if action == "AssumeRole":
            access = self.headers["Authorization"].partition("Credential=")[2].partition("/")[0]
            caller = next((each for each in server.callers if each.access == access), None)
            if caller is None or not is_signed(caller, server.endpoint + self.path, self.headers, body):
                return 403, b"<ErrorResponse><Error><Code>SignatureDoesNotMatch</Code></Error></ErrorResponse>"
        until = (datetime.now(UTC) + server.life).strftime("%Y-%m-%dT%H:%M:%SZ")
        keys = server.keys
        said = (
            f"<{action}Response><{action}Result><Credentials><AccessKeyId>{keys.access}</AccessKeyId>"
            f"<SecretAccessKey>{keys.secret}</SecretAccessKey><SessionToken>{keys.token}</SessionToken>"
            f"<Expiration>{until}</Expiration></Credentials></{action}Result></{action}Response>"
        )
        return 200, said.encode()

    def log_message(self, *args: object) -> None:
        """Log nothing."""
