"""Keys from a program that the user's profile names (credential_process): bounded in time and in what it says."""

from __future__ import annotations

import json
import os
import select
import shlex
import subprocess
import time
from typing import IO

from kubeshark.core_capture.store.places.aws._keys import AwsKeys, keys_of
from kubeshark.errors import StoreError

__all__ = ["keys_from_process"]

SECONDS = 60
MAX_BYTES = 1 << 16


def keys_from_process(about: str, command: str, seconds: float = SECONDS) -> AwsKeys:
    """Run the command and return what it prints; raise StoreError, in which nothing of what it said is repeated.

    Without a shell, as Amazon's tools do. Its errors go nowhere: they may quote what it knows.
    """
    about = f"credential_process of {about}"
    try:
        code, printed = _run(shlex.split(command), seconds)
        if code:
            raise StoreError(f"{about} ended with {code}", hint="run it by hand")
        if len(printed) > MAX_BYTES:
            raise StoreError(f"{about} prints more than {MAX_BYTES:,} bytes", hint="run it by hand")
        said = json.loads(printed)
        return keys_of(said["AccessKeyId"], said["SecretAccessKey"], said.get("SessionToken"), said.get("Expiration"))
    except TimeoutError:
        raise StoreError(f"{about} took longer than {seconds:g} s", hint="run it by hand") from None
    except OSError as error:
        raise StoreError(f"{about} cannot be run: {error.strerror}") from None
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
        hint = "it prints JSON with Version, AccessKeyId, SecretAccessKey and perhaps SessionToken, Expiration"
        raise StoreError(f"{about} did not give credentials", hint=hint) from None


def _run(words: list[str], seconds: float) -> tuple[int, bytes]:
    """Return its exit code, 0 for one that says too much, and at most a byte more than it may say."""
    until = time.monotonic() + seconds
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
        try:
            assert child.stdout is not None
            printed = _read(child.stdout, until)
            if len(printed) > MAX_BYTES:
                return 0, printed
            return child.wait(max(until - time.monotonic(), 0)), printed
        except subprocess.TimeoutExpired:
            raise TimeoutError from None
        finally:
            child.kill()  # nothing to one that has ended


def _read(pipe: IO[bytes], until: float) -> bytes:
    """Read to the end, which never comes where a child of the program holds the pipe: until then."""
    printed = b""
    while len(printed) <= MAX_BYTES:
        ready, _, _ = select.select([pipe], [], [], max(until - time.monotonic(), 0))
        if not ready:
            raise TimeoutError
        piece = os.read(pipe.fileno(), MAX_BYTES + 1 - len(printed))
        if not piece:
            break
        printed += piece
    return printed
