"""Which scripts there are: installed ones, and those of the folders that the configuration names."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from msgspec import Struct, field

from kubeshark.errors import PluginRejected, UsageError
from kubeshark.extension_api._frame import ABI_VERSION
from kubeshark.hosts.js.scripts import HOOKS
from kubeshark.hosts.js.scripts._process import ScriptChild, ScriptError
from kubeshark.pipeline.plugins._installed import installed_plugins
from kubeshark.pipeline.scripts._config import ScriptsConfig

__all__ = ["GRANT_KINDS", "Script", "check_script_grants", "find_scripts", "package_script", "read_script", "title_of"]

MAX_SCRIPT_BYTES = 3 << 20  # fits one request, escapes included, unless it is mostly other alphabets
GRANT_KINDS = {
    "hosts": "a host that network helpers may ask",
    "pcap": "write packets in the clear, below its own folder",
    "firewall": "audit pods (firewall=enforce: cut them off)",
    "cloud": "use this machine's own cloud credentials",
}
_ID = re.compile(r"[^a-z0-9-]+")


class Script(Struct, frozen=True):
    """One script. `grants` are those of its installation: a script of a folder has none."""

    id: str
    title: str
    file: str  # name, as errors show it
    text: str
    grants: Mapping[str, Sequence[str]] = field(default_factory=dict)
    path: Path | None = None  # where its text comes from


def title_of(text: str, file: str) -> str:
    """Return the first `//` comment line, else the file's name."""
    for line in text.splitlines()[:50]:
        stripped = line.strip()
        if stripped.startswith("//") and stripped.lstrip("/").strip():
            return stripped.lstrip("/").strip()[:120]
        if stripped and not stripped.startswith("//"):
            break
    return Path(file).stem


def id_of(name: str) -> str:
    """Return a file name as an id of plugins: lower case, digits and dashes, first a letter."""
    clean = _ID.sub("-", Path(name).stem.lower()).strip("-")[:60]
    return clean if clean[:1].isalpha() else f"s-{clean}".rstrip("-")


def read_script(path: Path, grants: Mapping[str, Sequence[str]] | None = None, id: str = "") -> Script:
    """Read a `.js` file; UsageError if it cannot be one."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_SCRIPT_BYTES + 1)
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 text") from error
    if len(data) > MAX_SCRIPT_BYTES:
        raise UsageError(f"{path} is larger than {MAX_SCRIPT_BYTES:,} bytes")
    return Script(id or id_of(path.name), title_of(text, path.name), path.name, text, grants or {}, path)


def find_scripts(config: ScriptsConfig, folder: Path | None = None) -> tuple[list[Script], list[str]]:
    """Return the scripts that are to run, by id, and what is wrong with those left out."""
    found: dict[str, Script] = {}
    problems: list[str] = []
    if not config.enabled:
        return [], []
    for plugin in installed_plugins(folder):
        if plugin.state.disabled or not (plugin.manifest and plugin.manifest.script):
            continue
        try:
            if plugin.problem:
                raise plugin.problem
            found[plugin.id] = read_script(plugin.folder / plugin.manifest.entry, plugin.grants, plugin.id)
        except (PluginRejected, UsageError) as error:
            problems.append(str(error))
    for place in config.folders:
        if not place.is_dir():
            problems.append(f"{place}: scripting source is no folder")
            continue
        for path in sorted(place.glob("*.js")):
            try:
                script = read_script(path)
            except UsageError as error:
                problems.append(str(error))
            else:
                found.setdefault(script.id, script)
    active = config.active
    chosen = [script for script in found.values() if active is None or {script.id, script.title} & set(active)]
    known = {name for script in found.values() for name in (script.id, script.title)}
    problems += [f"no script is called {name!r}" for name in active or () if name not in known]
    return sorted(chosen, key=lambda script: script.id), problems


def package_script(path: Path, into: Path) -> Path:
    """Make a plugin's folder of a script, below `into`: its hooks are found by loading it in the sandbox.

    The version is the file's time, so that a script that was edited is a newer one.
    """
    script = read_script(path)
    changed = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    version = f"1.{changed:%Y%m%d}.{int(f'{changed:%H%M%S}')}"
    manifest = {"id": script.id, "version": version, "abi": ABI_VERSION, "language": "js", "entry": f"{script.id}.js"}
    lines = [f"{key} = {json.dumps(value)}" for key, value in manifest.items()]
    hooks = ", ".join(map(_toml, hooks_of(script)))
    lines += [f"hooks = []\ndescription = {_toml(script.title)}\n", "[script]", f"title = {_toml(script.title)}"]
    folder = into / "script"
    folder.mkdir()
    (folder / "plugin.toml").write_text("\n".join([*lines, f"hooks = [{hooks}]", ""]), "utf-8")
    (folder / f"{script.id}.js").write_text(script.text, "utf-8")
    return folder


def hooks_of(script: Script) -> list[str]:
    """Load a script as worker, and if it refuses as hub; PluginRejected if it loads nowhere."""
    problem = ""
    for node in ("worker", "hub"):
        try:
            child = ScriptChild()
            try:
                child.open(node)
                answer = child.load(script.id, script.title, script.file, script.text, {}, _unavailable)
            finally:
                child.end()
        except ScriptError as error:
            raise PluginRejected(f"does not load: it {error}", plugin=script.id) from error
        if not answer.error:
            return [hook for hook in HOOKS if hook in answer.result]
        problem = problem or f"{script.file}: {answer.error}"
    raise PluginRejected(f"did not load: {problem}", plugin=script.id)


def check_script_grants(grants: Mapping[str, Sequence[str]]) -> None:
    """Refuse what a script cannot be granted."""
    for kind, values in grants.items():
        if kind not in GRANT_KINDS:
            raise UsageError(f"there is no permission {kind!r} for scripts", hint=f"there are {', '.join(GRANT_KINDS)}")
        if kind == "firewall" and not set(values) <= {"audit", "enforce"}:
            raise UsageError(f"firewall={values[0]}", hint="firewall=audit or firewall=enforce")


def _unavailable(_question: bytes) -> bytes:
    return b'{"error":"helpers that need an answer are not there while a script is installed"}'


def _toml(text: str) -> str:
    return json.dumps("".join(char for char in text if char.isprintable()), ensure_ascii=True)
