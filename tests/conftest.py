"""What all tests share: where the captures are, a home of their own, and what a skip means in CI."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.core_capture.store._servers import BUCKET, Server, moto, versitygw

# A busy machine is slow, not wrong. In CI the same examples each time: new ones are looked for where somebody can look.
settings.register_profile("local", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")

# What a shell starts in the background ignores Ctrl-C, and so would every command that a test starts and ends so.
signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).resolve().parents[1]
NO_SKIPS = os.environ.get("KUBESHARK_NO_SKIPS") == "1"
"""Set by .ci/run, which installs everything: there a skipped test is a failed one."""


LONG_FIRST = ("fuzz", "deploy", "hub", "worker", "ui", "firewall", "live", "cluster", "cli", "hosts", "core_capture")


def captures_folder() -> Path | None:
    """The folder of third-party captures with truth, if there is one."""
    folder = Path(os.environ.get("KUBESHARK_CAPTURES", ROOT.parent / "shared" / "captures"))
    return folder if (folder / "manifest.json").is_file() else None


@pytest.fixture(scope="session")
def captures() -> Path:
    folder = captures_folder()
    if folder is None:
        pytest.skip("no third-party captures: set KUBESHARK_CAPTURES to a folder with files/ and truth/")
    return folder


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """No test reads or writes the user's identity, plugins or store."""
    home = tmp_path_factory.mktemp("home")
    cache = tmp_path_factory.getbasetemp() / "cache"  # what compilers keep serves the whole session
    cache.mkdir(exist_ok=True)
    (home / ".cache").symlink_to(cache)
    monkeypatch.setenv("HOME", str(home))
    variables = ("STORE", "IDENTITY", "PLUGINS", "CORE", "SPOOL", "CONFIG", "NODE_KEY")
    aws = ("AWS_ENDPOINT", "AWS_ENDPOINT_URL", "AWS_SESSION_TOKEN", "AWS_ALLOW_HTTP")
    for name in (*(f"KUBESHARK_{variable}" for variable in variables), *aws, "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    yield home


@pytest.fixture(scope="session")
def moto_server() -> Iterator[Server]:
    with moto() as server:
        yield server


@pytest.fixture(scope="session")
def versitygw_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with versitygw(tmp_path_factory.mktemp("versitygw")) as server:
        yield server


@pytest.fixture(params=["moto", "versitygw"])
def server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Server:
    """Each S3 server in turn, with the environment that reaches it."""
    found: Server = request.getfixturevalue(f"{request.param}_server")
    for name, value in found.environment().items():
        monkeypatch.setenv(name, value)
    return found


@pytest.fixture
def moto_s3(moto_server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    """One S3 server, for what does not depend on which."""
    for name, value in moto_server.environment().items():
        monkeypatch.setenv(name, value)
    return moto_server


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A place in the bucket that nobody else uses."""
    return f"s3://{BUCKET}/{tmp_path.name}-{os.urandom(4).hex()}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the folders that wait longest for others: at the end every process has something short to do."""

    def turn(item: pytest.Item) -> int:
        folder = item.path.relative_to(ROOT / "tests").parts[0] if item.path.is_relative_to(ROOT / "tests") else ""
        return LONG_FIRST.index(folder) if folder in LONG_FIRST else len(LONG_FIRST)

    items.sort(key=turn)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    is_short = NO_SKIPS and reporter is not None and bool(reporter.stats.get("skipped"))
    if is_short:
        print("\nskipped tests count as failures here (KUBESHARK_NO_SKIPS=1)")
        session.exitstatus = exitstatus or pytest.ExitCode.TESTS_FAILED
    if not hasattr(session.config, "workerinput") and (cache := getattr(session.config, "cache", None)) is not None:
        cache.set(
            "kubeshark/ran_all", exitstatus == pytest.ExitCode.TESTS_FAILED and not is_short
        )  # second_run.py asks
