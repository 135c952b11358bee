"""kubeshark plugin set|unset|enable|disable|run-job|hooks: what a user decides about plugins that are there."""

from __future__ import annotations

import argparse
import inspect
import json
import sys
import time
from typing import TYPE_CHECKING, Any

from kubeshark.cli.terminal._complain import complain, printable, remark
from kubeshark.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kubeshark.extension_api import SettingSpec
    from kubeshark.pipeline.plugins._manager import JobBinding

__all__ = ["add_actions"]

SET = """Change a plugin's settings, as its plugin.toml declares them; they hold from the next command on.
Without KEY=VALUE the settings are shown. A value of "-" is read from standard input, for secrets.

examples:
  kubeshark plugin set redactor
  kubeshark plugin set redactor headers=authorization,cookie
  kubeshark plugin set uploader token=- < token.txt
"""


def add_actions(actions: Any) -> None:
    """Add the sub-commands to the parser of `kubeshark plugin`."""
    change = actions.add_parser(
        "set",
        help="show or change a plugin's settings",
        description=SET,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    change.add_argument("id", metavar="ID")
    change.add_argument("settings", nargs="*", metavar="KEY=VALUE")
    change.add_argument("--output", choices=("text", "json"), default="text")
    change.set_defaults(run=run_set)

    unset = actions.add_parser("unset", help="give settings their defaults again")
    unset.add_argument("id", metavar="ID")
    unset.add_argument("keys", nargs="+", metavar="KEY")
    unset.set_defaults(run=run_unset)

    enable = actions.add_parser("enable", help="use a plugin again; forgets the trouble it had")
    enable.add_argument("id", metavar="ID")
    enable.set_defaults(run=run_enable)

    disable = actions.add_parser("disable", help="leave a plugin installed and do not use it")
    disable.add_argument("id", metavar="ID")
    disable.set_defaults(run=run_disable)

    job = actions.add_parser("run-job", help="run a plugin's job now; without JOB, show its jobs")
    job.add_argument("id", metavar="ID")
    job.add_argument("job", nargs="?", metavar="JOB")
    job.set_defaults(run=run_job)

    logs = actions.add_parser("logs", help="show what a script said, and says, in running processes")
    logs.add_argument("id", metavar="ID", nargs="?", default="")
    logs.add_argument("--follow", "-f", action="store_true", help="go on until Ctrl-C")
    logs.set_defaults(run=run_logs)

    hooks = actions.add_parser("hooks", help="the hook points, and which plugins implement them")
    hooks.add_argument("hook", nargs="?", metavar="HOOK", help="show all about one")
    hooks.add_argument("--output", choices=("text", "json"), default="text")
    hooks.set_defaults(run=run_hooks)


def run_set(args: argparse.Namespace) -> int:
    from kubeshark.extension_api._settings import check_settings, parse_setting, shown_settings
    from kubeshark.pipeline.plugins._state import PluginState, change_state, plugins_folder, read_states

    specs = {spec.name: spec for spec in _settings_of(args.id)}
    changes: dict[str, Any] = {}
    for text in args.settings:
        key, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"{text!r} is not KEY=VALUE", hint="a list has commas between its items")
        if key not in specs:
            raise UsageError(f"{args.id} has no setting {key!r}", hint=f"there are {', '.join(specs) or 'none'}")
        changes[key] = parse_setting(specs[key], sys.stdin.read().rstrip("\n") if value == "-" else value)
    if changes:

        def change(state: PluginState) -> PluginState:
            return PluginState(state.disabled, {**state.settings, **changes}, state.health)

        change_state(plugins_folder(), args.id, change)
    stored = read_states(plugins_folder()).get(args.id, PluginState()).settings
    problem = ""
    try:
        values = check_settings(list(specs.values()), stored)
    except UsageError as error:
        values, problem = dict(stored), error.message
    shown = shown_settings(list(specs.values()), values)
    if args.output == "json":
        print(json.dumps(shown, indent=1))
    else:
        for name, spec in specs.items():
            mark = "" if name in stored else "  (default)"
            print(f"{name:<20} {json.dumps(shown.get(name), ensure_ascii=False)}{mark}")
            if spec.description and not changes:
                print(f"{'':<20} {printable(spec.description)}")
    if problem:
        complain(problem)
    return 1 if problem else 0


def run_unset(args: argparse.Namespace) -> int:
    from kubeshark.pipeline.plugins._state import PluginState, change_state, plugins_folder

    known = {spec.name for spec in _settings_of(args.id)}

    def change(state: PluginState) -> PluginState:
        for key in args.keys:
            if key not in known and key not in state.settings:
                raise UsageError(f"{args.id} has no setting {key!r}")
        return PluginState(
            state.disabled, {key: value for key, value in state.settings.items() if key not in args.keys}, state.health
        )

    change_state(plugins_folder(), args.id, change)
    return 0


def _settings_of(plugin: str) -> Sequence[SettingSpec]:
    """Return what an installed plugin, or one of a Python package, declares."""
    from kubeshark.pipeline.plugins._entry_points import python_plugins
    from kubeshark.pipeline.plugins._installed import installed_plugins

    for installed in installed_plugins():
        if installed.id == plugin:
            if installed.manifest is None:
                raise installed.problem or UsageError(f"plugin {plugin!r} cannot be read")
            return installed.manifest.setting_specs
    for point in python_plugins():
        if point.name == plugin:
            declare = getattr(point.load(), "settings", None)
            return declare() if declare else ()
    raise _not_installed(plugin)


def _not_installed(plugin: str) -> UsageError:
    return UsageError(f"plugin {plugin!r} is not installed", hint='see "kubeshark plugin list"')


def run_enable(args: argparse.Namespace) -> int:
    return _switch(args.id, disabled=False)


def run_disable(args: argparse.Namespace) -> int:
    return _switch(args.id, disabled=True)


def _switch(plugin: str, *, disabled: bool) -> int:
    from kubeshark.pipeline.plugins._installed import installed_plugins
    from kubeshark.pipeline.plugins._state import PluginState, change_state, plugins_folder

    found = next((installed for installed in installed_plugins() if installed.id == plugin), None)
    if found is None:
        raise _not_installed(plugin)
    change_state(plugins_folder(), plugin, lambda state: PluginState(disabled, state.settings))
    if disabled and "enrich" in found.hooks:
        remark(f"{plugin} redacts or annotates entries: from now on they are shown as they are")
    print(f"{'disabled' if disabled else 'enabled'} {plugin}")
    return 0


def run_job(args: argparse.Namespace) -> int:
    from kubeshark.pipeline import Plugins, rfc3339
    from kubeshark.pipeline.plugins._scheduler import next_due
    from kubeshark.pipeline.plugins._scheduler import run_job as run_now

    with Plugins.installed() as plugins:
        jobs: list[JobBinding] = [each for each in plugins.jobs if each.plugin.partition("@")[0] == args.id]
        if not jobs:
            for problem in plugins.take_problems():
                complain(problem)
            raise UsageError(f"{args.id} has no jobs, or is not installed", hint='see "kubeshark plugin list"')
        now_ns = time.time_ns()
        if args.job is None:
            for each in jobs:
                print(f"{each.spec.name:<24} {each.spec.cron:<24} next {rfc3339(next_due(each.spec.cron, now_ns))}")
            return 0
        job = next((each for each in jobs if each.spec.name == args.job), None)
        if job is None:
            raise UsageError(
                f"{args.id} has no job {args.job!r}", hint=f"there are {', '.join(each.spec.name for each in jobs)}"
            )
        failure = run_now(job, now_ns)
        for _, line in plugins.take_log():
            print(printable(line))
        if failure:
            complain(failure)
    return 1 if failure else 0


def run_logs(args: argparse.Namespace) -> int:
    from kubeshark.cli.console import show

    return show(args.id, follow=args.follow)


def run_hooks(args: argparse.Namespace) -> int:
    from kubeshark.extension_api import HOOKS
    from kubeshark.pipeline import Plugins

    with Plugins.installed() as plugins:
        used = {hook.name: plugins.implementers(hook.name) for hook in HOOKS}
    chosen = [hook for hook in HOOKS if args.hook in (None, hook.name)]
    if not chosen:
        raise UsageError(f"there is no hook {args.hook!r}", hint=f"there are {', '.join(used)}")
    if args.output == "json":
        rows = [
            {
                "name": hook.name,
                "number": hook.number,
                "stage": hook.stage,
                "returns": hook.returns,
                "shape": hook.shape,
                "text": inspect.getdoc(hook) or "",
                "plugins": used[hook.name],
            }
            for hook in chosen
        ]
        print(json.dumps(rows, indent=1))
        return 0
    for hook in chosen:
        text = inspect.getdoc(hook) or ""
        languages = "every language" if hook.number else "Python only"
        if args.hook:
            print(f"{hook.name} ({hook.stage}, {languages}) -> {hook.returns}\n\n{text}\n")
            print("\n".join(used[hook.name]) or "no plugin implements it")
        else:
            count = len(used[hook.name])
            print(f"{hook.name:<16} {hook.stage:<10} {count:>3} plugins  {text.splitlines()[0]}")
    return 0
