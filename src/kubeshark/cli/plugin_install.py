"""kubeshark plugin install|update|rollback: which version is there. Nothing of a plugin runs here."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kubeshark.cli.terminal._complain import complain, printable
from kubeshark.errors import KubesharkError, PluginRejected, UsageError

if TYPE_CHECKING:
    from kubeshark.packages._credentials import Credentials
    from kubeshark.packages._fetched import Fetched
    from kubeshark.pipeline.plugins._installed import InstalledPlugin
    from kubeshark.pipeline.plugins._stage import Stage

__all__ = ["add_actions", "add_login", "login_of", "parse_grants"]

SCRIPT_SWITCHES = {"pcap": "yes", "cloud": "yes", "firewall": "audit"}
"""Permissions of Kubeshark scripts that need no value, and what it is then."""

INSTALL = """Copy a plugin into plugins.dir; nothing of it is run or compiled.

SOURCE is a folder with a plugin.toml, a package (.ksp), its https:// address, oci://HOST/REPOSITORY:TAG (or
@sha256:…), or the id of a plugin of the index (see "kubeshark plugin search"), with @VERSION if you like. A plain
Kubeshark script (FILE.js) becomes a plugin; it is loaded once, in the sandbox, to see which hooks it has.

Who signed it must be trusted ("kubeshark plugin trust"): otherwise you are asked, and without a terminal
--allow-unsigned is needed. What it may do besides reading the traffic it is for is shown, and granted with --grant.

A registry is logged in to as Docker does it (docker login), with --user and --password-file, or with
KUBESHARK_REGISTRY (its host), KUBESHARK_REGISTRY_USER and KUBESHARK_REGISTRY_PASSWORD.

examples:
  kubeshark plugin install ./stomp --allow-unsigned --grant env=STOMP_SALT
  kubeshark plugin install oci://ghcr.io/acme/stomp:1.2.0
  kubeshark plugin install stomp@1.2.0 --index https://plugins.example.org/index.json
  kubeshark plugin install ./report.js --allow-unsigned --grant host=hooks.example.com --grant pcap
  kubeshark plugin install --lock ../other/plugins.lock
"""
UPDATE = """Ask the sources of installed plugins for newer versions and install them, as "install" does.
What a plugin may do stays granted if the same trusted key signed both versions; anything more is asked for.
Without ID: all of them.

examples:
  kubeshark plugin update --check
  kubeshark plugin update stomp
"""
ROLL_BACK = """Return to the version that was installed before, with what was granted to it. It lies beside the current
one: nothing is fetched. A second time, it returns to the newer one.
"""


def add_actions(actions: Any) -> None:
    """Add the sub-commands to the parser of `kubeshark plugin`."""
    install = _add(actions, "install", "install a plugin from a folder, a package, a registry or an index", INSTALL)
    install.add_argument("source", metavar="SOURCE", nargs="?")
    install.add_argument("--lock", metavar="FILE", help="install what a plugins.lock names, and nothing else than that")
    install.add_argument("--downgrade", action="store_true", help="replace a newer version")
    _add_consent(install)
    add_login(install)
    install.set_defaults(run=run_install)

    update = _add(actions, "update", "install newer versions", UPDATE)
    update.add_argument("ids", metavar="ID", nargs="*")
    update.add_argument("--check", action="store_true", help="only say what there is")
    _add_consent(update)
    update.set_defaults(run=run_update)

    rollback = _add(actions, "rollback", "return to the version before", ROLL_BACK)
    rollback.add_argument("id", metavar="ID")
    rollback.set_defaults(run=run_rollback)


def _add(actions: Any, name: str, summary: str, text: str) -> Any:
    return actions.add_parser(
        name, help=summary, description=text, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def _add_consent(parser: Any) -> None:
    parser.add_argument("--allow-unsigned", action="store_true", help="do not ask although nobody trusted signed it")
    parser.add_argument("--grant", action="append", default=[], metavar="K=V", help="give a permission it asks for")
    parser.add_argument("--repin", action="store_true", help="accept other contents under a version that you have")
    parser.add_argument("--yes", action="store_true", help="do not ask about permissions")
    parser.add_argument("--index", metavar="FILE|URL", default="", help="default: $KUBESHARK_PLUGIN_INDEX")


def add_login(parser: Any) -> None:
    """Add what a login at the registry on the command line takes."""
    parser.add_argument("--user", metavar="NAME", default="", help="log in to the registry under this name")
    parser.add_argument("--password-file", metavar="FILE", help="with this password; - is standard input")


def login_of(args: argparse.Namespace) -> Credentials | None:
    """Return what --user and --password-file say, None if they say nothing."""
    from kubeshark.packages._credentials import Credentials

    if bool(args.user) != bool(args.password_file):
        raise UsageError("--user and --password-file go together")
    if not args.user:
        return None
    file: str = args.password_file
    text = sys.stdin.readline() if file == "-" else Path(file).read_text("utf-8")
    return Credentials(args.user, text.rstrip("\r\n"))


def run_install(args: argparse.Namespace) -> int:
    if (args.source is None) == (args.lock is None):
        raise UsageError("say what to install: a SOURCE, or --lock FILE", hint='see "kubeshark plugin install --help"')
    grants = parse_grants(args.grant)
    if args.lock:
        return _install_locked(args, grants)
    with _Place() as place:
        plugin = _install(place.fetch(args.source, args.index, login_of(args)), args, grants)
    return 1 if plugin.problem else 0


def _install_locked(args: argparse.Namespace, grants: Mapping[str, list[str]]) -> int:
    """Bring this machine to what a lock file says; each plugin by itself."""
    from msgspec.structs import replace

    from kubeshark.packages._lock import parse_lock
    from kubeshark.pipeline.plugins._installed import installed_plugins

    pins = parse_lock(Path(args.lock))
    there = {plugin.id: plugin for plugin in installed_plugins()}
    tally = _Tally()
    for plugin, pin in pins.items():
        have = there.get(plugin)
        if have and have.digest == pin.digest and not have.problem:
            print(f"{plugin} {pin.version} is there")
            tally.done += 1
            continue
        with tally, _Place() as place:
            fetched = place.fetch(pin.source, args.index)
            promised = replace(fetched, digest=pin.digest, signer=pin.signer, wanted=plugin)
            _install(promised, argparse.Namespace(**{**vars(args), "downgrade": True}), grants, is_one_of_many=True)
    return tally.code


def run_update(args: argparse.Namespace) -> int:
    from kubeshark.packages._fetched import is_remote
    from kubeshark.pipeline.plugins._installed import installed_plugins

    grants = parse_grants(args.grant)
    there = {plugin.id: plugin for plugin in installed_plugins()}
    for name in args.ids:
        if name not in there:
            raise UsageError(f"plugin {name!r} is not installed", hint='see "kubeshark plugin list"')
        if not is_remote(there[name].source):
            source = there[name].source or "a folder"
            raise UsageError(f"{name} was installed from {source}, which has no versions", hint="install it again")
    tally = _Tally()
    for plugin in there.values():
        if args.ids and plugin.id not in args.ids:
            continue
        if not is_remote(plugin.source):
            print(f"{plugin.id} {plugin.version} was installed from this machine: left as it is")
            continue
        with tally, _Place() as place:
            _update(plugin, place.fetch(plugin.source, args.index), args, grants)
    return tally.code


def run_rollback(args: argparse.Namespace) -> int:
    from kubeshark.pipeline.plugins._installed import installed_plugins, roll_back

    before = next((plugin.version for plugin in installed_plugins() if plugin.id == args.id), "")
    plugin = roll_back(args.id)
    print(f"rolled {plugin.id} back from {before} to {plugin.version}: sha256:{plugin.digest}")
    return 0


def parse_grants(texts: list[str]) -> dict[str, list[str]]:
    """Return what --grant gives, by kind."""
    grants: defaultdict[str, list[str]] = defaultdict(list)
    for text in texts:
        kind, equals, value = text.partition("=")
        if text in SCRIPT_SWITCHES:
            equals, value = "=", SCRIPT_SWITCHES[text]
        kind = "hosts" if kind == "host" else kind  # as scripts' users say it
        if not equals or not value:
            raise UsageError(f"--grant {text!r} is not K=V", hint="for example --grant env=NAME")
        grants[kind].append(value)
    return dict(grants)


class _Place:
    """A folder for what is fetched; use with `with`."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="kubeshark-fetch-")

    def __enter__(self) -> _Place:
        return self

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()

    def fetch(self, source: str, index: str, credentials: Credentials | None = None) -> Fetched:
        from kubeshark.cli.terminal._progress import Progress
        from kubeshark.packages._sources import fetch

        script = Path(source)
        if script.suffix == ".js" and script.is_file():
            from kubeshark.packages._fetched import Fetched
            from kubeshark.pipeline.scripts import package_script

            return Fetched(package_script(script, Path(self._folder.name)), str(script.resolve()))
        with Progress("fetching") as bar:
            place = Path(self._folder.name)
            return fetch(source, place, index=index, credentials=credentials, progress=bar.show)


class _Tally:
    """Counts what went well; an error of one plugin is said, and the next one has its turn. Use with `with`."""

    def __init__(self) -> None:
        self.done = self.failed = 0

    def __enter__(self) -> _Tally:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> bool:
        if error is None:
            self.done += 1
            return False
        if not isinstance(error, KubesharkError):
            return False
        self.failed += 1
        complain(error)
        return True

    @property
    def code(self) -> int:
        return 0 if not self.failed else 3 if self.done else 1


def _install(
    fetched: Fetched, args: argparse.Namespace, grants: Mapping[str, list[str]], *, is_one_of_many: bool = False
) -> InstalledPlugin:
    from kubeshark.pipeline.plugins._stage import Stage

    with Stage(fetched) as stage:
        if not is_one_of_many:
            stage.check_grants(grants)
        return _commit(stage, args, grants)


def _update(
    plugin: InstalledPlugin, fetched: Fetched, args: argparse.Namespace, grants: Mapping[str, list[str]]
) -> None:
    from msgspec.structs import replace

    from kubeshark.extension_api._manifest import version_key
    from kubeshark.pipeline.plugins._stage import Stage

    with Stage(replace(fetched, wanted=plugin.id)) as stage:
        version = stage.manifest.version
        if stage.is_installed and not plugin.problem:
            print(f"{plugin.id} {plugin.version} is the newest")
        elif plugin.version != "?" and version_key(version) < version_key(plugin.version):
            print(f"{plugin.id} {plugin.version} is newer than {version}, which is what there is")
        elif args.check:
            print(f"{plugin.id} {plugin.version}: there is {version}")
        else:
            if len(args.ids) == 1:  # of several, each gets what it asks for
                stage.check_grants(grants)
            _commit(stage, argparse.Namespace(**{**vars(args), "downgrade": False}), grants)


def _commit(stage: Stage, args: argparse.Namespace, given: Mapping[str, list[str]]) -> InstalledPlugin:
    """Ask, install, and say what was done."""
    before = stage.installed_version
    grants = _joined(stage.inherited_grants, {kind: _asked_for(stage, kind, values) for kind, values in given.items()})
    _ask_unsigned(stage, args)
    grants = _joined(grants, _ask_permissions(stage, args, grants))
    plugin = stage.commit(grants=grants, downgrade=args.downgrade, repin=args.repin)
    replaced = f", replacing {before}" if before else ""
    signed = f", signed by {stage.signer}" if stage.signer else ""
    granted = "".join(f", granted {kind}={value}" for kind, values in plugin.grants.items() for value in values)
    print(printable(f"installed {plugin.id} {plugin.version}{replaced}: sha256:{plugin.digest}{signed}{granted}"))
    return plugin


def _asked_for(stage: Stage, kind: str, values: list[str]) -> list[str]:
    """Leave out what this one of several plugins does not ask for; for one alone that was refused before."""
    kept = []
    for value in values:
        try:
            stage.check_grants({kind: [value]})
        except UsageError:
            continue
        kept.append(value)
    return kept


def _joined(first: Mapping[str, list[str]], second: Mapping[str, list[str]]) -> dict[str, list[str]]:
    joined = {kind: list(dict.fromkeys([*first.get(kind, ()), *second.get(kind, ())])) for kind in {**first, **second}}
    return {kind: values for kind, values in joined.items() if values}


def _ask_unsigned(stage: Stage, args: argparse.Namespace) -> None:
    """Go on with what nobody trusted signed only with consent."""
    manifest, before = stage.manifest, stage.installed_signature
    if stage.signature and before and before.key != stage.signature.key:
        complain(f"{manifest.id} {stage.installed_version} was signed by {before.key}, this by {stage.signature.key}")
    if not stage.doubt or args.allow_unsigned:
        return
    doubt = f"{manifest.version} {stage.doubt}"
    if before:
        doubt += f", and the installed {stage.installed_version} is"
    if not sys.stdin.isatty():
        hint = "install with --allow-unsigned"
        if stage.signature:
            hint = f'run "kubeshark plugin trust {stage.signature.key}", or {hint}'
        raise PluginRejected(doubt, plugin=manifest.id, hint=hint)
    print(printable(f"{manifest.id} {doubt} (sha256:{stage.digest[:16]}…)"), file=sys.stderr)
    if not _says_yes("Install it?"):
        raise PluginRejected("was not installed", plugin=manifest.id)


def _ask_permissions(stage: Stage, args: argparse.Namespace, grants: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """Show what a plugin asks for and has not; on a terminal it can be granted."""
    missing = stage.missing_grants(grants)
    if not missing or args.yes:
        return {}
    manifest = stage.manifest
    if not sys.stdin.isatty():
        for kind, values in missing.items():
            complain(f"{manifest.id} {manifest.version}: it asks for {kind} {', '.join(values)}, and would run without")
        return {}
    given: dict[str, list[str]] = {}
    for kind, values in missing.items():
        for value in values:
            if value == "*":
                chosen = _answer(f"{manifest.id} {manifest.version} asks you to choose {kind}. Which? [none]")
            else:
                is_given = _says_yes(f"{manifest.id} {manifest.version} asks for {kind}={value}. Grant it?")
                chosen = value if is_given else ""
            if chosen:
                stage.check_grants({kind: [chosen]})
                given.setdefault(kind, []).append(chosen)
    return given


def _says_yes(question: str) -> bool:
    return _answer(f"{question} [y/N]").lower() in ("y", "yes")


def _answer(question: str) -> str:
    print(f"{printable(question)} ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip()
