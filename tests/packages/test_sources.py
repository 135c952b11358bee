"""Every way a plugin gets to this machine, with what was said of it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from kubeshark.errors import PluginError, UsageError
from kubeshark.packages._fetched import is_remote, local
from kubeshark.packages._index import entry_for, write_index
from kubeshark.packages._inspect import inspect
from kubeshark.packages._registry import Registry, parse_reference
from kubeshark.packages._sources import fetch
from tests.packages._plugins import make_key, make_package
from tests.packages._servers import RegistryServer, Site


@pytest.fixture
def into(tmp_path: Path) -> Path:
    (tmp_path / "into").mkdir()
    return tmp_path / "into"


@pytest.fixture
def package(tmp_path: Path) -> Path:
    make_key(tmp_path / "key")
    return make_package(tmp_path, key=tmp_path / "key")


def test_what_is_here(package: Path, into: Path) -> None:
    found = fetch(str(package), into)
    assert found == local(package)
    assert found.signature == package.with_name("demo-1.0.0.ksp.sig").read_bytes()
    assert (found.exact, is_remote(found.source)) == ("", False)
    folder = fetch(str(package.with_name("demo-1.0.0")), into)
    assert folder.path.is_dir()
    assert folder.signature is None


def test_https(package: Path, into: Path, web_site: Site) -> None:
    web_site.pages["/p/demo.ksp"] = package.read_bytes()
    found = fetch(f"{web_site.url}/p/demo.ksp?v=1", into)
    assert found.path.read_bytes() == package.read_bytes()
    assert (found.signature, found.source) == (None, f"{web_site.url}/p/demo.ksp?v=1")
    web_site.pages["/p/demo.ksp.sig"] = b"signed"
    assert fetch(f"{web_site.url}/p/demo.ksp?v=1", into).signature == b"signed"
    with pytest.raises(PluginError, match=r"/none.ksp: the server answers 404"):
        fetch(f"{web_site.url}/none.ksp?token=hush", into)
    with pytest.raises(PluginError, match="is not reached by https"):
        fetch("http://localhost/demo.ksp", into)


def test_a_registry(package: Path, into: Path, basic_registry: RegistryServer, login: None) -> None:
    source = f"oci://{basic_registry.host}/sources/demo:1"
    signature = package.with_name("demo-1.0.0.ksp.sig").read_bytes()
    pushed = Registry(parse_reference(source)).push(package, signature, {})
    found = fetch(source, into)
    assert (found.source, found.signature) == (source, signature)
    assert found.exact == f"oci://{basic_registry.host}/sources/demo@{pushed.digest}"
    assert fetch(found.exact, into).path.read_bytes() == package.read_bytes()


def test_an_index(package: Path, into: Path, web_site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = inspect(package)
    assert found.signature
    index = tmp_path / "index.json"
    write_index(index, [entry_for(found.manifest, found.digest, package.name, found.signature.key)])
    monkeypatch.setenv("KUBESHARK_PLUGIN_INDEX", str(index))
    for name in ("demo", "demo@1.0.0", "index:demo"):
        fetched = fetch(name, into)
        assert (fetched.digest, fetched.signer, fetched.wanted) == (found.digest, found.signature.key, "demo")
        assert (fetched.source, fetched.exact) == ("index:demo", str(package))
    web_site.pages |= {"/i/index.json": index.read_bytes(), f"/i/{package.name}": package.read_bytes()}
    fetched = fetch("demo", into, index=f"{web_site.url}/i/index.json")
    assert fetched.exact == f"{web_site.url}/i/{package.name}"
    with pytest.raises(UsageError, match="the index has no plugin 'none'"):
        fetch("none", into)


def test_an_index_on_the_web_names_no_files(web_site: Site, into: Path, package: Path) -> None:
    entry = {"id": "demo", "version": "1.0.0", "language": "js", "digest": "sha256:" + "a" * 64}
    document = {"format": 1, "plugins": [entry | {"source": str(package)}]}
    web_site.pages["/index.json"] = json.dumps(document).encode()
    with pytest.raises(PluginError, match="the server answers 404"):  # the path is one of that server
        fetch("demo", into, index=f"{web_site.url}/index.json")


def test_what_is_nothing(into: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for source in ("./none", "none.ksp", "Fruit", "../x", "none.js"):
        with pytest.raises(PluginError, match="is not there"):
            fetch(source, into)
    with pytest.raises(UsageError, match="no plugin index is named"):
        fetch("fruit", into)
    with pytest.raises(UsageError, match="is no plugin's id"):
        fetch("index:../x", into, index="x.json")


def test_a_folder_comes_before_the_index(
    package: Path, into: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(package.with_name("demo-1.0.0"), tmp_path / "demo")
    assert fetch("demo", into).path == Path("demo")
