"""kubeshark plugin install|uninstall|list|info|build: what gets there and what is there."""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kubeshark.cli import plugin_author, plugin_manage
from kubeshark.errors import PluginRejected, UsageError

if TYPE_CHECKING:
    from kubeshark.pipeline._installed import InstalledPlugin, Stage

__all__ = ["add_parser"]

EXAMPLES = """examples:
  kubeshark plugin build examples/plugins/c/tftp
  kubeshark plugin install examples/plugins/c/tftp
  kubeshark plugin install ./stomp --allow-unsigned --grant env=STOMP_SALT
  kubeshark plugin install ./report.js --allow-unsigned --grant host=hooks.example.com --grant pcap
  kubeshark plugin list --output json
"""


def add_parser(commands: Any, name: str = "plugin", summary: str = "install, list and remove plugins") -> None:
    parser = commands.add_parser(
        name,
        help=summary,
        description="Plugins take part at every stage. Each runs in a process of its own, with what it was granted.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(metavar="ACTION", required=True, dest="action")

    install = actions.add_parser("install", help="copy a plugin's folder into plugins.dir; runs nothing of it")
    install.add_argument(
        "path", metavar="PATH", help="a folder with a plugin.toml and its built entry, or a Kubeshark script (.js)"
    )
    install.add_argument("--allow-unsigned", action="store_true", help="do not ask although nobody signed it")
    install.add_argument("--grant", action="append", default=[], metavar="K=V", help="give a permission it asks for")
    install.add_argument("--downgrade", action="store_true", help="replace a newer version")
    install.add_argument("--yes", action="store_true", help="do not ask about permissions")
    install.set_defaults(run=run_install)

    remove = actions.add_parser("uninstall", help="remove an installed plugin")
    remove.add_argument("id", metavar="ID")
    remove.set_defaults(run=run_uninstall)

    listing = actions.add_parser("list", help="list installed plugins")
    listing.add_argument("--output", choices=("text", "json"), default="text")
    listing.set_defaults(run=run_list)

    info = actions.add_parser("info", help="show all about an installed plugin")
    info.add_argument("id", metavar="ID")
    info.add_argument("--output", choices=("text", "json"), default="text")
    info.set_defaults(run=run_info)

    build = actions.add_parser("build", help="compile or bundle a plugin, and check that it loads")
    build.add_argument("path", metavar="PATH")
    build.set_defaults(run=run_build)
    plugin_author.add_actions(actions)
    plugin_manage.add_actions(actions)


def run_install(args: argparse.Namespace) -> int:
    from contextlib import nullcontext

    from kubeshark.pipeline._installed import Stage

    grants = _parse_grants(args.grant)
    path = Path(args.path)
    if path.suffix == ".js" and path.is_file():
        from kubeshark.pipeline.scripts import packaged

        source: Any = packaged(path)
        grants = script_grants(grants)
    else:
        source = nullcontext(path)
    with source as folder, Stage(folder) as stage:
        stage.check_grants(grants)
        _ask(stage, args, grants)
        before = stage.installed_version
        plugin = stage.commit(grants=grants, downgrade=args.downgrade)
    replaced = f", replacing {before}" if before else ""
    print(f"installed {plugin.id} {plugin.version}{replaced}: sha256:{plugin.digest}")
    return 0


def run_uninstall(args: argparse.Namespace) -> int:
    from kubeshark.pipeline._installed import uninstall

    uninstall(args.id)
    print(f"removed {args.id}")
    return 0


def run_list(args: argparse.Namespace) -> int:
    from kubeshark.pipeline._installed import installed_plugins, plugins_folder

    plugins = installed_plugins()
    if args.output == "json":
        print(json.dumps([_describe(plugin) for plugin in plugins], indent=1))
    elif not plugins:
        print(f"no plugins in {plugins_folder()}")
    else:
        rows = [("ID", "VERSION", "LANGUAGE", "HOOKS", "STATE"), *(_row(plugin) for plugin in plugins)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    return 1 if any(plugin.problem for plugin in plugins) else 0


def run_info(args: argparse.Namespace) -> int:
    from kubeshark.pipeline._installed import installed_plugins

    plugin = next((plugin for plugin in installed_plugins() if plugin.id == args.id), None)
    if plugin is None:
        raise UsageError(f"plugin {args.id!r} is not installed", hint='see "kubeshark plugin list"')
    described = _describe(plugin)
    if args.output == "json":
        print(json.dumps(described, indent=1))
    else:
        for key, value in described.items():
            if value not in ("", [], {}, None):
                print(f"{key:<12} {value if isinstance(value, str) else json.dumps(value)}")
    return 1 if plugin.problem else 0


def run_build(args: argparse.Namespace) -> int:
    from kubeshark.extension_api._manifest import read_manifest
    from kubeshark.hosts._build import build_plugin

    folder = Path(args.path)
    manifest = read_manifest(folder)
    build_plugin(folder, manifest)
    print(f"built {manifest.id} {manifest.version}: {folder / manifest.entry}")
    return 0


def _parse_grants(texts: list[str]) -> dict[str, list[str]]:
    grants: defaultdict[str, list[str]] = defaultdict(list)
    for text in texts:
        kind, equals, value = text.partition("=")
        if text in SCRIPT_SWITCHES:
            kind, equals, value = text, "=", SCRIPT_SWITCHES[text]
        if not equals or not value:
            raise UsageError(f"--grant {text!r} is not K=V", hint="for example --grant env=NAME")
        grants[kind].append(value)
    return dict(grants)


SCRIPT_SWITCHES = {"pcap": "yes", "cloud": "yes", "firewall": "audit"}
"""Permissions of scripts that need no value, and what it is then."""


def script_grants(grants: dict[str, list[str]]) -> dict[str, list[str]]:
    """Take `host` for `hosts`, as scripts' errors and Kubeshark's users say it."""
    hosts = [*grants.get("hosts", []), *grants.get("host", [])]
    rest = {kind: values for kind, values in grants.items() if kind not in ("host", "hosts")}
    return {**rest, **({"hosts": hosts} if hosts else {})}


def parse_script_grants(texts: list[str]) -> dict[str, list[str]]:
    """Return what --grant gives a script; UsageError for what scripts cannot be given."""
    from kubeshark.pipeline.scripts._script import check_script_grants

    grants = script_grants(_parse_grants(texts))
    check_script_grants(grants)
    return grants


def _ask(stage: Stage, args: argparse.Namespace, grants: dict[str, list[str]]) -> None:
    """Say what is unsigned and what is asked for; go on only with consent."""
    manifest = stage.manifest
    lines = []
    if not args.allow_unsigned:
        lines.append("nobody signed it")
    for kind in ("hosts", "paths", "env"):
        missing = [value for value in getattr(manifest.permissions, kind) if value not in grants.get(kind, [])]
        if missing and not args.yes:
            lines.append(f"it asks for {kind} {', '.join(missing)}, and would run without")
    if not lines:
        return
    if not sys.stdin.isatty():
        if not args.allow_unsigned:
            raise PluginRejected(
                f"{manifest.version} is not signed", plugin=manifest.id, hint="install with --allow-unsigned"
            )
        print(f"{manifest.id} {manifest.version}: {'; '.join(lines)}", file=sys.stderr)
        return
    print(f"{manifest.id} {manifest.version} (sha256:{stage.digest[:16]}…): {'; '.join(lines)}", file=sys.stderr)
    if input("Install it? [y/N] ").strip().lower() not in ("y", "yes"):
        raise PluginRejected("was not installed", plugin=manifest.id)


def _row(plugin: InstalledPlugin) -> tuple[str, ...]:
    manifest = plugin.manifest
    state = _state(plugin)
    hooks = ",".join(manifest.script.hooks if manifest.script else manifest.hooks) if manifest else ""
    return plugin.id, plugin.version, manifest.language if manifest else "?", hooks, state


def _settings(plugin: InstalledPlugin) -> dict[str, Any]:
    from kubeshark.extension_api._settings import check_settings, shown_settings

    specs = plugin.manifest.setting_specs if plugin.manifest else ()
    try:
        return shown_settings(specs, check_settings(specs, plugin.state.settings))
    except UsageError:  # `plugin set` says which one is wrong
        return shown_settings(specs, plugin.state.settings)


def _state(plugin: InstalledPlugin) -> str:
    """What a user must know first: why it is not used, what trouble it had, whether anybody signed it."""
    health = plugin.state.health
    if plugin.state.disabled:
        return "disabled"
    if plugin.problem:
        return plugin.problem.message
    if health.state:
        return f"{health.state} {health.at}: {health.reason or f'{health.crashes} crashes'}"
    return "signed" if plugin.signed else "unsigned"


def _describe(plugin: InstalledPlugin) -> dict[str, Any]:
    manifest = plugin.manifest
    described: dict[str, Any] = {
        "id": plugin.id,
        "version": plugin.version,
        "digest": f"sha256:{plugin.digest}" if plugin.digest else "",
        "signed": plugin.signed,
        "problem": str(plugin.problem) if plugin.problem else "",
        "enabled": not plugin.state.disabled,
        "state": _state(plugin),
        "health": {
            "state": plugin.state.health.state,
            "reason": plugin.state.health.reason,
            "crashes": plugin.state.health.crashes,
            "at": plugin.state.health.at,
        },
        "folder": str(plugin.folder),
        "grants": dict(plugin.grants),
    }
    if manifest:
        described |= {
            "language": manifest.language,
            "description": manifest.description,
            "license": manifest.license,
            "hooks": list(manifest.script.hooks if manifest.script else manifest.hooks),
            "title": manifest.script.title if manifest.script else "",
            "protocol": manifest.protocol.name if manifest.protocol else "",
            "variables": {row.variable: row.type for row in manifest.fields if row.variable},
            "filters": [f"{row.name}({', '.join(row.parameters)})" for row in manifest.filters],
            "enrich": {
                "reads": list(manifest.enrich_spec.reads),
                "variables": dict(manifest.enrich_spec.variables),
                "priority": manifest.enrich_spec.priority,
                "on_failure": manifest.enrich_spec.on_failure,
            }
            if manifest.enrich
            else {},
            "jobs": {row.name: row.cron for row in manifest.jobs},
            "settings": _settings(plugin),
            "permissions": {kind: getattr(manifest.permissions, kind) for kind in ("hosts", "paths", "env")},
            "limits": {"batch_ms": manifest.limits.batch_ms, "memory_mb": manifest.limits.memory_mb},
        }
    return described
