"""KFL, the filter language: CEL with Kubeshark's variable names, checked before a byte is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kubeshark._lazy import lazily

if TYPE_CHECKING:
    from kubeshark.pipeline.kfl._ast import FilterCall as FilterCall
    from kubeshark.pipeline.kfl._compile import ENTRY as ENTRY
    from kubeshark.pipeline.kfl._errors import KflError as KflError
    from kubeshark.pipeline.kfl._filter import CompiledFilter as CompiledFilter
    from kubeshark.pipeline.kfl._filter import FilterErrors as FilterErrors
    from kubeshark.pipeline.kfl._filter import check_macros as check_macros
    from kubeshark.pipeline.kfl._filter import compile_filter as compile_filter
    from kubeshark.pipeline.kfl._plain import plain_pushdown as plain_pushdown
    from kubeshark.pipeline.kfl._pushdown import Pushdown as Pushdown
    from kubeshark.pipeline.kfl._signatures import check_filter_name as check_filter_name
    from kubeshark.pipeline.kfl._variables import FLAGS as FLAGS
    from kubeshark.pipeline.kfl._variables import VARIABLES as VARIABLES
    from kubeshark.pipeline.kfl._variables import Variable as Variable
    from kubeshark.pipeline.kfl._variables import Variables as Variables

__all__ = [
    "ENTRY",
    "FLAGS",
    "VARIABLES",
    "CompiledFilter",
    "FilterCall",
    "FilterErrors",
    "KflError",
    "Pushdown",
    "Variable",
    "Variables",
    "check_filter_name",
    "check_macros",
    "compile_filter",
    "plain_pushdown",
]

if not TYPE_CHECKING:
    __getattr__ = lazily(
        __name__,
        {
            "_ast": "FilterCall",
            "_compile": "ENTRY",
            "_errors": "KflError",
            "_filter": "CompiledFilter FilterErrors check_macros compile_filter",
            "_plain": "plain_pushdown",
            "_pushdown": "Pushdown",
            "_signatures": "check_filter_name",
            "_variables": "FLAGS VARIABLES Variable Variables",
        },
    )
