"""Gives a store's files other recipients, without touching what they hold.

Whoever had a file's key keeps it: this lets new recipients in and makes the old identity useless for this copy, it does
not revoke what was read or copied before.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from kubeshark.core_capture.store._age import NotForUsError, rewrap
from kubeshark.core_capture.store._durable import sync_folder, write_synced
from kubeshark.core_capture.store._identity import Identity, Recipient
from kubeshark.core_capture.store._leftovers import clear_leftovers
from kubeshark.core_capture.store._lock import StoreLock
from kubeshark.core_capture.store._names import TEMPORARY
from kubeshark.core_capture.store._state import load_state, save_state
from kubeshark.errors import Damaged, StoreError

__all__ = ["rotate_keys"]


def rotate_keys(
    folder: Path, identities: Sequence[Identity], recipients: Sequence[Recipient]
) -> tuple[int, list[StoreError]]:
    """Re-wrap every file of a store; return how many, and those that could not be opened, which stay as they are.

    Each file is replaced at once. After a crash, run it again with the old and the new identity.
    """
    lock = StoreLock(folder)
    try:
        state = load_state(folder)
        clear_leftovers(folder, state)
        count, problems = 0, list[StoreError]()
        temporary = folder / f"{TEMPORARY}rewrap"
        for path in sorted(folder.glob("*.age")):
            try:
                with write_synced(temporary) as out:
                    rewrap(path, out, identities, recipients)
            except (NotForUsError, Damaged) as error:
                temporary.unlink()
                problems.append(error)
                continue
            temporary.rename(path)
            count += 1
        sync_folder(folder)
        if count:
            state.recipients = [str(recipient) for recipient in recipients]
            save_state(folder, state)
    except OSError as error:
        raise StoreError(f"cannot write to {folder}: {error.strerror}") from error
    finally:
        lock.release()
    return count, problems
