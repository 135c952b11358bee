"""Gives a store's files other recipients, without touching what they hold.

Whoever had a file's key keeps it: this lets new recipients in and makes the old identity useless for this copy, it does
not revoke what was read or copied before.

Every file is replaced at once. store.json says before each which one it is and how its new header reads: so a rotation
that died goes on where it was, with the old identity alone, although nobody can see from a file to whom it is
encrypted. Files come in the order of their numbers: what is written meanwhile comes last.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from itertools import accumulate

from msgspec import Struct, field
from msgspec.structs import replace

from kubeshark.core_capture.store._limits import MAX_HEADER_BYTES
from kubeshark.core_capture.store.catalogue._state import Rotation, save_state, take_over
from kubeshark.core_capture.store.keys._age_format import NotForUsError
from kubeshark.core_capture.store.keys._age_writer import rewrap
from kubeshark.core_capture.store.keys._identity import Identity, Recipient
from kubeshark.core_capture.store.places._backend import Backend
from kubeshark.core_capture.store.places._names import (
    DATA_SUFFIX,
    INDEX_SUFFIX,
    LOCK,
    SNAPSHOTS_LOCK,
    TEMPORARY,
    number_of,
    piece_of,
)
from kubeshark.core_capture.store.upkeep._leftovers import clear_leftovers
from kubeshark.errors import Damaged, StoreError

__all__ = ["Rotated", "rotate_keys"]

_COPY = f"{TEMPORARY}rewrap"


class Rotated(Struct):
    """What a rotation did."""

    files: int = 0  # replaced now
    done_before: int = 0  # by the run that was interrupted
    problems: list[StoreError] = field(default_factory=list)  # files that could not be opened: they stay as they are


def rotate_keys(
    files: Backend,
    identities: Sequence[Identity],
    recipients: Sequence[Recipient],
    on_progress: Callable[[int, int], None] | None = None,
) -> Rotated:
    """Re-wrap every file; `on_progress` gets (bytes done, bytes in all). May die anywhere, and is then run again."""
    wanted = [str(recipient) for recipient in recipients]
    done = Rotated()
    try:
        with files.lock(LOCK), files.lock(SNAPSHOTS_LOCK):
            state = take_over(files)
            clear_leftovers(files, state)
            if state.rotation is None or state.rotation.recipients != wanted:
                state.rotation = Rotation(wanted)
            begun = rotation = state.rotation
            sizes = files.sizes()
            names = sorted((name for name in sizes if name.endswith(".age") and not name.startswith(".")), key=_order)
            ends = list(accumulate((sizes[name] for name in names), initial=0))
            for name, before in zip(names, ends, strict=False):
                if on_progress is not None:
                    on_progress(before, ends[-1])
                if _is_done(files, name, begun):
                    done.done_before += 1
                    continue
                try:
                    header = _write(files, name, identities, recipients)
                except (NotForUsError, Damaged) as error:
                    error.forget_frames()
                    done.problems.append(error)
                    state.rotation = rotation = replace(rotation, failed=[*rotation.failed, name])
                    continue
                state.rotation = rotation = replace(rotation, file=name, header=header)
                save_state(files, state)
                files.publish(_COPY, name, replacing=True)
                files.settle()  # before store.json says the same of the next file
                done.files += 1
            if on_progress is not None:
                on_progress(ends[-1], ends[-1])
            if done.files or done.done_before:
                state.rotation = None
                state.recipients = wanted
                save_state(files, state)
    except OSError as error:
        raise StoreError(f"cannot write to {files.location}: {error.strerror}") from error
    return done


def _write(files: Backend, name: str, identities: Sequence[Identity], recipients: Sequence[Recipient]) -> str:
    """Write the file anew, synced, under a temporary name; return the SHA-256 of its header."""
    with files.create(_COPY) as out:
        header = rewrap(files.open(name), out, identities, recipients)
    return hashlib.sha256(header).hexdigest()


def _order(name: str) -> tuple[bool, int, str]:
    """Segments and logs by number, then the files that are replaced as a whole from time to time."""
    piece = piece_of(name)
    number = number_of(piece[0] if piece else name.removesuffix(DATA_SUFFIX).removesuffix(INDEX_SUFFIX))
    return number is None, number or 0, name


def _is_done(files: Backend, name: str, begun: Rotation) -> bool:
    """Say whether the run that was interrupted replaced this file."""
    if not begun.file or name in begun.failed:
        return False
    if name != begun.file:
        return _order(name) < _order(begun.file)
    start = files.read(name, MAX_HEADER_BYTES).data
    end = start.find(b"\n", start.find(b"\n---") + 1) + 1
    return hashlib.sha256(start[:end]).hexdigest() == begun.header
