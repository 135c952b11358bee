"""Programs that give keys, or something else, or nothing."""

from __future__ import annotations

import shlex
import subprocess
import sys

import pytest

from kubeshark.core_capture.store.places.aws._process import keys_from_process
from kubeshark.errors import StoreError


def python(text: str) -> str:
    return f"{sys.executable} -c {shlex.quote(text)}"


def test_keys_are_what_it_prints() -> None:
    said = '{"Version": 1, "AccessKeyId": "a", "SecretAccessKey": "b", "SessionToken": "c"}'
    keys = keys_from_process("profile 'lab'", f"echo '{said}'")
    assert (keys.access, keys.secret, keys.token, keys.until) == ("a", "b", "c", None)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("false", "ended with 1: run it by hand"),
        ("/none/x", "cannot be run: No such file"),
        ("echo secret", "did not give credentials: it prints JSON"),
        ("echo 'secret", "did not give credentials"),
        ("", "did not give credentials"),
        (python("print('[' * 60000)"), "did not give credentials"),
        (python("while True: print('secret' * 1000)"), "prints more than 65,536 bytes"),
        (python("import sys; sys.exit('secret')"), "ended with 1"),
        (python("import time; print('secret', flush=True); time.sleep(60)"), "took longer than 1 s"),
        # a child of it that keeps the pipe
        (python("import subprocess; subprocess.Popen(['sleep', '3'])"), "took longer than 1 s"),
        (python("import os, time; os.close(1); time.sleep(60)"), "took longer than 1 s"),
    ],
)
def test_what_gives_none(command: str, said: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(StoreError) as raised:
        keys_from_process("profile 'lab'", command, seconds=20 if "longer" not in said else 1)
    assert said in str(raised.value)
    assert str(raised.value).startswith("credential_process of profile 'lab' ")
    assert "secret" not in str(raised.value)
    assert "secret" not in "".join(capfd.readouterr())


def test_it_is_ended_when_its_time_is_over() -> None:
    mark = "kubeshark-test-7d1f"
    with pytest.raises(StoreError, match="longer"):
        keys_from_process("x", python(f"import time; time.sleep(60)  # {mark}"), seconds=0.5)
    running = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert mark not in running
