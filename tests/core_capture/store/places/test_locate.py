"""From what a user calls a store to where it lies."""

from __future__ import annotations

from pathlib import Path

import pytest

from kubeshark.core_capture.store.places._local import LocalBackend
from kubeshark.core_capture.store.places._locate import open_backend
from kubeshark.core_capture.store.places._objects import ObjectBackend
from kubeshark.errors import UsageError


def test_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for location in (tmp_path / "a", str(tmp_path / "a"), f"file://{tmp_path}/a", "a", "s3:/a"):
        backend = open_backend(location, create=True)
        assert isinstance(backend, LocalBackend)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "s3:"]


def test_urls() -> None:
    for url in ("s3://bucket", "s3://bucket/a/b/", "gs://bucket/a", "memory://a"):
        backend = open_backend(url, create=True)  # nothing is asked of a server yet
        assert isinstance(backend, ObjectBackend)
        assert backend.location == url.rstrip("/")


@pytest.mark.parametrize(
    ("location", "said"),
    [
        ("ftp://bucket/a", "ftp:// is no place for a store: use a folder, s3, gs, az, memory:// or https://"),
        ("https://bucket/a", "names no worker: write https://HOST:PORT"),
        ("file://host/a", "file:// is no place"),
        ("s3:///a", "names no bucket"),
        ("s3://bucket/a?X-Amz-Credential=SECRET", "names no bucket"),
        ("s3://bucket/a#b", "names no bucket"),
        ("s3://key:SECRET@bucket/a", "credentials do not belong"),
        ("s3://bucket/../other", "no empty or dotted parts"),
        ("s3://bucket/a//b", "no empty or dotted parts"),
        (Path("s3://bucket/a"), "was a URL, a Path does not keep it"),
    ],
)
def test_what_is_no_place(location: str | Path, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        open_backend(location, create=False)
    assert "SECRET" not in str(caught.value)
