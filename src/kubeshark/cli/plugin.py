"""kubeshark plugin uninstall|list|info|build: what is there. The other actions are in modules of their own."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kubeshark.cli import plugin_author, plugin_install, plugin_manage, plugin_publish
from kubeshark.errors import UsageError

if TYPE_CHECKING:
    from kubeshark.pipeline.plugins._installed import InstalledPlugin

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

    plugin_install.add_actions(actions)
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
    build.add_argument(
        "--target",
        metavar="MACHINE,…",
        default="",
        help="C and C++: an object for each of x86_64-linux, aarch64-linux (by Zig, pip install ziglang); "
        "the first time a minute or more for C++",
    )
    build.set_defaults(run=run_build)
    plugin_author.add_actions(actions)
    plugin_manage.add_actions(actions)
    plugin_publish.add_actions(actions)


def run_uninstall(args: argparse.Namespace) -> int:
    from kubeshark.pipeline.plugins._installed import uninstall

    uninstall(args.id)
    print(f"removed {args.id}")
    return 0


def run_list(args: argparse.Namespace) -> int:
    from kubeshark.pipeline.plugins._installed import installed_plugins, plugins_folder

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
    from kubeshark.pipeline.plugins._installed import installed_plugins

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
    targets = [target for target in args.target.split(",") if target]
    if targets and manifest.language not in ("c", "cpp"):
        raise UsageError(f"{manifest.id} runs on every machine: --target is for C and C++")
    if targets:
        from kubeshark.hosts.c._build import build_targets

        for built in build_targets(folder, manifest, targets):
            print(f"built {manifest.id} {manifest.version}: {built}", flush=True)
        return 0
    build_plugin(folder, manifest)
    print(f"built {manifest.id} {manifest.version}: {folder / manifest.entry}")
    return 0


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
        "signer": plugin.signer,
        "doubt": plugin.doubt,
        "source": plugin.source,
        "previous": plugin.previous,
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
