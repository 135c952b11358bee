"""Installing plugins: nothing runs, links and escapes are refused, a changed file is noticed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kubeshark.errors import PluginError, PluginRejected, UsageError
from kubeshark.extension_api import SealedSegment
from kubeshark.pipeline import Plugins
from kubeshark.pipeline.plugins._installed import foreign_plugins, installed_plugins, plugins_folder, uninstall
from kubeshark.pipeline.plugins._stage import Stage

ASKER = Path(__file__).parents[2] / "hosts" / "asking" / "js"
MANIFEST = """
id = "demo"
version = "{version}"
abi = 1
language = "js"
entry = "demo.js"
hooks = ["render"]
[permissions]
env = ["DEMO_HOME"]
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    (folder / "lib").mkdir(parents=True)
    (folder / "plugin.toml").write_text(MANIFEST.format(version="1.0.0"))
    (folder / "demo.js").write_text("throw new Error('must not run')")
    (folder / "lib" / "help.js").write_text("")
    (folder / ".git").mkdir()
    (folder / ".git" / "config").write_text("")
    return folder


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KUBESHARK_PLUGINS", str(tmp_path / "plugins"))
    return plugins_folder()


def install(source: Path, version: str = "1.0.0", **options: bool) -> None:
    (source / "plugin.toml").write_text(MANIFEST.format(version=version))
    with Stage(source) as stage:
        stage.commit(**options)


def test_the_folder_is_the_users_unless_named(own_home: Path) -> None:
    assert plugins_folder() == own_home / ".kubeshark" / "plugins"
    assert installed_plugins() == []


def test_installing_copies_every_visible_file(source: Path, root: Path) -> None:
    install(source)
    (plugin,) = installed_plugins()
    assert (plugin.id, plugin.version, plugin.problem) == ("demo", "1.0.0", None)
    files = sorted(path.relative_to(root).as_posix() for path in root.rglob("[!.]*") if path.is_file())
    assert files == [
        "demo/1.0.0/demo.js",
        "demo/1.0.0/lib/help.js",
        "demo/1.0.0/plugin.toml",
        "demo/install.json",
        "plugins.lock",
    ]
    (foreign,), _, problems = foreign_plugins()
    assert (foreign[0], problems) == ("demo@1.0.0", [])
    foreign[1].close()


def test_a_new_version_replaces_and_an_old_one_does_not(source: Path, root: Path) -> None:
    install(source, "1.1.0")
    with pytest.raises(PluginRejected, match=r"1\.0\.0 is older than the installed 1\.1\.0"):
        install(source, "1.0.0")
    assert [plugin.version for plugin in installed_plugins()] == ["1.1.0"]
    install(source, "1.0.0", downgrade=True)
    install(source, "1.2.0")
    assert sorted(path.name for path in (root / "demo").iterdir() if path.is_dir()) == ["1.0.0", "1.2.0"]
    assert sorted(path.name for path in root.glob("[!.]*")) == ["demo", "plugins.lock"]
    assert list(root.glob(".stage-*")) == []


def test_what_is_not_committed_leaves_nothing(source: Path, root: Path) -> None:
    with Stage(source):
        pass
    assert list(root.iterdir()) == []


@pytest.mark.parametrize("change", ["write", "add", "remove", "link", "record", "manifest"])
def test_a_changed_plugin_is_not_loaded(source: Path, root: Path, change: str) -> None:
    install(source)
    folder = root / "demo" / "1.0.0"
    match change:
        case "write":
            (folder / "demo.js").write_text("changed")
        case "add":
            (folder / "more.js").write_text("")
        case "remove":
            (folder / "lib" / "help.js").unlink()
        case "link":
            (folder / "lib" / "help.js").unlink()
            (folder / "lib" / "help.js").symlink_to("/dev/null")
        case "record":
            (root / "demo" / "install.json").write_text("{}")
        case "manifest":
            (folder / "plugin.toml").write_text("id = 1")
    (plugin,) = installed_plugins()
    assert isinstance(plugin.problem, PluginRejected)
    plugins, _, problems = foreign_plugins()
    assert (plugins, [str(problem) for problem in problems]) == ([], [str(plugin.problem)])
    install(source)  # installing again heals it
    assert installed_plugins()[0].problem is None


def test_links_are_refused(source: Path, root: Path) -> None:
    (source / "lib" / "passwd").symlink_to("/etc/passwd")
    with pytest.raises(PluginRejected, match="lib/passwd is a link"):
        install(source)
    assert list(root.iterdir()) == []


def test_special_files_are_refused(source: Path, root: Path) -> None:
    os.mkfifo(source / "lib" / "pipe")
    with pytest.raises(PluginRejected, match="neither file nor folder"):
        install(source)


def test_a_missing_artefact_says_what_to_run(source: Path, root: Path) -> None:
    (source / "demo.js").unlink()
    with pytest.raises(PluginRejected, match='run "kubeshark plugin build'):
        install(source)


def test_only_what_is_asked_for_is_granted(source: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Stage(source) as stage:
        for grants in ({"env": ["PATH"]}, {"hosts": ["example.org"]}, {"root": ["yes"]}):
            with pytest.raises(UsageError):
                stage.commit(grants=grants)
        assert stage.commit(grants={"env": ["DEMO_HOME"]}).grants == {"env": ["DEMO_HOME"]}
    monkeypatch.setenv("DEMO_HOME", "here")
    ((_, plugin),), _, _ = foreign_plugins()
    assert plugin.process.environment == {"DEMO_HOME": "here"}


def test_a_python_plugin_is_not_installed_here(source: Path, root: Path) -> None:
    (source / "plugin.toml").write_text(MANIFEST.format(version="1.0.0").replace('"js"', '"python"'))
    with pytest.raises(PluginRejected, match="pip install it"), Stage(source):
        pass


@pytest.mark.parametrize("name", ["other", "..", "../demo", ".", "", "demo/1.0.0"])
def test_only_installed_plugins_are_removed(source: Path, root: Path, name: str) -> None:
    install(source)
    with pytest.raises(UsageError, match="is not installed"):
        uninstall(name)
    assert len(installed_plugins()) == 1
    uninstall("demo")
    assert installed_plugins() == []


def test_what_was_granted_is_served_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "plugins"
    monkeypatch.setenv("KUBESHARK_PLUGINS", str(root))
    segment = SealedSegment("write", "data/f", 0, 0, 0, 0, 0, 0, 1, "kept")
    with Stage(ASKER) as stage:
        assert stage.missing_grants({"hosts": ["10.0.0.0/8"]}) == {"paths": ["data"]}  # "*": the user chooses
        for kind, value in (("paths", "/etc"), ("hosts", "10.0.0.1/8"), ("hosts", "not a host")):
            with pytest.raises(UsageError, match=kind):
                stage.check_grants({kind: [value]})
        stage.commit()
    with Plugins.installed() as plugins, pytest.raises(PluginError, match=r'permission "paths: data/f" not granted'):
        plugins.segment_sealed["asker@1.0.0"](segment=segment)
    for _ in range(2):  # installed again, its files stay
        with Stage(ASKER) as stage:
            stage.commit(grants={"paths": ["data"]})
        with Plugins.installed() as plugins:
            plugins.segment_sealed["asker@1.0.0"](segment=segment)
        assert (root / ".data" / "asker" / "f").read_text() == "kept"
    uninstall("asker")
    assert not (root / ".data" / "asker").exists()
