"""The lock file: what was installed, and that it stays so."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from kubeshark.errors import PluginRejected, UsageError
from kubeshark.packages._lock import LOCK_NAME, Pin, check_pin, parse_lock, pin, read_lock, unpin

A, B = "a" * 64, "b" * 64


def test_a_version_has_one_content(tmp_path: Path) -> None:
    pin(tmp_path, "demo", Pin("1.0.0", A, "oci://host/demo@sha256:x"))
    check_pin(tmp_path, "demo", "1.0.0", A)
    check_pin(tmp_path, "demo", "1.1.0", B)
    check_pin(tmp_path, "other", "1.0.0", B)
    with pytest.raises(PluginRejected, match=r"1\.0\.0 was sha256:aaaa.* is sha256:bbbb.*--repin"):
        check_pin(tmp_path, "demo", "1.0.0", B)
    assert parse_lock(tmp_path / LOCK_NAME) == read_lock(tmp_path)
    unpin(tmp_path, "demo")
    unpin(tmp_path, "demo")
    assert read_lock(tmp_path) == {}


@pytest.mark.parametrize(
    "plugins", [{"../x": {}}, {"demo": {"digest": "x"}}, {"demo": {"source": ""}}, {"demo": {"version": 1}}]
)
def test_a_lock_file_from_elsewhere_is_checked(plugins: dict[str, dict[str, object]], tmp_path: Path) -> None:
    good = {"version": "1.0.0", "digest": A, "source": "x.ksp"}
    path = tmp_path / "lock"
    path.write_text(json.dumps({"format": 1, "plugins": {key: good | value for key, value in plugins.items()}}))
    with pytest.raises(PluginRejected):
        parse_lock(path)
    with pytest.raises(UsageError, match="is not there"):
        parse_lock(tmp_path / "none")


def test_two_at_once_lose_nothing(tmp_path: Path) -> None:
    threads = [threading.Thread(target=pin, args=(tmp_path, f"p{at}", Pin("1.0.0", A, "x"))) for at in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(read_lock(tmp_path)) == 20
