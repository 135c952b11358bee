"""What is said of where packets would be kept; archives with credentials of a cluster are in tests/cluster."""

from __future__ import annotations

from pathlib import Path

from kubeshark.cli.checks._store_checks import store_checks
from kubeshark.settings import load
from tests.core_capture.store._servers import Server


def rows(*overrides: str, is_local: bool = True) -> list[tuple[str, str]]:
    found = store_checks(load(None, {}, overrides).settings, None, is_local=is_local)
    return [(each.name, each.state) for each in found]


def test_a_folder(tmp_path: Path) -> None:
    assert rows(f"store.path={tmp_path}/store") == [("store", "ok")]
    assert rows(f"store.path={tmp_path}/store", "store.retention.bytes=900000Ti") == [("store", "warn")]
    (tmp_path / "file").touch()
    assert rows(f"store.path={tmp_path}/file") == [("store", "fail")]
    assert rows(f"store.path={tmp_path}/file", is_local=False) == []


def test_archives(server: Server, url: str) -> None:
    assert rows(f"store.url={url}", is_local=False) == [("archive", "ok")]
    assert rows(f"store.path={url}") == [("store", "ok")]
    assert rows("store.url=s3://there-is-no-such-bucket-of-ours/x", is_local=False) == [("archive", "fail")]
    twice = (f"store.url={url}", "tap.snapshots.cloud.provider=s3")
    assert rows(*twice, is_local=False) == [("archive", "fail")]
