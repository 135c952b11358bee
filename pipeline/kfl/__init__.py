"""KFL, the filter language: CEL with Kubeshark's variable names, checked before a byte is read."""

from kubeshark.pipeline.kfl._ast import FilterCall
from kubeshark.pipeline.kfl._compile import ENTRY
from kubeshark.pipeline.kfl._errors import KflError
from kubeshark.pipeline.kfl._filter import CompiledFilter, FilterErrors, compile_filter, plain_pushdown
from kubeshark.pipeline.kfl._pushdown import Pushdown
from kubeshark.pipeline.kfl._signatures import check_filter_name
from kubeshark.pipeline.kfl._variables import FLAGS, VARIABLES, Variable, Variables

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
    "compile_filter",
    "plain_pushdown",
]
