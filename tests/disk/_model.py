"""A disk that forgets: what may be found after the power went at any moment of a recorded run.

1. A file's content is safe once the file was synced, its name once its folder was. Neither stands for the other.
2. Everything else is open: a write may be there, be missing, be zeros or be torn; a change of names may have
   happened or not. In a *journal* they happened in their order up to some point, as on ext4, XFS and btrfs; a disk
   *without order* takes any of them.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tests.disk._shim import Entry

__all__ = ["Cut", "Disk", "cuts"]

Fate = Literal["kept", "lost", "zeros", "torn"]
_FATES: tuple[Fate, ...] = ("kept", "kept", "lost", "zeros", "torn")


@dataclass(slots=True, eq=False)
class _File:
    safe: bytes = b""
    pending: list[tuple[int, bytes | None]] = field(default_factory=list)  # (offset, data); None: cut to the offset


@dataclass(slots=True, eq=False)
class _Folder:
    safe: dict[str, _Node] = field(default_factory=dict)
    now: dict[str, _Node] = field(default_factory=dict)  # as the running program sees it


_Node = _File | _Folder


@dataclass(frozen=True, slots=True)
class _Change:
    """One change of names: what goes, and what comes."""

    gone: tuple[tuple[_Folder, str], ...]
    come: tuple[tuple[_Folder, str, _Node], ...]

    def folders(self) -> list[_Folder]:
        return [folder for folder, _name in self.gone] + [folder for folder, _name, _node in self.come]


Tree = dict[str, bytes | None]
"""Path → content; None is a folder."""


@dataclass(frozen=True, slots=True)
class Cut:
    """What is found after one power cut."""

    at: int  # operations that were done
    how: str
    marks: str  # what the program had said by then
    tree: Tree
    is_ordered: bool  # names changed in their order

    def write_to(self, folder: Path) -> None:
        for path, content in sorted(self.tree.items()):
            if content is None:
                (folder / path).mkdir(mode=0o700)
            else:
                (folder / path).write_bytes(content)
                (folder / path).chmod(0o600)

    def __str__(self) -> str:
        return f"after {self.at} operations, {self.how}"


class Disk:
    """Takes operations one by one."""

    def __init__(self, folder: Path) -> None:
        """Begin with what lies in `folder`, all of it safe."""
        self._root = _Folder()
        self._by_inode: dict[int, _Node] = {}
        self._changes: list[_Change] = []
        self.marks = ""
        self._by_inode[folder.stat().st_ino] = self._root
        for path in sorted(folder.rglob("*")):
            node = _Folder() if path.is_dir() else _File(path.read_bytes())
            parent, name = self._place(path.relative_to(folder).as_posix())
            parent.safe[name] = parent.now[name] = self._by_inode[path.stat().st_ino] = node

    def apply(self, entry: Entry) -> None:
        match entry.kind:
            case "M":
                self.marks += entry.data.decode()
            case "C" | "D":
                node = self._by_inode[entry.inode] = _File() if entry.kind == "C" else _Folder()
                self._change((), ((*self._place(entry.path), node),))
            case "W" | "T":
                file = self._by_inode[entry.inode]
                assert isinstance(file, _File), entry.path
                file.pending.append((entry.offset, entry.data if entry.kind == "W" else None))
            case "S":
                self._sync(self._by_inode[entry.inode])
            case "R" | "L":
                source, target = self._place(entry.path), self._place(entry.target)
                node = source[0].now[source[1]]
                self._change((source,) if entry.kind == "R" else (), ((*target, node),))
            case "U" | "X":
                self._change((self._place(entry.path),), ())
            case _:
                raise AssertionError(f"nothing is known of {entry.kind!r} of {entry.path}")

    def tree(self, changes: Iterable[bool], fates: Iterator[Fate], torn: random.Random) -> Tree:
        """Return what is found if these pending changes of names happened, and pending writes had these fates."""
        seen: dict[int, dict[str, _Node]] = {}

        def names(folder: _Folder) -> dict[str, _Node]:
            return seen.setdefault(id(folder), dict(folder.safe))

        for change, happened in zip(self._changes, changes, strict=True):
            if happened:
                for folder, name in change.gone:
                    names(folder).pop(name, None)
                for folder, name, node in change.come:
                    names(folder)[name] = node
        found: Tree = {}

        def walk(folder: _Folder, prefix: str) -> None:
            for name, node in sorted(names(folder).items()):
                if isinstance(node, _Folder):
                    found[prefix + name] = None
                    walk(node, f"{prefix}{name}/")
                else:
                    found[prefix + name] = _content(node, fates, torn)

        walk(self._root, "")
        return found

    @property
    def pending_changes(self) -> int:
        return len(self._changes)

    def _place(self, path: str) -> tuple[_Folder, str]:
        *folders, name = path.split("/")
        folder = self._root
        for part in folders:
            inner = folder.now[part]
            assert isinstance(inner, _Folder), path
            folder = inner
        return folder, name

    def _change(self, gone: tuple[tuple[_Folder, str], ...], come: tuple[tuple[_Folder, str, _Node], ...]) -> None:
        change = _Change(gone, come)
        _make(change, {id(folder): folder.now for folder in change.folders()})
        self._changes.append(change)

    def _sync(self, node: _Node) -> None:
        if isinstance(node, _File):
            node.safe = _content(node, iter(lambda: "kept", None), random.Random(0))
            node.pending.clear()
            return
        done = [change for change in self._changes if node in change.folders()]
        for change in done:
            _make(change, {id(folder): folder.safe for folder in change.folders()})
        self._changes = [change for change in self._changes if change not in done]


def cuts(disk: Disk, entries: Sequence[Entry], *, samples: int, seed: int = 0) -> Iterator[Cut]:
    """Yield what may be found after a power cut at every operation on `disk`; each different thing once.

    Five fixed cases each, `samples` random ones with names in order, and as many without order.
    """
    choose = random.Random(seed)
    seen = set[tuple[str, frozenset[tuple[str, bytes | None]]]]()
    for at in range(len(entries) + 1):
        if at:
            disk.apply(entries[at - 1])
        for how, tree, is_ordered in _cases(disk, choose, samples):
            key = (disk.marks, frozenset(tree.items()))
            if key not in seen:
                seen.add(key)
                yield Cut(at, how, disk.marks, tree, is_ordered)


def _cases(disk: Disk, choose: random.Random, samples: int) -> Iterator[tuple[str, Tree, bool]]:
    count = disk.pending_changes

    def always(fate: Fate) -> Iterator[Fate]:
        return iter(lambda: fate, None)

    def any_fate() -> Iterator[Fate]:
        return iter(lambda: choose.choice(_FATES), None)

    yield "nothing unsynced is there", disk.tree([False] * count, always("lost"), choose), True
    yield "everything is there", disk.tree([True] * count, always("kept"), choose), True
    yield "names but no data", disk.tree([True] * count, always("lost"), choose), True
    yield "names and zeros", disk.tree([True] * count, always("zeros"), choose), True
    yield "data but no names", disk.tree([False] * count, always("kept"), choose), True
    for number in range(samples):
        happened = choose.randint(0, count)
        order = [at < happened for at in range(count)]
        yield f"case {number} in order", disk.tree(order, any_fate(), choose), True
        subset = [choose.random() < 0.5 for _ in range(count)]
        yield f"case {number} without order", disk.tree(subset, any_fate(), choose), subset == sorted(subset)[::-1]


def _make(change: _Change, names: dict[int, dict[str, _Node]]) -> None:
    for folder, name in change.gone:
        names[id(folder)].pop(name, None)
    for folder, name, node in change.come:
        names[id(folder)][name] = node


def _content(file: _File, fates: Iterator[Fate], torn: random.Random) -> bytes:
    content = bytearray(file.safe)
    for (at, data), fate in zip(file.pending, fates, strict=False):
        if fate == "lost":
            continue
        if data is None:
            del content[at:]
            continue
        end = at + len(data)
        content.extend(bytes(max(0, end - len(content))))
        if fate == "zeros":
            content[at:end] = bytes(len(data))
        elif fate == "torn":
            there = torn.randrange(len(data) + 1)
            content[at : at + there] = data[:there]
        else:
            content[at:end] = data
    return bytes(content)
