"""Another package adds a language: installed as a distribution, it builds, tests and runs plugins like ours."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import site
import subprocess
import sys
import zipfile
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest

from kubeshark.errors import PluginRejected
from kubeshark.extension_api._manifest import read_manifest
from kubeshark.extension_api._scaffold import scaffold
from kubeshark.hosts import _languages
from kubeshark.hosts._languages import host_module

LANGUAGES = Path(__file__).parent / "languages"


def make_wheel(folder: Path) -> Path:
    """Return a wheel of the package that adds the language `rules`: what an author would upload."""
    info = "kubeshark_rules-1.0.0.dist-info"
    files = {
        "kubeshark_rules/__init__.py": (LANGUAGES / "kubeshark_rules" / "__init__.py").read_text(),
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: kubeshark-rules\nVersion: 1.0.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": "[kubeshark.hosts]\nrules = kubeshark_rules\n",
    }
    record = []
    for name, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        record.append(f"{name},sha256={digest},{len(text.encode())}\n")
    files[f"{info}/RECORD"] = "".join([*record, f"{info}/RECORD,,\n"])
    wheel = folder / "kubeshark_rules-1.0.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return wheel


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment that sees this one's packages, and has the language installed."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True, timeout=60)
    found = folder / "bin" / "python"
    library = next((folder / "lib").glob("python*/site-packages"))
    lines = [f"import site; site.addsitedir({place!r})" for place in site.getsitepackages()]
    (library / "ours.pth").write_text("\n".join(lines) + "\n")
    wheel = make_wheel(folder)
    installing = [sys.executable, "-m", "pip", "--python", str(found), "install", "--no-index", "--no-deps", str(wheel)]
    done = subprocess.run(installing, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    return found


@pytest.fixture
def words(tmp_path: Path) -> Path:
    """A plugin in that language, with a capture of lines."""
    folder = tmp_path / "words"
    shutil.copytree(LANGUAGES / "words", folder)
    made = scaffold("fruit", "js")
    port = next(line for line in made["plugin.toml"].decode().splitlines() if line.startswith("ports")).split("[")[1]
    text = (folder / "plugin.toml").read_text().replace("PORT", port.rstrip("]"))
    (folder / "plugin.toml").write_text(text)
    (folder / "tests").mkdir()
    (folder / "tests" / "lines.pcap").write_bytes(made["tests/fruit.pcap"])
    return folder


def test_every_command_works_for_an_added_language(python: Path, words: Path, tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "KUBESHARK_PLUGINS": str(tmp_path / "plugins")}

    def run(*arguments: str | Path, status: int = 0) -> str:
        command = [python, "-m", "kubeshark", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=False)
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr

    assert "built words 1.0.0" in run("plugin", "build", words)
    run("plugin", "test", words, "--update")
    assert "ok      lines" in run("plugin", "test", words)
    run("plugin", "conformance", words, "--streams", "20")
    assert "installed words 1.0.0" in run("plugin", "install", words, "--allow-unsigned")
    assert "rules" in run("plugin", "list")
    shown = run(
        "dissect", words / "tests" / "lines.pcap", "--filter", "words", "--fields", "words_verb", "--output", "jsonl"
    )
    assert '"words_verb":"PUT"' in shown
    (words / "rules.toml").write_text("fields = { verb = 0, other = 1 }")
    assert "rules.toml: 'other'" in run("plugin", "build", words, status=1)


FAULTS = """
import sys
from pathlib import Path
from kubeshark.extension_api._frame import DISSECT, FrameItem, decode_dissect
from kubeshark.extension_api._manifest import read_manifest
from kubeshark.hosts import PluginProcess, Supervision
folder = Path(sys.argv[1])
manifest = read_manifest(folder)
with PluginProcess(folder, manifest, Supervision(backoff_s=0.0, crashes=9)) as process:
    def decode(result, items):
        said = [[] for _ in items]
        for message in decode_dissect(result, [item.payload for item in items], manifest.field_types).messages:
            said[message.item].append(message.fields[0])
        return said
    lines = (b"a 1\\n", b"loop x\\n", b"b 2\\n", b"crash x\\n", b"open x\\n", b"c 3\\n")
    items = [FrameItem(text, flags=3) for text in lines]
    for answer in process.call(DISSECT, items, decode):
        print(answer if isinstance(answer, list) else answer.reason)
"""


def test_its_faults_are_contained(python: Path, words: Path) -> None:
    done = subprocess.run([python, "-c", FAULTS, words], capture_output=True, text=True, timeout=60, check=False)
    lines = done.stdout.splitlines()
    assert len(lines) == 6, done.stderr
    assert [lines[0], lines[2], lines[5]] == ["['a']", "['b']", "['c']"]
    assert "took longer" in lines[1]
    assert "SIGABRT" in lines[3]
    assert "forbidden system call" in lines[4]


def test_without_the_package_its_plugins_say_so(words: Path) -> None:
    with pytest.raises(PluginRejected, match=r"language: 'rules' is not known here: there are js, c, cpp, go, python"):
        read_manifest(words)
    with pytest.raises(LookupError, match="there is no host for rules"):
        host_module("rules")


def test_two_packages_with_one_language_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    points = EntryPoints(EntryPoint("rules", value, "kubeshark.hosts") for value in ("one", "two"))
    monkeypatch.setattr(_languages, "entry_points", lambda **_: points)
    with pytest.raises(LookupError, match="offered by one and two"):
        host_module("rules")
    assert host_module("js") == "kubeshark.hosts.js._instance"
