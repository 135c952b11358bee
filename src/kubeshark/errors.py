"""Every error that a user of kubeshark can meet; a leaf that imports nothing.

KubesharkError        abstract: message, hint
* UsageError          exit 2: an option, a KFL text (position)
* InputError          exit 3, or 1 if nothing was readable: file, offset
  - Truncated         ends early; what came before is kept
  - Malformed         contradicts its own format
* ClusterError        exit 1: the API server cannot be reached, or refuses
* CaptureError        exit 1: an interface or a sender cannot be captured from
* StoreError          exit 1: no identity, no store, locked by another writer
  - Damaged           our own file fails its check: segment, offset
* PluginError         plugin, hook
  - PluginRejected    manifest, signature, ABI
  - PluginCrashed     trap, signal, time, memory; names the poison payload

A message is one line: what, where, and what to do. Programming errors stay builtin exceptions.
"""

from __future__ import annotations

__all__ = [
    "CaptureError",
    "ClusterError",
    "Damaged",
    "InputError",
    "KubesharkError",
    "Malformed",
    "PluginCrashed",
    "PluginError",
    "PluginRejected",
    "StoreError",
    "Truncated",
    "UsageError",
]


class KubesharkError(Exception):
    """Base of all; raise a subclass."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        if type(self) is KubesharkError:
            raise TypeError("KubesharkError is abstract: raise one of its subclasses")
        self.message = message
        self.hint = hint
        super().__init__(f"{message}: {hint}" if hint else message)

    def forget_frames(self) -> None:
        """For an error that is kept, not raised: its frames would keep alive what was being read, up to a GiB each."""
        self.__traceback__ = self.__cause__ = self.__context__ = None

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle by what it holds: workers tell their errors, and each class has arguments of its own."""
        return _revived, (type(self), self.args, self.__dict__)


def _revived(kind: type[KubesharkError], arguments: tuple[object, ...], held: dict[str, object]) -> KubesharkError:
    error = kind.__new__(kind)
    error.args = arguments
    error.__dict__.update(held)
    return error


class UsageError(KubesharkError):
    """The caller asked for something that does not exist or cannot be meant."""

    exit_code = 2

    def __init__(self, message: str, *, hint: str = "", line: int = 0, column: int = 0) -> None:
        self.line = line  # 1-based; 0 where no text is to blame
        self.column = column  # 1-based, in code points
        super().__init__(message, hint=hint)


class InputError(KubesharkError):
    """A file from outside cannot be read, or not to its end."""

    exit_code = 3

    def __init__(self, message: str, *, file: str = "", offset: int | None = None, hint: str = "") -> None:
        self.file = file
        self.offset = offset  # bytes from the start of the (decompressed) file
        where = f"{file}: " if file else ""
        at = f" at byte {offset:,}" if offset is not None else ""
        super().__init__(f"{where}{message}{at}", hint=hint)


class Truncated(InputError):
    """The input ends inside a unit; everything before it is kept."""


class Malformed(InputError):
    """The input contradicts its own format."""


class CaptureError(KubesharkError):
    """An interface or a sender cannot be captured from: no permission, no room, no answer."""


class ClusterError(KubesharkError):
    """The API server of a cluster cannot be reached, or refuses what it is asked; `status` is HTTP's, 0 for none."""

    def __init__(self, message: str, *, status: int = 0, hint: str = "") -> None:
        self.status = status
        super().__init__(message, hint=hint)


class StoreError(KubesharkError):
    """A store cannot be opened, read or written."""


class Damaged(StoreError):
    """A file of ours fails its own check: it was changed, cut or swapped."""

    def __init__(self, message: str, *, file: str = "", offset: int | None = None, hint: str = "") -> None:
        self.file = file
        self.offset = offset
        where = f"{file}: " if file else ""
        at = f" at byte {offset:,}" if offset is not None else ""
        super().__init__(f"{where}damaged: {message}{at}", hint=hint)


class PluginError(KubesharkError):
    """A plugin cannot do what it was asked."""

    def __init__(self, message: str, *, plugin: str, hook: str = "", hint: str = "") -> None:
        self.plugin = plugin
        self.hook = hook
        during = f" in {hook}" if hook else ""
        super().__init__(f"plugin {plugin}{during}: {message}", hint=hint)


class PluginRejected(PluginError):
    """A plugin may not be loaded: manifest, signature, ABI."""


class PluginCrashed(PluginError):
    """A plugin's process ended, hung, trapped or answered nonsense; the payload that did it is named if known."""

    def __init__(self, message: str, *, plugin: str, hook: str = "", poison: int | None = None) -> None:
        self.poison = poison  # index of the item in the batch
        super().__init__(message, plugin=plugin, hook=hook)
