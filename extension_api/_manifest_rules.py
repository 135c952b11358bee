"""What a manifest must keep to beyond its types: ranges, names that KFL has already, tables that go together."""

from __future__ import annotations

import re
from importlib.metadata import entry_points
from pathlib import PurePosixPath

from kubeshark.errors import PluginRejected, UsageError
from kubeshark.extension_api._manifest_tables import (
    HOOK_NUMBERS,
    HOST_ENTRY_POINTS,
    LANGUAGES,
    Manifest,
    ProtocolTable,
    prefix_of,
)
from kubeshark.extension_api._permissions import check_grant
from kubeshark.extension_api._settings import check_settings

__all__ = ["check_manifest", "version_key"]

MAX_FIELDS = 4096  # a field id is 16 bits, 0xFFFF is taken; nobody reads a table of more
MAX_FILTERS = 64
MAX_CLASSIFIERS = 256
MAX_JOBS = 64
MAX_SETTINGS = 256
MAX_READS = 32
MAX_PERMISSIONS = 64

_ID = re.compile(r"[a-z][a-z0-9-]{0,63}")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")  # kfl.md §5
_VARIABLE = re.compile(r"[a-z][a-z0-9_]{0,63}")
_VERSION = re.compile(r"(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})(?:-([0-9A-Za-z.-]{1,64}))?", re.ASCII)
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_CEL_WORDS = _words("""
    as break const continue else for function if import in let loop package namespace return var void while true
    false null and or not nil
""")
_KFL_FUNCTIONS = _words("""
    size map_get timestamp duration now int uint double string bytes bool type dyn has field contains matches lower
    exists all exists_one filter map json xml
""")
# The first word of every variable and flag of kfl.md §2: a name that begins with none of them cannot clash.
_KFL_FAMILIES = _words("""
    amqp body capture cassandra conn content diameter dns dst elapsed error file flow gql gqlv1 gqlv2 grpc has host
    http http2 https icmp id index kafka ldap local memcached method mongodb mqtt mysql namespaces nats node path pod
    pods postgresql protocol query quic radius redis remote request response sctp service services sip smtp src status
    stream tags tcp tls tlsx transport tunnel udp url vlan worker ws
""")


def check_manifest(manifest: Manifest, file: str) -> None:
    """Raise PluginRejected for the first thing that is wrong; `file` is named in it."""
    _Checker(manifest, file).check()


def version_key(version: str) -> tuple[int, int, int, int, tuple[tuple[int, int, str], ...]]:
    """Order versions as SemVer 2 §11 does: 1.0.0-rc.1 before 1.0.0."""
    match = _VERSION.fullmatch(version)
    if match is None:
        raise ValueError(f"{version!r} is not a version")
    major, minor, patch, pre = match.groups()
    parts = tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in (pre or "").split(".") if part)
    return int(major), int(minor), int(patch), 0 if pre else 1, parts


class _Checker:
    """What the types do not say."""

    def __init__(self, manifest: Manifest, file: str) -> None:
        self.manifest = manifest
        self.file = file

    def refuse(self, key: str, message: str, hint: str = "") -> PluginRejected:
        return PluginRejected(f"{self.file}: {key}: {message}", plugin=self.manifest.id, hint=hint)

    def in_range(self, key: str, value: int, low: int, high: int) -> None:
        if not low <= value <= high:
            raise self.refuse(key, f"{value} is not between {low} and {high}")

    def unique(self, key: str, values: list[str]) -> None:
        for value in values:
            if values.count(value) > 1:
                raise self.refuse(key, f"{value!r} appears more than once")

    def check(self) -> None:
        manifest = self.manifest
        if not _ID.fullmatch(manifest.id):
            raise self.refuse("id", f"{manifest.id!r} is not an id", "use a-z, 0-9 and -, first a letter, at most 64")
        if not _VERSION.fullmatch(manifest.version):
            raise self.refuse("version", f"{manifest.version!r} is not a version", "write three numbers: 1.0.0")
        self.check_path("entry", manifest.entry)
        self.check_source()
        if manifest.language not in LANGUAGES:
            added = sorted(entry_points(group=HOST_ENTRY_POINTS).names)
            if manifest.language not in added:
                hint = f"there are {', '.join((*LANGUAGES, *added))}; a Python package may add others"
                raise self.refuse("language", f"{manifest.language[:40]!r} is not known here", hint)
        self.check_hooks()
        self.in_range("limits.batch_ms", manifest.limits.batch_ms, 10, 60_000)
        self.in_range("limits.memory_mb", manifest.limits.memory_mb, 16, 4096)
        if manifest.protocol:
            self.check_protocol(manifest.protocol)
        elif manifest.classifiers or manifest.fields:
            raise self.refuse("protocol", "classifiers and fields belong to a protocol", "add a [protocol] table")
        self.check_classifiers()
        self.check_fields()
        self.check_filters()
        self.check_enrich()
        self.check_jobs()
        self.check_settings()
        self.check_permissions()

    def check_path(self, key: str, text: str) -> None:
        if (
            not text
            or PurePosixPath(text).is_absolute()
            or {"..", "."} & set(text.split("/"))
            or text.startswith("-")  # for a compiler that would be an option
            or any(char in text for char in "\\:\0")
        ):
            raise self.refuse(key, f"{text!r} leaves the folder", "name a file inside the plugin's folder")

    def check_source(self) -> None:
        manifest = self.manifest
        if manifest.entry.endswith((".ts", ".mts", ".tsx")):
            hint = f'write source = "{manifest.entry}" and entry = "build/plugin.js"'
            raise self.refuse("entry", f"{manifest.entry!r} is TypeScript, which is bundled first", hint)
        if not manifest.source:
            return
        self.check_path("source", manifest.source)
        if manifest.language != "js":
            raise self.refuse("source", "is for JavaScript and TypeScript", "drop it: all sources are compiled")
        if manifest.source == manifest.entry:
            raise self.refuse("source", "is the entry, which is made of it", 'write entry = "build/plugin.js"')

    def check_hooks(self) -> None:
        manifest = self.manifest
        hooks = manifest.hooks
        if manifest.script:
            if hooks or manifest.language != "js":
                raise self.refuse("script", "goes with no hooks of plugins", 'leave `hooks` empty, language is "js"')
        elif not hooks:
            raise self.refuse("hooks", "is empty", f"name some of {', '.join(HOOK_NUMBERS)}")
        self.unique("hooks", list(hooks))
        if "dissect" in hooks and not manifest.protocol:
            raise self.refuse("protocol", "is missing", "a plugin with dissect names its protocol in [protocol]")
        if manifest.protocol and "dissect" not in hooks:
            raise self.refuse("hooks", "has no dissect, but there is a [protocol]", "add dissect, or drop the table")
        if "probe" in hooks and "dissect" not in hooks:
            raise self.refuse("hooks", "probe without dissect", "a stream that is probed must be dissected")
        if ("filter" in hooks) != bool(manifest.filters):
            raise self.refuse("filters", "the filter hook and [[filters]] go together", "add or remove one of them")
        for hook, key, is_there in (
            ("job", "jobs", bool(manifest.jobs)),
            ("configure", "settings", bool(manifest.settings)),
            ("enrich", "enrich", manifest.enrich is not None),
        ):
            if (hook in hooks) != is_there:
                raise self.refuse(key, f"the {hook} hook and [{key}] go together", "add or remove one of them")
        if manifest.summarize and "summarize" not in hooks:
            raise self.refuse("summarize", "there is no summarize hook", "add it to hooks, or drop the table")

    def check_protocol(self, protocol: ProtocolTable) -> None:
        self.check_name("protocol.name", protocol.name)
        if protocol.name.split("_")[0] in _KFL_FAMILIES:
            raise self.refuse(
                "protocol.name",
                f"{protocol.name!r} begins with a word of KFL's own variables",
                "choose another name",
            )
        for key, text, longest in (("abbr", protocol.abbr, 16), ("long_name", protocol.long_name, 80)):
            if not text or len(text) > longest or not text.isprintable():
                raise self.refuse(f"protocol.{key}", f"must be 1 to {longest} printable characters")
        if not protocol.transports:
            raise self.refuse("protocol.transports", "is empty", "name tcp, udp or sctp")
        self.in_range("protocol.priority", protocol.priority, 0, 1000)
        for port in protocol.ports:
            self.in_range("protocol.ports", port, 1, 65535)
        for key, colour in (("background", protocol.background), ("foreground", protocol.foreground)):
            if not _COLOUR.fullmatch(colour):
                raise self.refuse(f"protocol.{key}", f"{colour!r} is not a colour", "write it as #rrggbb")
        if protocol.reference and not protocol.reference.startswith(("https://", "http://")):
            raise self.refuse("protocol.reference", "is not a web address")

    def check_name(self, key: str, name: str) -> None:
        """Refuse what KFL could not call, or calls already."""
        if not _NAME.fullmatch(name):
            raise self.refuse(key, f"{name!r} is not a name", "use a-z, 0-9 and _, first a letter, at most 32")
        if name in _CEL_WORDS | _KFL_FUNCTIONS:
            raise self.refuse(key, f"{name!r} is a reserved word of KFL", "choose another name")

    def check_classifiers(self) -> None:
        if len(self.manifest.classifiers) > MAX_CLASSIFIERS:
            raise self.refuse("classifiers", f"more than {MAX_CLASSIFIERS}")
        for index, row in enumerate(self.manifest.classifiers):
            key = f"classifiers[{index}]"
            for port in row.ports:
                self.in_range(f"{key}.ports", port, 1, 65535)
            self.in_range(f"{key}.offset", row.offset, 0, 511)  # inside what a probe sees
            if row.prefix and row.prefix_hex:
                raise self.refuse(key, "has both prefix and prefix_hex", "keep one of them")
            try:
                prefix = prefix_of(row)
            except ValueError as error:
                raise self.refuse(f"{key}.prefix_hex", "is not hexadecimal", 'write bytes as "00 03"') from error
            if not prefix and not row.ports:
                raise self.refuse(key, "matches everything", "give ports, prefix or prefix_hex")
            self.in_range(f"{key}.prefix", len(prefix) + row.offset, 0, 512)

    def check_fields(self) -> None:
        fields = self.manifest.fields
        if len(fields) > MAX_FIELDS:
            raise self.refuse("fields", f"more than {MAX_FIELDS}")
        self.unique("fields", [row.name for row in fields])
        self.unique("fields", [row.variable for row in fields if row.variable])
        prefix = f"{self.manifest.protocol.name}_" if self.manifest.protocol else ""
        for index, row in enumerate(fields):
            if not _VARIABLE.fullmatch(row.name.lower()):
                raise self.refuse(f"fields[{index}].name", f"{row.name!r} is not a name")
            if row.variable and not (row.variable.startswith(prefix) and _VARIABLE.fullmatch(row.variable)):
                raise self.refuse(
                    f"fields[{index}].variable", f"{row.variable!r} does not begin with {prefix!r}", "rename it"
                )

    def check_filters(self) -> None:
        filters = self.manifest.filters
        if len(filters) > MAX_FILTERS:
            raise self.refuse("filters", f"more than {MAX_FILTERS}")
        self.unique("filters", [row.name for row in filters])
        for index, row in enumerate(filters):
            key = f"filters[{index}]"
            self.check_name(f"{key}.name", row.name)
            if row.name in _KFL_FAMILIES or (self.manifest.protocol and row.name == self.manifest.protocol.name):
                raise self.refuse(f"{key}.name", f"{row.name!r} is a variable of KFL", "choose another name")
            self.in_range(f"{key}.parameters", len(row.parameters), 0, 8)
            self.in_range(f"{key}.reads", len(row.reads), 0, 32)

    def check_enrich(self) -> None:
        for key, table in (("enrich", self.manifest.enrich), ("summarize", self.manifest.summarize)):
            if table:
                self.in_range(f"{key}.reads", len(table.reads), 0, MAX_READS)
                self.unique(f"{key}.reads", table.reads)
        enrich = self.manifest.enrich
        if enrich is None:
            return
        self.in_range("enrich.priority", enrich.priority, 0, 1000)
        self.in_range("enrich.variables", len(enrich.variables), 0, MAX_FIELDS)
        self.unique("enrich.variables", [row.name for row in enrich.variables])
        prefix = self.manifest.id.replace("-", "_") + "_"
        for row in enrich.variables:
            if not (row.name.startswith(prefix) and _VARIABLE.fullmatch(row.name)):
                raise self.refuse("enrich.variables", f"{row.name!r} does not begin with {prefix!r}", "rename it")
            if prefix.split("_")[0] in _KFL_FAMILIES:
                raise self.refuse(
                    "enrich.variables", f"{row.name!r} begins with a word of KFL's own variables", "rename the plugin"
                )

    def check_jobs(self) -> None:
        jobs = self.manifest.jobs
        self.in_range("jobs", len(jobs), 0, MAX_JOBS)
        self.unique("jobs", [row.name for row in jobs])
        for index, row in enumerate(jobs):
            if not _VARIABLE.fullmatch(row.name):
                raise self.refuse(f"jobs[{index}].name", f"{row.name!r} is not a name")
            if len(row.cron.split()) != 6:
                raise self.refuse(
                    f"jobs[{index}].cron", f"{row.cron!r} has not six fields", 'write "0 */5 * * * *": second first'
                )

    def check_settings(self) -> None:
        settings = self.manifest.settings
        self.in_range("settings", len(settings), 0, MAX_SETTINGS)
        self.unique("settings", [row.name for row in settings])
        for index, row in enumerate(settings):
            if not _VARIABLE.fullmatch(row.name):
                raise self.refuse(f"settings[{index}].name", f"{row.name!r} is not a name")
            if row.default is not None:
                try:
                    check_settings(self.manifest.setting_specs[index : index + 1], {row.name: row.default})
                except UsageError as error:
                    raise self.refuse(f"settings[{index}].default", error.message) from error

    def check_permissions(self) -> None:
        for kind in ("hosts", "paths", "env"):
            texts: list[str] = getattr(self.manifest.permissions, kind)
            self.in_range(f"permissions.{kind}", len(texts), 0, MAX_PERMISSIONS)
            for text in texts:
                try:
                    check_grant(kind, text)
                except ValueError as error:
                    raise self.refuse(f"permissions.{kind}", f"{text!r} {error}") from error
