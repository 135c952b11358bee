"""The page and its API below a path: the real front before a real hub, asked as browsers and proxies ask."""

from __future__ import annotations

import http.client
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from kubeshark.cli.remote._hub_client import PCAP_ORDERS
from tests.deploy._front import free_port, front, install
from tests.ui._hub import HubProcess

BASE = "/shark/cage"


class Front:
    def __init__(self, url: str, token: str) -> None:
        self.host, self.token = urlsplit(url).netloc, token

    def ask(self, path: str, **headers: str) -> tuple[int, dict[str, str], str]:
        connection = http.client.HTTPConnection(self.host, timeout=30)
        try:
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            said = {name.lower(): value for name, value in answer.getheaders()}
            return answer.status, said, answer.read().decode()
        finally:
            connection.close()


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Iterator[HubProcess]:
    # as deployed: any Host; --no-browser is not needed, as there is no terminal
    hub = HubProcess(
        tmp_path_factory.mktemp("hub"),
        "--host",
        "0.0.0.0",
        "--insecure",
        "--base-path",
        f"{BASE}/",
    )
    hub.run("import", str(root / "examples/captures/sample.pcapng"), "--store", str(hub.store))
    hub.start()
    yield hub
    hub.stop()


@pytest.fixture(scope="module")
def asked(hub: HubProcess, root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    at = urlsplit(hub.url)
    assert at.path == f"{BASE}/"
    folder = tmp_path_factory.mktemp("front") / "share"
    with front(root, folder, f"127.0.0.1:{at.port}", f"{BASE}/") as url:
        yield Front(url, at.query.removeprefix("token="))


def test_who_comes_with_a_token_gets_a_session_of_that_path_alone(asked: Front) -> None:
    status, headers, _ = asked.ask(f"{BASE}?token={asked.token}")
    assert (status, headers["location"]) == (307, f"{BASE}/?token={asked.token}")  # URLs of the page are relative
    status, headers, _ = asked.ask(headers["location"])
    assert (status, headers["location"]) == (303, f"{BASE}/")
    assert re.search(rf"; path={BASE}/(;|$)", headers["set-cookie"], re.IGNORECASE)
    cookie = headers["set-cookie"].partition(";")[0]
    status, headers, page = asked.ask(f"{BASE}/", Cookie=cookie)
    assert status == 200
    assert "default-src 'none'" in headers["content-security-policy"]
    named = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert named and not [each for each in named if each.startswith("/") or ":" in each], named
    for each in named:  # without a session: files of the page say nothing
        status, headers, _ = asked.ask(f"{BASE}/{each}")
        assert status == 200, each
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["content-type"].split(";")[0] in (
            "image/svg+xml",
            "text/css",
            "text/javascript",
            "application/javascript",
        )
    status, _, said = asked.ask(f"{BASE}/api/v1/session", Cookie=cookie)
    assert status == 200 and '"csrf"' in said


def test_commands_ask_at_the_root_and_below(asked: Front) -> None:
    """A forwarded port leads past the proxy, and a proxy may take the path away."""
    bearer = {"Authorization": f"Bearer {asked.token}"}
    for path in ("/api/v1/session", f"{BASE}/api/v1/session"):
        assert asked.ask(path, **bearer)[0] == 200
        assert asked.ask(path)[0] == 401
    for path in ("/shark", f"{BASE}x/api/v1/session", f"{BASE}{BASE}/api/v1/session"):
        assert asked.ask(path, **bearer)[0] == 404


def test_query_by_command_below_the_path(asked: Front, hub: HubProcess, tmp_path: Path) -> None:
    hub.environment["KUBESHARK_TOKEN"] = asked.token
    out = tmp_path / "dump"
    out.mkdir()
    hub.run("pcapdump", "--hub", f"http://{asked.host}{BASE}", "--filter", "dns", "--dest", str(out))
    [dumped] = out.iterdir()
    assert dumped.read_bytes()[:4] in PCAP_ORDERS  # the sample is older than what is dumped: a header


@pytest.mark.parametrize("base", ["shark", "/a b", "/a//b", "/..", "/a/../b", "/a;b", "/$x"])
def test_what_is_no_path_is_refused(root: Path, tmp_path: Path, base: str) -> None:
    script = install(root, tmp_path / "share", free_port())
    environment = {"PATH": "/usr/sbin:/usr/bin:/bin", "KUBESHARK_HUB": "hub:1", "KUBESHARK_BASE_PATH": base}
    done = subprocess.run(["sh", str(script)], env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (2, f"KUBESHARK_BASE_PATH is no path: {base}\n")
