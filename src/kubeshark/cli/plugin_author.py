"""kubeshark plugin new|test|run|conformance|dev: what the author of a plugin types."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kubeshark.cli.terminal._complain import complain, printable
from kubeshark.errors import KubesharkError, UsageError

if TYPE_CHECKING:
    from kubeshark.pipeline.plugins._trial import Trial

__all__ = ["Watcher", "add_actions"]

NEW = """Make a folder with a plugin that builds and passes its test at once: a small dissector, a manifest, a capture.

examples:
  kubeshark plugin new fruit --lang js && kubeshark plugin test fruit
  kubeshark plugin new fruit --lang go
"""
TEST = """Build a plugin and compare what it makes of the captures in its folder tests/ with what is expected of each
(NAME.expected.jsonl beside NAME.pcap: a line an entry).

examples:
  kubeshark plugin test .
  kubeshark plugin test . --update        write what it gives now; look at the change before you keep it
"""
RUN = """Build a plugin, run it over a capture, show its entries, and what each hook took.

example:
  kubeshark plugin run capture.pcap ./fruit --filter 'fruit && fruit_failed()'
  kubeshark plugin run capture.pcap count.js      a Kubeshark script: its hooks are called for the capture
"""
CONFORMANCE = """Build a dissector and give it the streams of its captures, cut at every place, and streams nobody sent,
with holes and without a beginning. Pieces must not matter, streams must not depend on each other, and no bytes may make
it fail. In tests/*.vectors.jsonl of its folder it must find what they say; a plugin in another language reads the same
files, and --write makes one.

examples:
  kubeshark plugin conformance . --streams 1000 --seed 7
  kubeshark plugin conformance fruit-js --write fruit-c/tests/fruit.vectors.jsonl
"""
LANGUAGES = ("js", "ts", "c", "cpp", "go", "python")
POLL_S = 0.3  # between two looks at the files
SKIPPED = ("build", "__pycache__", "node_modules")


def add_actions(actions: Any) -> None:
    """Add the sub-commands to the parser of `kubeshark plugin`."""
    new = _add(actions, "new", "make a plugin that passes its test", NEW, run_new)
    new.add_argument("name", metavar="NAME", help="its id, and the folder's name")
    new.add_argument("--lang", choices=LANGUAGES, required=True)
    new.add_argument("--into", metavar="DIR", default=".", help="where the folder is made; default: here")

    test = _add(actions, "test", "run a plugin's tests", TEST, run_test)
    test.add_argument("path", metavar="PATH", nargs="?", default=".")
    test.add_argument("--update", action="store_true", help="write what is expected")

    trial = _add(actions, "run", "run a plugin over a capture, with timings", RUN, run_run)
    trial.add_argument("capture", metavar="CAPTURE")
    trial.add_argument("path", metavar="PATH", nargs="?", default=".", help="the plugin's folder; default: here")
    trial.add_argument("--grant", action="append", default=[], metavar="K=V", help="a permission, for scripts")
    trial.add_argument("--filter", metavar="KFL", help="default: the plugin's protocol")
    trial.add_argument("--limit", type=int, default=20, metavar="N", help="entries to show; default: 20")

    kit = _add(actions, "conformance", "check a dissector with cut, joined and made-up streams", CONFORMANCE, run_kit)
    kit.add_argument("path", metavar="PATH", nargs="?", default=".")
    kit.add_argument("--streams", type=int, default=200, metavar="N", help="made-up streams; default: 200")
    kit.add_argument("--seed", type=int, default=1, metavar="N", help="other streams; default: 1")

    kit.add_argument("--write", metavar="FILE", help="write vectors: streams and what it finds in them, a line each")

    dev = _add(actions, "dev", "build and test again whenever a file is saved", "Until Ctrl-C.", run_dev)
    dev.add_argument("path", metavar="PATH", nargs="?", default=".")
    for parser in (test, trial, kit, dev):
        parser.add_argument(
            "--set", action="append", default=[], metavar="K=V", help="a setting, for this run (repeat)"
        )


def _add(actions: Any, name: str, summary: str, text: str, run: Callable[[argparse.Namespace], int]) -> Any:
    parser = actions.add_parser(
        name, help=summary, description=text, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.set_defaults(run=run)
    return parser


def run_new(args: argparse.Namespace) -> int:
    from kubeshark.extension_api._scaffold import scaffold

    folder = Path(args.into) / args.name
    made = scaffold(args.name, args.lang)
    if folder.exists():
        raise UsageError(f"{folder} is there already", hint="choose another name")
    for name, data in made.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    print(f"made {folder}: {', '.join(sorted(made))}")
    print(f'next: "kubeshark plugin test {folder}"')
    return 0


def run_test(args: argparse.Namespace) -> int:
    from kubeshark.pipeline.plugins._trial import Trial

    folder = Path(args.path)
    began = time.monotonic()
    with Trial(folder, _settings(folder, args.set)) as trial:
        print(f"built {trial.manifest.label} in {time.monotonic() - began:.1f} s")
        return 0 if _test(trial, folder, update=args.update) else 1


def _test(trial: Trial, folder: Path, *, update: bool = False) -> bool:
    """Run all tests; say how each went."""
    from kubeshark.pipeline.plugins._trial import expectations

    found = expectations(folder)
    if not found:
        complain(f"{folder / 'tests'} has no captures (.pcap, .pcapng, .gz, .zst)")
        return False
    is_good = True
    for expectation in found:
        outcome = trial.test(expectation, update=update)
        is_good = is_good and outcome.is_good
        verdict = ("wrote" if update else "ok") if outcome.is_good else "FAILED"
        print(f"{verdict:<7} {expectation.name}: {outcome.entries} entries")
        for line in (*outcome.differences, *outcome.problems):
            print(f"        {printable(line)}")
    _print_log(trial)
    return is_good


def run_run(args: argparse.Namespace) -> int:
    from kubeshark.cli.terminal._output import line_form, print_lines
    from kubeshark.errors import PluginError
    from kubeshark.pipeline.plugins._trial import Trial

    folder = Path(args.path)
    if folder.suffix == ".js" and folder.is_file():
        return _run_script(args, folder)
    with Trial(folder, _settings(folder, args.set)) as trial:
        began = time.process_time()
        count = 0

        def shown() -> Iterator[Any]:
            nonlocal count
            for entry in trial.entries(Path(args.capture), trial.kfl() if args.filter is None else args.filter):
                count += 1
                if count <= args.limit:
                    yield entry

        failure = ""
        try:
            header, line = line_form(argparse.Namespace(output="table"), None)
            print_lines(header, map(line, shown()))
        except PluginError as error:
            failure = error.message
        if count > args.limit:
            print(f"… and {count - args.limit:,} more")
        _print_log(trial)
        _print_times(trial, count, time.process_time() - began)
    if failure:
        complain(failure)
    return 3 if failure else 0


def _run_script(args: argparse.Namespace, file: Path) -> int:
    """Call the hooks of a Kubeshark script for a capture: packets, every entry, and those that are shown."""
    from kubeshark.cli.options._scripts_option import print_console, report_scripts
    from kubeshark.cli.plugin_install import parse_grants
    from kubeshark.cli.terminal._output import line_form, print_lines
    from kubeshark.pipeline import FileDissection
    from kubeshark.pipeline.scripts import Scripts, read_config, read_script
    from kubeshark.pipeline.scripts._script import check_script_grants

    grants = parse_grants(args.grant)
    check_script_grants(grants)
    script = read_script(file, grants)
    began = time.monotonic()
    with Scripts([script], read_config()) as scripts:
        scripts.console.listen(lambda line: print_console(line, sys.stdout))
        scripts.start()
        with FileDissection([args.capture], args.filter or "", limit=args.limit, scripts=scripts) as dissection:
            header, line = line_form(argparse.Namespace(output="table"), None)
            print_lines(header, dissection.map(line))
            scripts.settle()
            report_scripts(scripts)
            for problem in dissection.report():
                complain(problem)
            for state in scripts.states():
                print(
                    printable(f"{script.title} {state.role}: {state.problem or ', '.join(state.hooks) or 'no hooks'}")
                )
            if metrics := scripts.metrics.render(raw_names=scripts.config.raw_metric_names):
                print(metrics, end="")
            print(f"{time.monotonic() - began:.1f} s")
            failed = all(state.problem for state in scripts.states())
            return 1 if failed else dissection.exit_code


def run_kit(args: argparse.Namespace) -> int:
    from kubeshark.pipeline.plugins._conform import conform, write_vectors
    from kubeshark.pipeline.plugins._trial import Trial

    folder = Path(args.path)
    with Trial(folder, _settings(folder, args.set)) as trial:
        if args.write:
            lines = write_vectors(trial, folder, Path(args.write), count=args.streams, seed=args.seed)
            print(f"{lines} vectors in {args.write}")
            return 0
        done = conform(trial, folder, count=args.streams, seed=args.seed)
    for finding in done.findings:
        print(printable(str(finding)))
    verdict = f"{len(done.findings)} findings" if done.findings else "conforms"
    tried = f"{done.golden} sides of captures, {done.made_up} made-up ones (seed {args.seed})"
    print(f"{trial.manifest.label} {verdict}: {tried}")
    return 1 if done.findings else 0


def _print_log(trial: Trial) -> None:
    for plugin, line in trial.plugins.take_log():
        print(f"{plugin}: {printable(line)}")


def _print_times(trial: Trial, entries: int, cpu_s: float) -> None:
    """Say what each hook of the plugin took."""
    from kubeshark.extension_api import HOOKS

    print(f"\n{entries:,} entries; {cpu_s:.2f} s of CPU outside the plugin")
    if trial.foreign is None:
        print("a Python plugin runs inside kubeshark: its time is part of that")
        return
    status = trial.foreign.status
    print(f"{'HOOK':<16} {'CALLS':>7} {'ITEMS':>9} {'MS':>9} {'US/ITEM':>8}")
    for hook in HOOKS:
        if taken := status.hooks.get(hook.number):
            each = 1e6 * taken.seconds / max(1, taken.items)
            print(f"{hook.name:<16} {taken.calls:>7,} {taken.items:>9,} {1e3 * taken.seconds:>9.1f} {each:>8.1f}")
    print(
        f"memory {status.resident_bytes / (1 << 20):.1f} MiB, started {status.starts} times, {status.crashes} crashes"
    )


def run_dev(args: argparse.Namespace) -> int:
    folder = Path(args.path)
    with Watcher(folder, _settings(folder, args.set)) as watcher:
        watcher.look()
        print(f"watching {folder}: save a file, or end with Ctrl-C", flush=True)
        while True:
            time.sleep(POLL_S)
            watcher.look()


class Watcher:
    """Builds and tests a plugin again when a file of it changed. The loaded one stays until a new one has loaded."""

    def __init__(self, folder: Path, settings: dict[str, Any]) -> None:
        self.folder = folder
        self.settings = settings
        self.trial: Trial | None = None
        self._seen: dict[Path, tuple[int, int]] = {}
        self._copies = tempfile.TemporaryDirectory(prefix="kubeshark-dev-")

    def __enter__(self) -> Watcher:
        return self

    def __exit__(self, *_: object) -> None:
        if self.trial:
            self.trial.close()
        self._copies.cleanup()

    def look(self) -> bool:
        """Look once; say whether something had changed."""
        seen = {path: (stat.st_mtime_ns, stat.st_size) for path, stat in _sources(self.folder)}
        if seen == self._seen:
            return False
        changed = sorted(
            {path.name for path in seen.keys() | self._seen.keys() if seen.get(path) != self._seen.get(path)}
        )
        is_first, self._seen = not self._seen, seen
        if not is_first:
            print(f"\n{', '.join(changed[:5])} changed", flush=True)
        self._replace()
        return True

    def _replace(self) -> None:
        """Build a copy and load it; keep what is loaded if that fails."""
        from kubeshark.pipeline.plugins._trial import Trial

        copy = Path(tempfile.mkdtemp(dir=self._copies.name)) / "plugin"
        began = time.monotonic()
        try:
            shutil.copytree(self.folder, copy, ignore=shutil.ignore_patterns(".*", *SKIPPED))
            if (self.folder / "node_modules").is_dir():  # what the plugin imports is bundled from where it is
                (copy / "node_modules").symlink_to((self.folder / "node_modules").resolve())
            fresh = Trial(copy, self.settings)
        except (KubesharkError, OSError) as error:
            complain(error)
            if self.trial:
                print(f"{self.trial.manifest.label} as it was before goes on", flush=True)
            return
        if self.trial:
            self.trial.close()
        self.trial = fresh
        print(f"built and loaded {fresh.manifest.label} in {time.monotonic() - began:.1f} s")
        try:
            _test(fresh, self.folder)
        except KubesharkError as error:
            complain(error)
        sys.stdout.flush()


def _sources(folder: Path) -> Iterator[tuple[Path, Any]]:
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if any(part in SKIPPED or part.startswith(".") for part in parts):
            continue
        try:
            stat = path.stat()
        except OSError:
            continue  # an editor renames what it saves
        if path.is_file():
            yield path, stat


def _settings(folder: Path, texts: list[str]) -> dict[str, Any]:
    from kubeshark.extension_api._manifest import read_manifest
    from kubeshark.extension_api._settings import parse_setting

    specs = {spec.name: spec for spec in read_manifest(folder).setting_specs}
    values: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or key not in specs:
            raise UsageError(
                f"--set {text!r}: there is no such setting", hint=f"there are {', '.join(specs) or 'none'}"
            )
        values[key] = parse_setting(specs[key], value)
    return values
