from __future__ import annotations

from pathlib import Path

import pytest

from kubeshark.errors import UsageError
from kubeshark.settings import config_path


def test_the_first_that_is_there_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert config_path(environ={}) is None
    home = tmp_path / "home" / ".kubeshark" / "config.yaml"
    home.parent.mkdir(parents=True)
    named, other = tmp_path / "named.yaml", tmp_path / "other.yaml"
    for path in (home, named, other):
        path.touch()
    assert config_path(environ={}) == home
    Path("kubeshark.yaml").touch()
    assert config_path(environ={}) == Path("kubeshark.yaml")
    assert config_path(environ={"KUBESHARK_CONFIG": str(other)}) == other
    assert config_path(named, {"KUBESHARK_CONFIG": str(other)}) == named


@pytest.mark.parametrize(("path", "environ"), [("no.yaml", {}), (None, {"KUBESHARK_CONFIG": "no.yaml"})])
def test_a_file_that_is_named_must_be_there(path: str | None, environ: dict[str, str]) -> None:
    with pytest.raises(UsageError, match=r"no\.yaml: there is no such configuration file"):
        config_path(path, environ)
