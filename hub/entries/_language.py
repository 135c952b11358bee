"""What filters may name: variables, functions, plugins' filters and protocols, for completion."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from kubeshark.hub.access._rights import need
from kubeshark.hub.state._hub import State
from kubeshark.pipeline.kfl._signatures import FUNCTIONS, STANDARD_FUNCTIONS

__all__ = ["router"]

router = APIRouter(prefix="/api/v1", tags=["query"], dependencies=[Depends(need("read"))])


class VariableAnswer(BaseModel):
    name: str
    type: str
    section: str
    heavy: bool = Field(description="needs headers, bodies or payload: slower to filter on")


class FunctionAnswer(BaseModel):
    name: str
    kind: Literal["function", "method", "plugin"]
    parameters: list[str] = Field(description="types; of a method without its receiver")
    result: str
    plugin: str = ""


class Language(BaseModel):
    variables: list[VariableAnswer]
    functions: list[FunctionAnswer]
    keywords: list[str]


class ProtocolAnswer(BaseModel):
    flag: str = Field(description="the KFL variable that is true for its entries")
    name: str
    abbreviation: str
    long_name: str
    layer4: str
    ports: list[int]
    background: str
    foreground: str
    reference: str
    plugin: str


@router.get("/kfl", summary="Variables and functions of filters")
def language(hub: State) -> Language:
    plugins = hub.pipeline.plugins
    functions = [
        FunctionAnswer(
            name=each.name,
            kind="method" if each.is_method else "function",
            parameters=[str(kind.name) for kind in each.parameters[1 if each.is_method else 0 :]],
            result=str(each.result.name),
        )
        for each in FUNCTIONS
    ]
    own = {each.name for each in FUNCTIONS}
    functions += [
        FunctionAnswer(name=name, kind="function", parameters=[], result="")
        for name in sorted(STANDARD_FUNCTIONS - own)
    ]
    functions += [
        FunctionAnswer(
            name=name,
            kind="plugin",
            parameters=[str(kind) for kind in offered.spec.parameters],
            result="bool",
            plugin=offered.plugin,
        )
        for name, offered in sorted(plugins.filters.items())
    ]
    variables = [
        VariableAnswer(name=each.name, type=each.type, section=each.section, heavy=each.is_heavy)
        for each in hub.pipeline.variables.values()
    ]
    return Language(variables=variables, functions=functions, keywords=["true", "false", "null", "in"])


@router.get("/protocols", summary="Protocols that are dissected")
def protocols(hub: State) -> list[ProtocolAnswer]:
    return [
        ProtocolAnswer(
            flag=spec.flag,
            name=spec.name,
            abbreviation=spec.abbr,
            long_name=spec.long_name,
            layer4=spec.layer4,
            ports=list(spec.ports),
            background=spec.background,
            foreground=spec.foreground,
            reference=spec.reference,
            plugin="" if binding.is_builtin else binding.plugin,
        )
        for binding in hub.pipeline.plugins.protocols.all
        for spec in (binding.protocol,)
    ]
