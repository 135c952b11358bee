"""import -R: the capture files in folders, by what they are called or begin with."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from msgspec import Struct, field

__all__ = ["CaptureFiles"]

_NAME = re.compile(r".*\.(?:pcap|pcapng|cap)(?:\.(?:gz|zst))?", re.IGNORECASE)


class CaptureFiles(Struct):
    """Files to import, in order; beside them how many are no captures, and what could not be looked at."""

    files: list[str] = field(default_factory=list)
    others: int = 0
    problems: list[str] = field(default_factory=list)

    @classmethod
    def named(cls, places: Iterable[str], *, recursive: bool) -> CaptureFiles:
        """Return the files named, and those in the folders named where that is wanted."""
        found = cls()
        for place in places:
            if not Path(place).is_dir():
                found.files.append(place)
            elif recursive:
                found._walk(place)
            else:
                found.problems.append(f"{place} is a folder: -R imports the captures in it")
        return found

    def _walk(self, top: str) -> None:
        for folder, below, names in os.walk(top, onerror=self._refused):
            below.sort()
            for path in (Path(folder, name) for name in sorted(names)):
                if path.is_file() and (_NAME.fullmatch(path.name) or self._is_capture(path)):
                    self.files.append(str(path))
                else:
                    self.others += 1

    def _is_capture(self, path: Path) -> bool:
        from kubeshark.core_capture.files import CAPTURE_MAGICS

        try:
            with path.open("rb") as file:
                return file.read(4) in CAPTURE_MAGICS
        except OSError as error:
            self._refused(error)
            return False

    def _refused(self, error: OSError) -> None:
        self.problems.append(f"{error.filename}: {error.strerror or error}")
