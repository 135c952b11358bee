"""Where files wait until object storage has them."""

from __future__ import annotations

from pathlib import Path

import pytest

from kubeshark.core_capture.store.places._spool import open_spool, spool_path
from kubeshark.errors import StoreError


def test_every_store_has_its_own(own_home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    urls = ["s3://a/b", "s3://a/b/c", "s3://a-b", "gs://a/b", f"s3://a/{'x' * 500}"]
    paths = [spool_path(url) for url in urls]
    assert len(set(paths)) == len(urls)
    assert all(path.parent == own_home / ".kubeshark" / "spool" and len(path.name) < 100 for path in paths)
    assert paths[0].name.startswith("s3-a-b-")
    monkeypatch.setenv("KUBESHARK_SPOOL", str(tmp_path / "mine"))
    assert spool_path("s3://a/b") == tmp_path / "mine" / paths[0].name


def test_only_its_owner_reads_it(own_home: Path) -> None:
    spool = open_spool("s3://a/b")
    assert spool.folder.stat().st_mode & 0o777 == 0o700
    assert open_spool("s3://a/b").folder == spool.folder


def test_a_spool_that_cannot_be_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("KUBESHARK_SPOOL", str(tmp_path / "file"))
    with pytest.raises(StoreError, match=r"cannot make the spool .*: set KUBESHARK_SPOOL"):
        open_spool("s3://a/b")
