"""The survey, driven three ways: flags, numbered lines through a pipe and a terminal, arrow keys on a terminal."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pexpect
import pytest
import yaml

from kubeshark.core_capture.store import Identity
from tests.cli._api_server import ApiServer, api_server
from tests.cli._command import kubeshark
from tests.cli.checks.test_values import issued
from tests.core_capture.store._servers import BUCKET, Server

UP, DOWN, ENTER, SPACE = "\x1b[A", "\x1b[B", "\r", " "


@pytest.fixture(autouse=True)
def here(tmp_path: Path, own_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("KUBECONFIG", "KUBESHARK_CONFIG", "ACCESSIBLE"):
        monkeypatch.delenv(name, raising=False)
    assert kubeshark("keys", "new").returncode == 0
    return tmp_path


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ApiServer]:
    with api_server(tmp_path) as found:
        monkeypatch.setenv("KUBECONFIG", str(found.kubeconfig))
        yield found


def document(path: str = "kubeshark.yaml") -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(Path(path).read_text())
    return found


def terminal(*arguments: str, **environment: str) -> pexpect.spawn:
    """Start the command on a terminal of its own."""
    settings = {**os.environ, "TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1", **environment}
    return pexpect.spawn(
        sys.executable,
        ["-m", "kubeshark", *arguments],
        env=settings,  # type: ignore[arg-type]
        encoding="utf-8",
        timeout=60,
        dimensions=(60, 200),
    )


def drive(process: pexpect.spawn, answers: list[tuple[str, str]]) -> str:
    """Wait for each question and type its answer; return what was shown until the end."""
    shown = ""
    for question, keys in answers:
        process.expect_exact(question)
        shown += str(process.before)
        process.send(keys)
    process.expect(pexpect.EOF)
    shown += str(process.before)
    process.close()
    assert process.exitstatus == 0, shown
    return shown


LOCAL = "--target local -i lo --bpf 'tcp port 80' --schedule '0 2 * * *' --duration 45m --timezone Europe/Berlin \
--storage local --store ./captures --storage-limit 1Gi --max-age 720h --new-key --tls off --firewall audit --no-redact"

LOCAL_LINES = ["1", "lo", "tcp port 80", "2", "0 2 * * *", "45m", "Europe/Berlin", "1", "./captures", "1Gi", "720h"]
LOCAL_LINES += ["1", "1", "2", "n", "1"]


def local_keys(line_end: str) -> list[tuple[str, str]]:
    clear = "\x15"  # Ctrl-U: what stands in the line goes
    return [
        ("Where are packets", ENTER),
        ("A BPF filter", f"tcp port 80{line_end}"),
        ("When?", DOWN + ENTER),
        ("Which schedule", f"?{line_end}"),
        ("every night at two", ""),
        ("Which schedule", f"0 2 * * *{line_end}"),
        ("How long does each run", f"{clear}nonsense{line_end}"),
        ("no duration", ""),
        ("How long does each run", f"{clear}45m{line_end}"),
        ("In which time zone", f"{clear}Europe/Berlin{line_end}"),
        ("Where are captures kept", ENTER),
        ("In which folder", f"{clear}./captures{line_end}"),
        ("How much is kept", f"{clear}1Gi{line_end}"),
        ("For how long", f"{clear}720h{line_end}"),
        ("Who may read", "<"),
        ("For how long", f"{clear}720h{line_end}"),
        ("Who may read", ENTER),
        ("Decrypt TLS", "?"),
        ("SSLKEYLOGFILE", ""),
        ("Decrypt TLS", UP + ENTER),
        ("Use the firewall", DOWN + ENTER),
        ("Hide secrets", DOWN + ENTER),
        ("Write all.yaml?", ENTER),
    ]


def test_three_ways_give_the_same_bytes_for_this_machine() -> None:
    done = kubeshark("init", "--non-interactive", "-o", "flags.yaml", *shlex.split(LOCAL))
    assert done.returncode == 0, done.stderr
    answers = "".join(f"{line}\n" for line in LOCAL_LINES).encode()
    piped = kubeshark("init", "-o", "piped.yaml", stdin=answers)
    assert piped.returncode == 0, piped.stderr
    shown = drive(terminal("init", "-o", "all.yaml", "-i", "lo"), local_keys(ENTER))
    assert "next run: " in shown and "02:00:00 CE" in shown
    plain = terminal("init", "-o", "plain.yaml", ACCESSIBLE="1")
    for line in LOCAL_LINES:
        plain.expect(r"\]: |Answer: ")
        plain.sendline(line)
    plain.expect(pexpect.EOF)
    assert "\x1b" not in plain.before  # nothing moves
    texts = {Path(f"{name}.yaml").read_bytes() for name in ("flags", "piped", "all", "plain")}
    assert len(texts) == 1
    found = document("flags.yaml")
    assert found["capture"]["schedules"] == [
        {"name": "scheduled", "cron": "0 0 2 * * *", "duration": "45m", "filter": "tcp port 80"}
    ]
    assert found["store"]["retention"] == {"bytes": "1Gi", "age": "720h"} and found["redaction"] == {"enabled": False}
    assert found["firewall"] == {"enabled": True, "defaultMode": "Audit"}
    assert kubeshark("config", "--validate", "--config-path", "flags.yaml").returncode == 0


CLUSTER = "--target cluster --context lab -n shop -n web --regex ^cart --storage pvc --storage-class fast \
--storage-limit 20Gi --max-age 0 --new-key --tls off --ui loopback"


def test_three_ways_give_the_same_bytes_for_a_cluster(api: ApiServer) -> None:
    done = kubeshark("init", "--non-interactive", "-o", "flags.yaml", *shlex.split(CLUSTER))
    assert done.returncode == 0, done.stderr
    assert "13 pods match now:" in done.stderr and "shop/cart-0" in done.stderr and "kube-system" not in done.stderr
    lines = ["2", "1", "2", "3 4", "^cart", "", "1", "2", "1", "20Gi", "0", "1", "1", "1", "", "", "1", "1", "y", "1"]
    piped = kubeshark("init", "-o", "piped.yaml", stdin="".join(f"{line}\n" for line in lines).encode())
    assert piped.returncode == 0, piped.stdout + piped.stderr
    assert "the API server answers: 4 namespaces" in piped.stdout
    clear = "\x15"
    shown = drive(
        terminal("init", "-o", "all.yaml"),
        [
            ("Where are packets", ENTER),  # the cluster answers: it is the default
            ("Which context", ENTER),
            ("Which namespaces", UP + ENTER),
            ("Capture in which", DOWN + DOWN + SPACE + DOWN + SPACE + ENTER),
            ("Pods whose names", f"{clear}^cart{ENTER}"),
            ("A BPF filter", ENTER),
            ("When?", ENTER),
            ("Where are captures kept", ENTER),
            ("Which storage class", ENTER),
            ("How much is kept", f"{clear}20Gi{ENTER}"),
            ("For how long", ENTER),
            ("Who may read", ENTER),
            ("Decrypt TLS", UP + ENTER),
            ("Use the firewall", ENTER),
            ("How many processors", ENTER),
            ("How much memory", ENTER),
            ("How is the UI", ENTER),
            ("How do people sign in", ENTER),
            ("Hide secrets", ENTER),
            ("Write all.yaml?", ENTER),
        ],
    )
    assert "13 pods match now:" in shown
    texts = {Path(f"{name}.yaml").read_bytes() for name in ("flags", "piped", "all")}
    assert len(texts) == 1
    tap = document("flags.yaml")["tap"]
    assert tap["namespaces"] == ["shop", "web"] and tap["regex"] == "^cart" and tap["storageClass"] == "fast"
    assert tap["persistentStorage"] is True and tap["storageLimit"] == "20Gi" and tap["auth"]["enabled"] is True
    assert kubeshark("config", "--validate", "--config-path", "flags.yaml").returncode == 0


def test_ctrl_c_leaves_nothing_behind(own_home: Path) -> None:
    (own_home / ".kubeshark" / "identity.age").unlink()
    process = terminal("init")
    process.expect_exact("Where are packets")
    process.send("\x03")
    process.expect(pexpect.EOF)
    process.close()
    assert process.exitstatus == 130
    assert not Path("kubeshark.yaml").exists() and not (own_home / ".kubeshark" / "identity.age").exists()


def test_running_it_again_starts_from_the_file_and_shows_what_changes() -> None:
    first = kubeshark("init", "--non-interactive", *shlex.split(LOCAL))
    assert first.returncode == 0
    before = Path("kubeshark.yaml").read_bytes()
    assert kubeshark("init", "--non-interactive").returncode == 0  # the file answers everything
    assert Path("kubeshark.yaml").read_bytes() == before
    again = kubeshark("init", "--non-interactive", "--storage-limit", "2Gi")
    assert again.returncode == 1 and "give --force" in again.stderr and "+    bytes: 2Gi" in again.stdout
    assert Path("kubeshark.yaml").read_bytes() == before
    assert kubeshark("init", "--non-interactive", "--storage-limit", "2Gi", "--force").returncode == 0
    assert document()["store"]["retention"]["bytes"] == "2Gi"
    lines = b"\n" * 14 + b"n\n1\n"
    asked = kubeshark("init", "--storage-limit", "3Gi", stdin=lines)
    assert "+    bytes: 3Gi" in asked.stdout and "Replace kubeshark.yaml?" in asked.stdout, asked.stderr


def test_keys_that_no_question_asks_for_stay() -> None:
    Path("kubeshark.yaml").write_text("query: {jobs: 2}\ntap: {regexp: x}\n")
    done = kubeshark("init", "--non-interactive", "--target", "files", "--force")
    assert done.returncode == 0 and "tap.regexp is unknown" in done.stderr
    assert document()["query"] == {"jobs": 2}


def test_a_new_key_pair_is_made_only_when_the_file_is_written(own_home: Path) -> None:
    identity = own_home / ".kubeshark" / "identity.age"
    identity.unlink()
    assert kubeshark("init", "--non-interactive", "--target", "files", "--storage-limit", "x").returncode == 2
    assert not identity.exists()
    done = kubeshark("init", "--non-interactive", "--target", "files")
    assert done.returncode == 0 and "made the key pair" in done.stderr
    assert identity.stat().st_mode & 0o777 == 0o600
    assert document()["store"]["recipients"][0] in kubeshark("keys", "list").stdout


RECOVERY = str(Identity.generate().recipient)


def test_recipients_that_are_pasted() -> None:
    assert kubeshark("init", "--non-interactive", "--target", "files", "--recipient", RECOVERY).returncode == 0
    assert document()["store"]["recipients"] == [RECOVERY]
    done = kubeshark("init", "--non-interactive", "--target", "files", "--recipient", RECOVERY, "--new-key", "--force")
    assert done.returncode == 0 and len(document()["store"]["recipients"]) == 2


MISSING = {
    "--schedule": "--target local -i lo --when schedule",
    "--bucket": "--target files --storage s3",
    "--secret": "--target cluster --storage s3 --bucket b",
    "--ingress-host": "--target cluster --ui ingress",
    "--oidc-issuer": "--target cluster --auth oidc",
    "--namespaces": "--target cluster -n ,",
}


@pytest.mark.parametrize("flag", MISSING)
def test_a_missing_answer_names_its_flag(flag: str, api: ApiServer) -> None:
    done = kubeshark("init", "--non-interactive", *shlex.split(MISSING[flag]))
    assert done.returncode == 2 and f"give {flag}" in done.stderr
    assert not Path("kubeshark.yaml").exists()


BAD = {
    "target": ("--target moon", "--target 'moon' is none of local, cluster, files"),
    "no kubeconfig": ("--target cluster --kubeconfig /nowhere", "--target: there is no kubeconfig"),
    "context": ("--target cluster --context nope", "there is no context 'nope': there are lab, gone"),
    "unreachable": ("--target cluster --context gone", "the cluster does not answer"),
    "interface": ("--target local -i nope0", "there is no interface 'nope0'"),
    "regex": ("--target cluster --regex (", "'(' is no regular expression"),
    "bpf": ("--target local -i lo --bpf 'tcp prt 1'", "--bpf: the filter 'tcp prt 1' is wrong: "),
    "schedule": ("--target local -i lo --schedule '61 * * * *'", "--schedule: '61 * * * *' is no schedule"),
    "duration": ("--target local -i lo --schedule '* * * * *' --duration 0", "--duration: '0' is too short"),
    "zone": ("--target local -i lo --schedule '* * * * *' --timezone Mars", "--timezone: 'Mars' is no time zone"),
    "limit": ("--target files --storage-limit 1Mi", "less than one segment of 32 MiB"),
    "store": ("--target files --store s3://b", "choose S3, Azure or Google for a URL"),
    "secret": ("--target cluster --storage s3 --bucket b --secret AKIA/KEY", "this is no name of a Secret"),
    "recipient": ("--target files --recipient age1nonsense", "--recipient: recipient 'age1nonsense'"),
    "key in the store": ("--target files --store ~/.kubeshark", "lies in the store"),
    "pvc here": ("--target files --storage pvc", "--storage 'pvc' is none of local, s3, azblob, gcs"),
    "host": ("--target cluster --ui ingress --ingress-host x_y", "is no name of a host"),
    "plugin": ("--target files --plugin nope", "the plugin 'nope' is not installed"),
    "memory": ("--target cluster --memory-limit lots", "'lots' is no amount"),
}


@pytest.mark.parametrize("name", BAD)
def test_each_answer_is_checked(name: str, api: ApiServer) -> None:
    flags, said = BAD[name]
    done = kubeshark("init", "--non-interactive", *map(os.path.expanduser, shlex.split(flags)))
    assert done.returncode == 2 and said in done.stderr, done.stderr
    assert not Path("kubeshark.yaml").exists()


def test_a_cluster_that_does_not_answer(api: ApiServer) -> None:
    done = kubeshark("init", "--non-interactive", *shlex.split("--target cluster --context gone -n shop --offline"))
    assert done.returncode == 0 and document()["tap"]["namespaces"] == ["shop"]
    answers = b"2\n2\nn\ny\n2\nshop web\n" + b"\n" * 5
    piped = kubeshark("init", "-o", "p.yaml", stdin=answers)
    assert "Not taken: the cluster cannot be asked" in piped.stdout and "give it, or --" in piped.stderr


def test_names_that_are_not_there_are_kept_with_a_warning(api: ApiServer) -> None:
    done = kubeshark("init", "--non-interactive", *shlex.split("--target cluster -n shop -n later --storage-class odd"))
    assert done.returncode == 0 and document()["tap"]["namespaces"] == ["shop", "later"]
    assert "warning: there is no namespace later" in done.stderr and "no storage class odd" in done.stderr


def test_a_bucket_is_tried_before_it_is_taken(moto_s3: Server) -> None:
    flags = f"--target files --storage s3 --bucket {BUCKET} --prefix lab --region us-east-1"
    done = kubeshark("init", "--non-interactive", *shlex.split(flags))
    assert done.returncode == 0 and f"s3://{BUCKET}/lab: written, read and deleted" in done.stderr
    assert document()["store"]["url"] == f"s3://{BUCKET}/lab"
    bad = kubeshark("init", "--non-interactive", "--force", *shlex.split(flags.replace(BUCKET, "no-bucket-there")))
    assert bad.returncode == 2 and "--prefix: the bucket cannot be used" in bad.stderr


def test_an_ingress_with_its_certificate(api: ApiServer, tmp_path: Path) -> None:
    certificate, key = issued(tmp_path)
    flags = f"--target cluster --ui ingress --ingress-host HOST --tls-cert {certificate} --tls-key {key}"
    bad = kubeshark("init", "--non-interactive", *shlex.split(flags.replace("HOST", "other.example.test")))
    assert bad.returncode == 2 and "is not for other.example.test" in bad.stderr
    done = kubeshark("init", "--non-interactive", *shlex.split(flags.replace("HOST", "traffic.example.test")))
    assert done.returncode == 0
    ingress = document()["tap"]["ingress"]
    assert ingress["tls"] == [{"hosts": ["traffic.example.test"], "secretName": "kubeshark-tls"}]


def test_applying_on_this_machine_says_what_to_run() -> None:
    done = kubeshark("init", "--non-interactive", "--apply", *shlex.split(LOCAL))
    assert done.stdout == "wrote kubeshark.yaml\nnext: kubeshark serve -i lo\n"


def test_set_is_written_too() -> None:
    done = kubeshark("init", "--non-interactive", "--target", "files", "--set", "query.jobs=2", "--set", "tap.x=1")
    assert done.returncode == 2 and "there is no such key" in done.stderr
    assert kubeshark("init", "--non-interactive", "--target", "files", "--set", "query.jobs=2").returncode == 0
    assert document()["query"] == {"jobs": 2}


def test_a_plugin_that_was_disabled_is_enabled(root: Path) -> None:
    name = "beanstalkd"
    plugin = root / "examples" / "plugins" / "js" / name
    assert kubeshark("plugin", "install", plugin, "--allow-unsigned").returncode == 0
    kubeshark("plugin", "disable", name)
    done = kubeshark("init", "--non-interactive", "--target", "files", "--plugin", name)
    assert done.returncode == 0 and f"enabled the plugin {name}" in done.stderr, done.stderr
    assert "beanstalkd is not signed" in done.stderr
    assert document()["plugins"]["enabled"] == [name]


def test_commands_take_what_was_answered() -> None:
    assert kubeshark("init", "--non-interactive", *shlex.split(LOCAL)).returncode == 0
    done = kubeshark("store", "info")
    assert done.returncode == 1 and "captures" in done.stderr  # the folder that was answered, which is not there yet
