"""kubeshark config: the configuration in force, where each value came from, and whether it can be meant."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kubeshark.cli.options._configured import configuration
from kubeshark.cli.terminal._complain import complain
from kubeshark.errors import StoreError, UsageError

if TYPE_CHECKING:
    from kubeshark.settings import Loaded, Settings

__all__ = ["add_parser"]

DESCRIPTION = """Print the configuration in force as YAML, with the source of each value behind it: default, FILE:LINE,
an environment variable, or --set. It is read from --config-path, else $KUBESHARK_CONFIG, else ./kubeshark.yaml, else
~/.kubeshark/config.yaml. Values that may be secrets are shown as ***.
"""
EXAMPLES = """examples:
  kubeshark config
  kubeshark config --set tap.namespaces=shop --set tap.namespaces=web
  kubeshark config --validate --config-path production.yaml
  kubeshark config --regenerate --config-path kubeshark.yaml      all keys with their defaults and what they mean
  kubeshark config --schema > kubeshark.schema.json               for editors
"""


def add_parser(commands: Any, name: str, summary: str) -> None:
    parser = commands.add_parser(
        name,
        help=summary,
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("-r", "--regenerate", action="store_true", help="write all keys with their defaults to the file")
    what.add_argument("--validate", action="store_true", help="check it, also what only libraries can tell")
    what.add_argument("--schema", action="store_true", help="print the JSON Schema of the file")
    parser.add_argument("--force", action="store_true", help="with --regenerate: replace a file that is there")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    if args.schema:
        from kubeshark.settings import json_schema

        print(json.dumps(json_schema(), indent=1))
        return 0
    if args.regenerate:
        return _regenerate(args)
    from kubeshark.settings import load, to_yaml

    loaded = load(configuration.path, overrides=configuration.overrides)
    for warning in loaded.warnings:
        complain(f"warning: {warning}")
    if args.validate:
        return _validate(loaded)
    print(f"# {loaded.path or 'no file'}")
    print(to_yaml(loaded.settings, commented=False, sources=loaded.sources, masked=True), end="")
    return 0


def _regenerate(args: argparse.Namespace) -> int:
    from kubeshark._durable import replace_synced
    from kubeshark.settings import Settings, to_yaml
    from kubeshark.settings._find import DEFAULT_NAME

    path = Path(configuration.path or DEFAULT_NAME).expanduser()
    if path.exists() and not args.force:
        raise StoreError(f"{path} exists already", hint="name another file with --config-path, or give --force")
    with replace_synced(path, path.with_name(f".{path.name}.new")) as file:
        file.write(to_yaml(Settings()).encode())
    print(path)
    return 0


def _validate(loaded: Loaded) -> int:
    problems = problems_of(loaded.settings, loaded.sources)
    for problem in problems:
        complain(problem)
    if problems:
        return UsageError.exit_code
    print(f"{loaded.path or 'no file'}: valid" + (f", {len(loaded.warnings)} warnings" if loaded.warnings else ""))
    return 0


def problems_of(settings: Settings, sources: Any) -> list[str]:
    """Return what cannot be meant though each value has the right form, a line each."""
    from kubeshark.cli.checks import _values as checks
    from kubeshark.cli.options._kfl import own_macros

    zone = settings.timezone or "UTC"
    macros = own_macros(settings.tap.custom_macros)
    asked: list[tuple[str, Callable[[], object]]] = [
        ("tap.regex", lambda: checks.check_regex(settings.tap.regex)),
        ("tap.bpfOverride", lambda: checks.check_bpf(settings.tap.bpf_override)),
        ("timezone", lambda: checks.check_timezone(zone)),
        ("store.recipients", lambda: checks.check_recipients(settings.store.recipients)),
        ("tap.customMacros", lambda: checks.check_macros(macros)),
        ("tap.globalFilter", lambda: checks.check_kfl(settings.tap.global_filter, macros)),
        ("tap.defaultFilter", lambda: checks.check_kfl(settings.tap.default_filter, macros)),
        *(("redaction.patterns", lambda each=each: checks.check_regex(each)) for each in settings.redaction.patterns),
        *(("capture.schedules", lambda each=each: checks.check_schedule(each)) for each in settings.capture.schedules),
        ("capture.schedules", lambda: checks.check_uploads(settings)),
        ("tap.snapshots.cloud.provider", lambda: checks.check_cloud(settings)),
    ]
    problems = []
    for key, check in asked:
        try:
            check()
        except UsageError as error:
            where = sources[key]
            problems.append(f"{where}: {key}: {error}" if where != "default" else f"{key}: {error}")
    return problems
