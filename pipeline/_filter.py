"""A compiled KFL expression bound to the plugins: what to read, and which entries stay.

Plugin filters are called in batches, only for entries that every cheaper term let through; the expression is then
decided with their answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kubeshark.core_capture import Predicate
from kubeshark.errors import KubesharkError, PluginError
from kubeshark.pipeline._entry import Entry
from kubeshark.pipeline._plugins import Plugins
from kubeshark.pipeline.kfl import VARIABLES, CompiledFilter, Variable, Variables, compile_filter

__all__ = ["EntryFilter"]
