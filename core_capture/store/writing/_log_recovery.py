"""Makes segments of the logs that dead writers left: the same names, the same packets, the same entry ids.

1. A log goes only when its segment lasts. What cannot be read of it is said before, and kept aside; what is known to be
   missing counts as lost.
2. By itself a writer seals only what its own node signed and what is whole. The rest waits for `store recover`, because
   a segment is signed by who seals it, and what is lost should be seen by somebody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from msgspec.structs import replace

from kubeshark.core_capture._core import load_core
from kubeshark.core_capture.store.catalogue._catalogue import Entry
from kubeshark.core_capture.store.keys._identity import Identity
from kubeshark.core_capture.store.places._backend import Backend
from kubeshark.core_capture.store.places._names import ASIDE, LOG_SUFFIX, log_name, number_of, open_names
from kubeshark.core_capture.store.segments._info import SegmentInfo
from kubeshark.core_capture.store.upkeep._leftovers import keep_aside
from kubeshark.core_capture.store.writing._log import OpenSegment
from kubeshark.core_capture.store.writing._log_losses import Before, count_missing, summary_of, with_losses
from kubeshark.core_capture.store.writing._piece import Renumbered, decode_piece
from kubeshark.core_capture.store.writing._sealer import Sealer
from kubeshark.errors import StoreError

if TYPE_CHECKING:
    from kubeshark.core_capture.store.upkeep._survey import Leftover

__all__ = ["seal_all_logs", "seal_own_logs", "survey_logs"]


def seal_own_logs(
    sealer: Sealer, identities: Sequence[Identity], wanted: Mapping[str, Sequence[int]]
) -> tuple[list[Entry], list[StoreError]]:
    """Seal these logs (numbers of pieces by segment) as far as a writer may by itself; return what failed, too."""
    if sealer.state.rotation is not None:  # it goes on by number, and would take them for files it has done
        return [], []

    def seal(name: str) -> Entry | None:
        segment = OpenSegment(name)
        segment.read(sealer.files, wanted[name], identities)
        is_ours = segment.packets and not segment.problems and segment.public_key == sealer.key.public
        return _seal_log(sealer, segment, wanted[name], missing=0) if is_ours else None

    return _each(sealer, wanted, seal)


def survey_logs(
    files: Backend, identities: Sequence[Identity], infos: Callable[[], Sequence[SegmentInfo]]
) -> list[Leftover]:
    """Say what `seal_all_logs` would make of each log; `infos` are the segments that are sealed, in order of names."""
    from kubeshark.core_capture.store.upkeep._survey import Leftover

    found, losses = list[Leftover](), _Losses(infos)
    for name, numbers in open_names(files.names()).items():
        segment = _read(files, name, numbers, identities)
        trouble = "".join(f"; {problem}" for problem in segment.problems)
        if any(problem.kind == "locked" for problem in segment.problems):
            found.append(Leftover("locked", name, f"{name}: its log: {segment.problems[0]}", is_whole=False))
        elif segment.packets:
            missing = losses.count(segment)
            trouble += f"; {missing:,} packets are lost" if missing else ""
            trouble += f"; what cannot be read is kept as {LOG_SUFFIX}{ASIDE}" if _unread(segment, numbers) else ""
            message = f"{name}: not sealed, its packets lie in the log{trouble}"
            found.append(Leftover("seal", name, message, segment.packets, is_whole=not segment.problems))
        elif segment.problems:
            found.append(Leftover("lost", name, f"{name}: nothing of its log can be read{trouble}", is_whole=False))
        else:
            found.append(Leftover("discard", name, f"{name}: its log holds no packets"))
    return found


def seal_all_logs(
    sealer: Sealer,
    identities: Sequence[Identity],
    found: Sequence[Leftover],
    infos: Callable[[], Sequence[SegmentInfo]],
) -> tuple[list[Entry], list[StoreError]]:
    """Seal what `survey_logs` found, as far as it can be read; return what failed, too."""
    logs = open_names(sealer.files.names())
    actions = {leftover.name: leftover.action for leftover in found}
    losses = _Losses(infos)

    def seal(name: str) -> Entry | None:
        numbers = logs.get(name, [])
        if actions[name] == "discard":
            _drop_log(sealer.files, name, numbers)
        if actions[name] != "seal" or not numbers:
            return None
        if sealer.state.rotation is not None:
            message = f"{name} is not sealed while a rotation of keys has not ended"
            raise StoreError(message, hint='run "kubeshark store rotate-keys" again')
        segment = _read(sealer.files, name, numbers, identities)
        return _seal_log(sealer, segment, numbers, missing=losses.count(segment))

    return _each(sealer, actions, seal)


def _each(
    sealer: Sealer, names: Iterable[str], seal: Callable[[str], Entry | None]
) -> tuple[list[Entry], list[StoreError]]:
    """Seal logs one by one: what fails of one stops no other."""
    entries, problems = list[Entry](), list[StoreError]()
    for name in names:
        try:
            entry = seal(name)
        except StoreError as error:
            error.forget_frames()
            problems.append(error)
        except OSError as error:
            problems.append(StoreError(f"cannot seal the log of {name} in {sealer.files.location}: {error.strerror}"))
        else:
            entries += [] if entry is None else [entry]
    return entries, problems


class _Losses:
    """Counts what logs lost, one after the other in order of their names."""

    def __init__(self, infos: Callable[[], Sequence[SegmentInfo]]) -> None:
        self._sealed, self._open = infos, list[SegmentInfo]()
        self._asked: Sequence[SegmentInfo] | None = None

    def count(self, segment: OpenSegment) -> int:
        """Return how many packets of a log are known to be missing."""
        missing = 0
        if segment.problems:
            if self._asked is None:
                self._asked = self._sealed()
            known = {info.name: info for info in (*self._asked, *self._open)}
            infos = sorted(known.values(), key=lambda info: number_of(info.name) or 0)
            missing = count_missing(segment, Before.of(segment, infos))
        self._open.append(summary_of(segment))
        return missing


def _read(files: Backend, name: str, numbers: Sequence[int], identities: Sequence[Identity]) -> OpenSegment:
    """Read a log; pieces that its node signed for another place in it are taken from where they lie."""
    segment = OpenSegment(name)
    segment.read(files, numbers, identities)
    if not any(problem.kind == "forged" for problem in segment.problems):
        return segment
    lies_at = dict[int, int]()
    for number in numbers:
        with suppress(FileNotFoundError, StoreError):
            try:
                decode_piece(files.open(log_name(name, number)), identities, load_core(), segment=name, number=number)
                lies_at[number] = number
            except Renumbered as error:
                lies_at.setdefault(error.number, number)
    if all(number == place for number, place in lies_at.items()):
        return segment
    moved = {place for number, place in lies_at.items() if number != place}
    segment = OpenSegment(name)
    segment.read(files, sorted({*lies_at, *numbers} - (moved - {*lies_at})), identities, lies_at)
    return segment


def _unread(segment: OpenSegment, numbers: Sequence[int]) -> list[str]:
    """Return the files of a log of which something was not taken."""
    return [file for number in numbers if (file := log_name(segment.name, number)) not in segment.whole]


def _seal_log(sealer: Sealer, segment: OpenSegment, numbers: Sequence[int], *, missing: int) -> Entry:
    """Seal an open segment, and drop its log."""
    draft = with_losses(segment.draft, missing) if missing else segment.draft
    if segment.public_key != sealer.key.public:  # its packets come from there, its seal does not
        name = f"{draft.source.name} (recovered)"
        draft = replace(draft, source=replace(draft.source, sha256="", name=name))
    for file in _unread(segment, numbers):
        keep_aside(sealer.files, file)
    entry = sealer.seal(draft)
    _drop_log(sealer.files, segment.name, numbers)
    return entry


def _drop_log(files: Backend, name: str, numbers: Sequence[int]) -> None:
    """Delete the pieces of a segment that lasts."""
    for number in numbers:
        files.delete(log_name(name, number))
    files.settle()
