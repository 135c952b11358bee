"""kubeshark init: asks, checks each answer at once, and writes kubeshark.yaml."""

from __future__ import annotations

import argparse
import difflib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kubeshark.cli.options._configured import configuration
from kubeshark.cli.survey._questions import QUESTIONS
from kubeshark.cli.survey._survey import Question, Survey, split_names
from kubeshark.cli.terminal._complain import complain
from kubeshark.errors import StoreError, UsageError

if TYPE_CHECKING:
    from kubeshark.cli.survey._prompts import Prompts
    from kubeshark.settings import Loaded, Settings

__all__ = ["add_parser"]

DESCRIPTION = """Answer questions, and get a kubeshark.yaml. With arrow keys on a terminal; ? for help, < to go back.
With ACCESSIBLE=1, TERM=dumb or without a terminal: numbered lines, one answer a line. Every question is a flag as well;
what a flag answers is not asked. Ctrl-C writes nothing. A file that is there gives the defaults, and is replaced only
after its changes were shown and you said yes.
"""
EXAMPLES = """examples:
  kubeshark init
  kubeshark init --non-interactive --target local -i eth0 --storage-limit 20Gi
  kubeshark init --target cluster -n shop --regex '^cart' --storage s3 --bucket captures --secret captures-s3 --apply
"""
HEADER = "# written by kubeshark init; every value can be overridden with --set\n"
PREVIEW = "age1…"
WRITE, APPLY, BACK = "write", "apply", "back"


def add_parser(commands: Any, name: str, summary: str) -> None:
    parser = commands.add_parser(
        name,
        help=summary,
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("-o", "--out", metavar="FILE", default="", help="default: kubeshark.yaml, or --config-path")
    parser.add_argument(
        "--non-interactive", action="store_true", help="ask nothing: flags, the file that is there, defaults"
    )
    parser.add_argument("--force", action="store_true", help="replace a file that is there without asking")
    parser.add_argument("--apply", action="store_true", help="then deploy to the cluster, or say what to run here")
    parser.add_argument("--kubeconfig", metavar="FILE", default="", help="default: $KUBECONFIG, else ~/.kube/config")
    parser.add_argument("--no-check", action="store_true", help="do not try buckets and identity providers")
    answers = parser.add_argument_group("answers")
    for question in QUESTIONS:
        add_flag(answers, question)
    parser.set_defaults(run=run)


def add_flag(group: Any, question: Question) -> None:
    """Add the flag that answers a question."""
    rest: dict[str, Any] = {"dest": question.name, "default": None, "help": question.text.rstrip("?")}
    if question.flag in ("--all-namespaces", "--new-key", "--offline"):
        group.add_argument(*question.flags, action="store_true", **rest)
    elif question.kind == "confirm":
        group.add_argument(*question.flags, action=argparse.BooleanOptionalAction, **rest)
    elif question.kind == "names":
        group.add_argument(*question.flags, action="append", metavar=question.metavar, **rest)
    else:
        group.add_argument(*question.flags, metavar=question.metavar, **rest)


def given_by_flags(args: argparse.Namespace) -> dict[str, Any]:
    """Return question → answer for all flags, and what they answer besides."""
    given = {question.name: getattr(args, question.name) for question in QUESTIONS}
    for question in QUESTIONS:
        if question.kind == "names" and given[question.name] is not None:
            given[question.name] = split_names(",".join(given[question.name]))
    if given["namespace_mode"]:
        given["namespace_mode"] = "all"
    elif given["namespaces"] is not None or given["excluded"] is not None:
        given["namespace_mode"] = "exclude" if given["namespaces"] is None else "choose"
    if given["readers"] or given["recipient"] is not None:
        given["readers"] = ("both" if given["recipient"] else "mine") if given["readers"] else "recipients"
    if given["schedule"] is not None and given["when"] is None:
        given["when"] = "schedule"
    if given["keylog"] is not None and given["tls"] is None:
        given["tls"] = "keylog"
    if given["ingress_host"] is not None and given["ui"] is None:
        given["ui"] = "ingress"
    return {name: value for name, value in given.items() if value is not None}


def run(args: argparse.Namespace) -> int:
    from kubeshark.settings._find import DEFAULT_NAME

    path = Path(args.out or configuration.path or DEFAULT_NAME).expanduser()
    before = _read_before(path)
    if before and before.is_given("store.identityFile"):
        os.environ.setdefault("KUBESHARK_IDENTITY", before.settings.store.identity_file)
    from kubeshark.cli.survey._survey_file import answers_of

    mine = _public_key()
    survey = Survey(
        answers_of(before, mine) if before else {},
        kubeconfig=args.kubeconfig,
        is_offline=bool(args.offline),
        may_try=not args.no_check,
    )
    given = given_by_flags(args)
    survey.given = given
    if args.non_interactive:
        ask_all(survey, given, None)
        return finish(args, survey, path, before, APPLY if args.apply else WRITE)
    from kubeshark.cli.survey._prompts import prompts_for

    prompts = prompts_for()
    chosen = ""
    last = None
    while chosen in ("", BACK):
        last = ask_all(survey, given, prompts, last)
        chosen = _summary(args, survey, path, before, prompts)
    return finish(args, survey, path, before, chosen, prompts)


def ask_all(
    survey: Survey, given: dict[str, Any], prompts: Prompts | None, asked: list[int] | None = None
) -> list[int]:
    """Fill in the answers; return the numbers of the questions asked. With `asked`, begin by going back one."""
    from kubeshark.cli.survey._prompts import Back

    asked = asked or []
    at = asked.pop() if asked else 0
    while at < len(QUESTIONS):
        question = QUESTIONS[at]
        if not question.applies(survey):
            survey.answers.pop(question.name, None)
        elif question.name in given or prompts is None:
            _take(survey, question, given)
        else:
            try:
                survey.answers[question.name] = question.normal(_ask(survey, question, prompts, bool(asked)))
            except Back:
                at = asked.pop()
                continue
            asked.append(at)
        at += 1
    return asked


def _default(survey: Survey, question: Question) -> Any:
    for known in (survey.answers, survey.before):
        if question.name in known and known[question.name] not in ("", None):
            return known[question.name]
    return question.default(survey)


def _take(survey: Survey, question: Question, given: dict[str, Any]) -> None:
    """Answer by flag, by the file that is there, or by default; raise UsageError for what is missing or wrong."""
    value = given[question.name] if question.name in given else _default(survey, question)
    if question.name == "offline" and question.name not in given:
        raise UsageError(f"the cluster does not answer: {survey.trouble()}", hint="give --offline to go on without it")
    if value in ("", []) and (question.is_required or question.flag in ("--recipient", "--namespaces")):
        raise UsageError(f"{question.text} There is no answer", hint=f"give {question.flag}")
    choices = [choice.value for choice in question.choices(survey)]
    if question.kind == "select" and choices and value not in choices and question.name in ENUMERATED:
        raise UsageError(f"{question.flag} {str(value)[:60]!r} is none of {', '.join(choices)}")
    try:
        value = question.normal(value)
        said = question.check(survey, value)
    except UsageError as error:
        raise UsageError(f"{question.flag}: {error}") from None
    for line in said:
        complain(line)
    survey.answers[question.name] = value


ENUMERATED = (
    "target", "namespace_mode", "when", "storage", "credentials", "readers", "tls", "firewall", "ui", "auth",
)  # fmt: skip
"""Questions with a fixed set of answers; names in a cluster may be others than it has now."""


def _ask(survey: Survey, question: Question, prompts: Prompts, can_go_back: bool) -> Any:
    from kubeshark.cli.survey._prompts import Ask

    def check(value: Any) -> Sequence[str]:
        return question.check(survey, question.normal(value))

    default = _default(survey, question)
    ask = Ask(question.text, question.help, question.flag, check, can_go_back)
    choices = list(question.choices(survey))
    if question.kind == "confirm":
        return prompts.confirm(ask, bool(default))
    if question.kind == "select" and choices:
        return prompts.select(ask, choices, default)
    if question.kind == "names" and choices:
        return prompts.multi(ask, choices, default)
    if question.kind == "names":
        names = ask._replace(check=lambda text: check(split_names(text)))
        return split_names(prompts.text(names, ", ".join(default)))
    return prompts.text(ask, str(default))


def _read_before(path: Path) -> Loaded | None:
    if not path.exists():
        return None
    from kubeshark.settings import load

    loaded = load(path, environ={})
    for warning in loaded.warnings:
        complain(f"warning: {warning}: it is left out")
    return loaded


def _public_key() -> str:
    """Return the public key of this machine's key pair, "" if there is none yet or it cannot be read."""
    from kubeshark.core_capture.store import identity_path, load_identities
    from kubeshark.errors import KubesharkError

    path = identity_path()
    if not path.exists():
        return ""
    try:
        return str(load_identities(path)[0].recipient)
    except KubesharkError as error:
        raise UsageError(f"this machine's key pair cannot be read: {error}") from None


def render(survey: Survey, before: Loaded | None, mine: str) -> str:
    """Return the text of the file."""
    from kubeshark.settings import to_yaml

    settings, given = _settled(survey, before, mine)
    return HEADER + to_yaml(settings, only=given)


def _settled(survey: Survey, before: Loaded | None, mine: str) -> tuple[Settings, list[str]]:
    """Return the answers over what else was in the file, and which keys somebody gave."""
    from kubeshark.cli.survey._survey_file import keys_of
    from kubeshark.settings import keys, value_of
    from kubeshark.settings._load import build
    from kubeshark.settings._override import read_overrides

    values = {key: value_of(before.settings, key) for key in keys() if before.is_given(key)} if before else {}
    for key, value in keys_of(survey, mine).items():
        values.pop(key, None)
        if value is not None:
            values[key] = value
    values |= read_overrides(configuration.overrides, values)[0]
    return build(values), list(values)


def _summary(args: argparse.Namespace, survey: Survey, path: Path, before: Loaded | None, prompts: Prompts) -> str:
    """Show what would be written; return what to do with it."""
    from kubeshark.cli.survey._outlook import outlook
    from kubeshark.cli.survey._prompts import Ask, Back, Choice

    mine = _public_key() or PREVIEW
    text = render(survey, before, mine)
    said = outlook(survey, _settled(survey, before, mine)[0])
    for line in ["", *(_changes(path, text) if path.exists() else text.splitlines()), *(["", *said] if said else [])]:
        prompts.say(line)
    word = "Replace" if path.exists() else "Write"
    labels = {WRITE: f"{word} {path}", APPLY: f"{word} {path} and apply it", BACK: "Back to the last question"}
    told = "The file is written as shown.\nApplying deploys to the cluster, or says what to run."
    ask = Ask(f"{word} {path}?", told, "--non-interactive")
    choices = [Choice(value, label) for value, label in labels.items()]
    try:
        return prompts.select(ask, choices, APPLY if args.apply else WRITE)
    except Back:
        return BACK


def _changes(path: Path, text: str) -> list[str]:
    old = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return list(difflib.unified_diff(old, text.splitlines(), str(path), f"{path} (new)", lineterm="")) or [
        "nothing changes"
    ]


def finish(
    args: argparse.Namespace,
    survey: Survey,
    path: Path,
    before: Loaded | None,
    what: str,
    prompts: Prompts | None = None,
) -> int:
    """Make the key pair if there is none, write the file, and go on as asked."""
    mine = _public_key()
    new = render(survey, before, mine or PREVIEW)
    if path.exists() and prompts is None and not args.force:
        changes = _changes(path, new)
        if len(changes) > 1:
            for line in changes:
                print(line)
            raise StoreError(f"{path} exists already", hint="give --force to replace it by what is shown")
    if not mine and survey["readers"] != "recipients":
        from kubeshark.core_capture.store import create_identity, identity_path

        mine = str(create_identity().recipient)
        complain(f"made the key pair {identity_path()}: without it the captures are lost, keep a copy elsewhere")
    from kubeshark._durable import replace_synced

    path.parent.mkdir(parents=True, exist_ok=True)
    with replace_synced(path, path.with_name(f".{path.name}.new")) as file:
        file.write(render(survey, before, mine).encode())
    if survey["plugin"]:
        _enable_plugins(survey["plugin"])
    print(f"wrote {path}", flush=True)
    return _apply(survey, path) if what == APPLY else _say_next(survey, path)


def _enable_plugins(names: Sequence[str]) -> None:
    """Enable those that were disabled on this machine."""
    from kubeshark.pipeline.plugins._state import PluginState, change_state, plugins_folder, read_states

    states = read_states(plugins_folder())
    for name in names:
        if name in states and states[name].disabled:
            change_state(plugins_folder(), name, lambda state: PluginState(settings=state.settings))
            complain(f"enabled the plugin {name}")


def _commands(survey: Survey) -> list[str]:
    if survey.target == "cluster":
        return ["kubeshark check --pre-tap", "kubeshark tap"]
    if survey.target == "local":
        if survey["when"] == "schedule":  # what runs all the time keeps to it
            return [" ".join(["kubeshark serve", *(f"-i {each}" for each in survey["interface"])])]
        return ["kubeshark capture", "kubeshark serve"]
    return ["kubeshark import FILE", "kubeshark serve"]


def _say_next(survey: Survey, path: Path) -> int:
    from kubeshark.settings._find import DEFAULT_NAME

    option = "" if path == Path(DEFAULT_NAME) else f" --config-path {path}"
    print("next: " + ", ".join(f"{command}{option}" for command in _commands(survey)))
    return 0


def _apply(survey: Survey, path: Path) -> int:
    """Deploy to the cluster; on this machine say what to run, because it runs until it is ended."""
    if survey.target != "cluster":
        return _say_next(survey, path)
    sys.stdout.flush()
    from kubeshark.cli import main

    return main(["tap", "--config-path", str(path)])
