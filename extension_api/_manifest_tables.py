"""The tables of `plugin.toml` as types, and what they mean to the pipeline.

Docstrings and types are also the JSON Schema of the manifest (scripts/generate_sdk.py). What types do not say is in
`_manifest_rules.py`.
"""

from __future__ import annotations

from functools import cached_property
from typing import Literal

import msgspec

from kubeshark.extension_api._hookspecs import HOOKS
from kubeshark.extension_api._models import (
    Classifier,
    EnrichSpec,
    FilterSpec,
    JobSpec,
    ProtocolSpec,
    SettingSpec,
    VariableType,
)

__all__ = [
    "DOCUMENT",
    "HOOK_NUMBERS",
    "HOST_ENTRY_POINTS",
    "LANGUAGES",
    "ClassifierTable",
    "EnrichTable",
    "EnrichVariableTable",
    "FieldTable",
    "FilterTable",
    "HookName",
    "JobTable",
    "Language",
    "Limits",
    "Manifest",
    "Permissions",
    "ProtocolTable",
    "ScriptTable",
    "SettingTable",
    "SummarizeTable",
    "Transport",
    "prefix_of",
]

Language = str
LANGUAGES = ("js", "c", "cpp", "go", "python")
HOST_ENTRY_POINTS = "kubeshark.hosts"
"""Group of entry points that add languages: the name is the language, the value a module (hosts/_languages.py)."""

Transport = Literal["tcp", "udp", "sctp"]
HookName = Literal[
    "packet_filter",
    "segment_sealed",
    "probe",
    "dissect",
    "enrich",
    "filter",
    "summarize",
    "render",
    "job",
    "configure",
    "start",
    "stop",
]
HOOK_NUMBERS: dict[str, int] = {hook.name: hook.number for hook in HOOKS if hook.number}
DOCUMENT = "document"
"""Stands among the variables that `enrich` reads for the whole JSON entry."""


class ProtocolTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[protocol]`: as entries name it (entries.md §2)."""

    name: str
    abbr: str
    long_name: str
    version: str = ""
    ports: list[int] = []
    transports: list[Transport] = msgspec.field(default_factory=lambda: ["tcp"])
    priority: int = 100
    matcher: Literal["fifo", "key", "none"] = "fifo"
    order: Literal["direction", "turns"] = "direction"
    background: str = "#6b7280"
    foreground: str = "#ffffff"
    reference: str = ""


class ClassifierTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[[classifiers]]`: a port, or bytes at an offset, as text (`prefix`) or in hexadecimal (`prefix_hex`)."""

    transport: Transport
    ports: list[int] = []
    offset: int = 0
    prefix: str = ""
    prefix_hex: str = ""
    side: Literal["client", "server", "any"] = "any"


class FieldTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[[fields]]`: a field of the record; its position is its id in result frames."""

    name: str
    type: VariableType
    variable: str = ""  # the KFL variable; "" keeps the field out of KFL (it is in the JSON entry only)


class FilterTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[[filters]]`: a function for KFL; its position is the `argument` of request items."""

    name: str
    parameters: list[Literal["string", "int", "double", "bool"]] = []
    reads: list[str] = []


class EnrichVariableTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[[enrich.variables]]`: a KFL variable that `enrich` may set; its name begins with the plugin's id."""

    name: str
    type: VariableType


class EnrichTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[enrich]`: what the enrich hook reads of an entry, sets and wants."""

    reads: list[str] = []
    variables: list[EnrichVariableTable] = []
    protocols: list[str] = []
    priority: int = 100
    on_failure: Literal["withhold", "drop", "keep"] = "withhold"


class SummarizeTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[summarize]`: the KFL variables that the summarize hook gets."""

    reads: list[str] = []


class JobTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[[jobs]]`: a job; its position is the `argument` of request items. Six fields, second first, in UTC."""

    name: str
    cron: str


class SettingTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[[settings]]`: a setting that users may change; its position is the value's in the configure hook."""

    name: str
    type: Literal["string", "int", "double", "bool", "list"] = "string"
    default: str | int | float | bool | list[str] | None = None
    required: bool = False
    choices: list[str] = []
    minimum: float | None = None
    maximum: float | None = None
    secret: bool = False
    description: str = ""


class ScriptTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[script]`: the plugin is a Kubeshark script; its hooks are those of scripts. Written by `plugin install`."""

    title: str
    hooks: list[str] = []


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[limits]`: what one call may take; the operator may lower them."""

    batch_ms: int = 1000
    memory_mb: int = 256


class Permissions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[permissions]`: all empty by default, shown at install, given only with `--grant`.

    The texts are those of `_permissions.py`; "*" among hosts or paths asks the operator to choose.
    """

    hosts: list[str] = []
    paths: list[str] = []
    env: list[str] = []

    def __bool__(self) -> bool:
        return bool(self.hosts or self.paths or self.env)


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, dict=True):
    """A checked plugin.toml."""

    id: str
    version: str
    abi: int
    language: Language
    entry: str
    hooks: list[HookName]
    source: str = ""  # of a JavaScript plugin that is bundled: the file that `plugin build` makes the entry of
    description: str = ""
    authors: list[str] = []
    license: str = ""
    protocol: ProtocolTable | None = None
    classifiers: list[ClassifierTable] = []
    fields: list[FieldTable] = []
    filters: list[FilterTable] = []
    enrich: EnrichTable | None = None
    summarize: SummarizeTable | None = None
    jobs: list[JobTable] = []
    settings: list[SettingTable] = []
    limits: Limits = Limits()
    permissions: Permissions = Permissions()
    script: ScriptTable | None = None

    @property
    def label(self) -> str:
        """`id@version`, as messages and entries name a plugin."""
        return f"{self.id}@{self.version}"

    @cached_property
    def hook_bits(self) -> int:
        """Bitmap of the declared hooks: bit n is hook n."""
        return sum(1 << HOOK_NUMBERS[hook] for hook in set(self.hooks))

    @cached_property
    def field_types(self) -> tuple[VariableType, ...]:
        """Types by field id, as `decode_dissect` wants them."""
        return tuple(field.type for field in self.fields)

    @cached_property
    def protocol_spec(self) -> ProtocolSpec | None:
        """The protocol as the pipeline registers it."""
        table = self.protocol
        if table is None:
            return None
        return ProtocolSpec(
            name=table.name,
            abbr=table.abbr,
            long_name=table.long_name,
            version=table.version,
            ports=tuple(table.ports),
            layer4=table.transports[0],
            transports=tuple(table.transports),
            priority=table.priority,
            background=table.background,
            foreground=table.foreground,
            reference=table.reference,
            matcher=table.matcher,
            classifiers=tuple(
                Classifier(row.transport, tuple(row.ports), row.offset, prefix_of(row), row.side)
                for row in self.classifiers
            ),
            variables={row.variable: row.type for row in self.fields if row.variable},
        )

    @cached_property
    def filter_specs(self) -> tuple[FilterSpec, ...]:
        """The filters as the pipeline registers them."""
        return tuple(FilterSpec(row.name, tuple(row.parameters), tuple(row.reads)) for row in self.filters)

    @cached_property
    def enrich_spec(self) -> EnrichSpec:
        """What the enrich hook reads, sets and wants."""
        table = self.enrich or EnrichTable()
        return EnrichSpec(
            tuple(table.reads),
            {row.name: row.type for row in table.variables},
            tuple(table.protocols),
            table.priority,
            table.on_failure,
        )

    @cached_property
    def job_specs(self) -> tuple[JobSpec, ...]:
        return tuple(JobSpec(row.name, row.cron) for row in self.jobs)

    @cached_property
    def setting_specs(self) -> tuple[SettingSpec, ...]:
        """The settings, in the order of their values in the configure hook."""
        return tuple(
            SettingSpec(
                row.name,
                row.type,
                row.default,
                row.required,
                tuple(row.choices),
                row.minimum,
                row.maximum,
                row.secret,
                row.description,
            )
            for row in self.settings
        )


def prefix_of(row: ClassifierTable) -> bytes:
    """Return the bytes that a stream begins with; ValueError if they are not hexadecimal."""
    return bytes.fromhex(row.prefix_hex) if row.prefix_hex else row.prefix.encode()
