"""Whose segments belong into a store besides this machine's: the nodes that were there before it had a key of its own.

    known-nodes.json     beside the node's key: store → public keys; mode 0600

Without a key `verify` takes whoever signed. With the first key all others would be strangers from one moment to the
next, though nothing was forged: as after a rotation to an identity in another folder, which gets a key of its own. So
those that stand in store.json are noted when the key is made, and never later: what others sign after that is reported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from kubeshark._durable import make_folder, replace_synced
from kubeshark.core_capture.store.keys._signing import NodeKey, node_key_path
from kubeshark.errors import StoreError

__all__ = ["signing_key", "trusted_nodes"]

_FILE = "known-nodes.json"


def signing_key(location: str, signers: Callable[[], Iterable[str]]) -> NodeKey:
    """Return the key that this machine signs with in the store at a folder or URL; make it if there is none.

    `signers` are then the public keys (hex) of who signed there before.
    """
    found = NodeKey.load()
    if found is None:
        if before := set(signers()):
            known, place = _load(), _place(location)
            _save({**known, place: sorted({*known.get(place, ()), *before})})
        found = NodeKey.load_or_create()
    return found


def trusted_nodes(location: str) -> list[str]:
    """Return the public keys (hex) that count for the store at a folder or URL; none: whoever signed."""
    local = NodeKey.load()
    return [] if local is None else [local.public, *_load().get(_place(location), ())]


def _place(location: str) -> str:
    return location if "://" in location else str(Path(location).resolve())


def _load() -> dict[str, list[str]]:
    path = node_key_path().with_name(_FILE)
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, list[str]])
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise StoreError(f"{path} cannot be read: {error}", hint="repair or delete it") from error


def _save(known: dict[str, list[str]]) -> None:
    path = node_key_path().with_name(_FILE)
    try:
        make_folder(path.parent)
        with replace_synced(path, path.with_name(f".{_FILE}.new")) as file:
            file.write(msgspec.json.encode(known))
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror}") from error
