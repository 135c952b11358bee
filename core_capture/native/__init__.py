"""The C core. Importing this raises ImportError where it was not built."""

from kubeshark.core_capture.native._core import NativeCore

__all__ = ["NativeCore"]
