"""Writes the parts of the SDKs, and the manifest's JSON Schema, that are made from the hook specifications.

python scripts/generate_sdk.py            write them
python scripts/generate_sdk.py --check    exit 1 if one is stale

A hook's name, number, shape and text come from extension_api/_hookspecs.py, those of services from _services.py; how
they are spelt in each language is said here, once.
"""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import wasmtime

from kubeshark.extension_api import HOOKS, Hook
from kubeshark.extension_api._frame import REQUEST_BYTES, RESULT_BYTES
from kubeshark.extension_api._manifest import Manifest
from kubeshark.extension_api._services import SERVICE_HOOKS, SERVICES

ROOT = Path(__file__).resolve().parents[1]
SDK = ROOT / "extension_api" / "sdk"
NOTE = "Made by scripts/generate_sdk.py from extension_api/_hookspecs.py: change it there."
ORDER = ("probe", "dissect", "filter", "render")
"""First in C's table of hooks, which plugins may initialise by position."""


@dataclass(frozen=True)
class Spelling:
    """One hook in the languages of the SDKs."""

    c: str  # member of ks_plugin_hooks
    c_note: str
    cpp_call: str  # the class's static member function, and its arguments
    cpp_wrapper: str  # the function in the table, around it
    go_interface: str
    go_method: str
    go_note: str
    typescript: str
    typescript_note: str
    javascript: str = ""  # name of the callback, where it is not the hook's
    go_also: str = ""  # another interface that answers the hook, declared by hand


_ITEM = "std::declval<const Item &>()"
_VALUES = "std::declval<const ks_values &>()"


def _report(name: str, go: str) -> Spelling:
    """`start` and `stop`."""
    return Spelling(
        f"void (*{name})(ks_report *out)",
        "",
        f"{name}(std::declval<ks_report &>())",
        f"static void call_{name}(ks_report *out) noexcept {{ P::{name}(*out); }}",
        go,
        f"{name.capitalize()}(out *Report)",
        "",
        f"{name}?(out: Report): void",
        "",
    )


SPELLINGS: dict[str, Spelling] = {
    "packet_filter": Spelling(
        "ks_packet_verdict (*packet_filter)(const ks_packet *packet)",
        "",
        "packet_filter(std::declval<const ks_packet &>())",
        "static ks_packet_verdict call_packet_filter(const ks_packet *packet) noexcept {"
        " return P::packet_filter(*packet); }",
        "PacketFilterer",
        "FilterPacket(packet *Packet) PacketVerdict",
        "",
        'packetFilter?(packet: Packet): "keep" | "drop" | "mark"',
        "",
        "packetFilter",
    ),
    "segment_sealed": Spelling(
        "void (*segment_sealed)(const ks_segment *segment, ks_report *out)",
        "",
        "segment_sealed(std::declval<const ks_segment &>(), std::declval<ks_report &>())",
        "static void call_segment_sealed(const ks_segment *segment, ks_report *out) noexcept {"
        " P::segment_sealed(*segment, *out); }",
        "SegmentSealer",
        "SegmentSealed(segment *Segment, out *Report)",
        "",
        "segmentSealed?(segment: Segment, out: Report): void",
        "",
        "segmentSealed",
    ),
    "probe": Spelling(
        "ks_verdict (*probe)(const ks_item *item)",
        "At most 512 bytes of a side, or the first datagram.",
        f"probe({_ITEM})",
        "static ks_verdict call_probe(const ks_item *item) noexcept { return P::probe(Item{*item}); }",
        "Prober",
        "Probe(item *Item) Verdict",
        "Probe sees at most the first 512 bytes of one side of a stream.",
        'probe?(item: Item): boolean | "more"',
        'Sees at most the first 512 bytes of one side. "more" asks again with more.',
    ),
    "dissect": Spelling(
        "uint32_t (*dissect)(const ks_item *item, ks_writer *out)",
        "Returns the bytes consumed.",
        f"dissect({_ITEM}, std::declval<Writer &>())",
        """static uint32_t call_dissect(const ks_item *item, ks_writer *out) noexcept {
        Writer writer(out);
        return P::dissect(Item{*item}, writer);
    }""",
        "Dissector",
        "Dissect(item *Item, out *Messages) (consumed int)",
        "Dissect adds the messages that are complete in item.Data and returns how many bytes they took. The rest\n"
        "comes again with more behind it, until item.Last(): then nothing more comes, and what is left is lost or\n"
        "truncated. A datagram is an item of its own.",
        "dissect?(item: Item, out: Output): number",
        "Report the messages that are complete in `item.bytes` and return how many bytes they took. The rest comes\n"
        "again with more behind it, until `item.last`: then nothing more comes, and what is left is lost or truncated.",
    ),
    "enrich": Spelling(
        "void (*enrich)(const ks_values *values, ks_enrichment *out)",
        "`values`: the variables that the manifest says it reads.",
        f"enrich({_VALUES}, std::declval<Enrichment &>())",
        """static void call_enrich(const ks_values *values, ks_enrichment *out) noexcept {
        Enrichment enrichment(out);
        P::enrich(*values, enrichment);
    }""",
        "Enricher",
        "Enrich(values Values, out *Enrichment)",
        "Enrich gets the variables that [enrich] of plugin.toml reads, in order.",
        "enrich?(out: Enrichment, ...reads: any[]): void",
        "`reads`: the variables that [enrich] of plugin.toml names, in order.",
    ),
    "filter": Spelling(
        "ks_truth (*filter)(uint32_t filter, const ks_values *values)",
        "`filter`: its position in plugin.toml.",
        f"filter(0u, {_VALUES})",
        "static ks_truth call_filter(uint32_t index, const ks_values *values) noexcept {"
        " return P::filter(index, *values); }",
        "Filterer",
        "Filter(filter Filter, values Values) (bool, error)",
        "Filter gets the call's arguments, then the variables that the filter reads, as plugin.toml orders them. An\n"
        "error marks the entry as not decided.",
        "filters?: Record<string, (arguments: any[], ...reads: any[]) => boolean>",
        "One function for each filter: the call's arguments, then the variables that the filter `reads`, in order.",
        "filters",
    ),
    "summarize": Spelling(
        "bool (*summarize)(const ks_values *values, ks_cells *out)",
        "`values`: the variables that the manifest says it reads. false: not mine.",
        f"summarize({_VALUES}, std::declval<ks_cells &>())",
        "static bool call_summarize(const ks_values *values, ks_cells *out) noexcept {"
        " return P::summarize(*values, *out); }",
        "Summarizer",
        "Summarize(values Values, out *Cells) bool",
        "Summarize gets the variables that [summarize] of plugin.toml reads, in order; false: not mine.",
        "summarize?(...reads: any[]): Cells | null",
        "`reads`: the variables that [summarize] of plugin.toml names, in order.",
    ),
    "render": Spelling(
        "bool (*render)(const ks_item *request, const ks_item *response, ks_render *out)",
        "false: not mine.",
        f"render({_ITEM}, {_ITEM}, std::declval<ks_render &>())",
        """static bool call_render(const ks_item *request, const ks_item *response, ks_render *out) noexcept {
        return P::render(Item{*request}, Item{*response}, *out);
    }""",
        "Renderer",
        "Render(request, response []byte) *Representation",
        'Render gets the bytes of both halves as they were on the wire; a missing half is empty. nil means "not\n'
        'mine". An [ItemRenderer] also gets their times.',
        "render?(request: Item, response: Item): Representation | null",
        "From the bytes of both halves, and when each began; a missing one is empty.",
        go_also="ItemRenderer",
    ),
    "job": Spelling(
        "void (*job)(uint32_t job, int64_t due_ns, ks_report *out)",
        "`job`: its position in plugin.toml.",
        "job(0u, int64_t{}, std::declval<ks_report &>())",
        "static void call_job(uint32_t index, int64_t due_ns, ks_report *out) noexcept {"
        " P::job(index, due_ns, *out); }",
        "Worker",
        "Work(job Job, dueNS int64, out *Report)",
        "",
        "jobs?: Record<string, (due: bigint, out: Report) => void>",
        "One function for each job; `due` is when it should have begun, in nanoseconds since 1970.",
        "jobs",
    ),
    "configure": Spelling(
        "void (*configure)(const ks_values *settings, ks_report *out)",
        "`settings`: their values, in the order of plugin.toml.",
        f"configure({_VALUES}, std::declval<ks_report &>())",
        "static void call_configure(const ks_values *settings, ks_report *out) noexcept {"
        " P::configure(*settings, *out); }",
        "Configurer",
        "Configure(settings Values, out *Report)",
        "Configure gets the values of the settings, in the order of plugin.toml.",
        "configure?(settings: Record<string, any>, out: Report): void",
        "",
    ),
    "start": _report("start", "Starter"),
    "stop": _report("stop", "Stopper"),
}

FOREIGN = sorted((hook for hook in HOOKS if hook.number), key=lambda hook: hook.number)


def text_of(hook: type[Hook], note: str = "", *, refusal: str = "out.refuse") -> list[str]:
    """Return the lines of a hook's reference text, for a comment."""
    lines = (inspect.getdoc(hook) or "").splitlines()
    lines = [line.replace("raise ValueError to refuse them", f"{refusal} refuses them") for line in lines]
    return [*lines, *(["", *note.splitlines()] if note else [])]


def c_hooks() -> str:
    """Return kubeshark_hooks.h."""
    named = {hook.name: hook for hook in FOREIGN}
    ordered = [named[name] for name in ORDER] + [hook for hook in FOREIGN if hook.name not in ORDER]
    lines = [f"/* {NOTE} */", "#ifndef KUBESHARK_HOOKS_H", "#define KUBESHARK_HOOKS_H", ""]
    lines.append("enum {")
    lines += [f"    KS_HOOK_{hook.name.upper()} = {hook.number}," for hook in FOREIGN]
    lines += ["};", "", "typedef struct {"]
    for hook in ordered:
        spelling = SPELLINGS[hook.name]
        comment = [*text_of(hook, spelling.c_note, refusal="ks_refuse")]
        lines.append(f"    /* {comment[0]}")
        lines += [f"     * {line}".rstrip() for line in comment[1:]]
        lines[-1] += " */"
        lines.append(f"    {spelling.c};")
    lines += ["} ks_plugin_hooks;", "", "static inline uint32_t ks_hook_bits(const ks_plugin_hooks *hooks) {"]
    terms = [f"(hooks->{hook.name} ? 1u << KS_HOOK_{hook.name.upper()} : 0)" for hook in FOREIGN]
    lines += ["    return " + " |\n           ".join(terms) + ";", "}", "", "#endif", ""]
    return "\n".join(lines)


def cpp_hooks() -> str:
    """Return the block of kubeshark_plugin.hpp that finds the hooks of a class."""
    lines = ["template <class P> struct Hooks {"]
    for hook in FOREIGN:
        call = SPELLINGS[hook.name].cpp_call
        lines.append(
            f"    template <class Q> static auto has_{hook.name}(int) -> decltype(Q::{call}, std::true_type{{}});"
        )
        lines.append(f"    template <class Q> static std::false_type has_{hook.name}(...);")
    lines += [
        "",
        "    // noexcept: an exception may not cross into C. std::terminate ends the process, and the host finds",
    ]
    lines += ["    // the item."]
    lines += [f"    {SPELLINGS[hook.name].cpp_wrapper}" for hook in FOREIGN]
    lines += ["", "    static constexpr ks_plugin_hooks table() {", "        ks_plugin_hooks hooks{};"]
    lines += [
        f"        if constexpr (decltype(has_{hook.name}<P>(0))::value) hooks.{hook.name} = call_{hook.name};"
        for hook in FOREIGN
    ]
    lines += ["        return hooks;", "    }", "};", ""]
    return "\n".join(lines)


def go_hooks() -> str:
    """Return hooks_gen.go."""
    lines = [
        "// Code generated by scripts/generate_sdk.py from extension_api/_hookspecs.py; DO NOT EDIT.",
        "",
        "package plugin",
        "",
    ]
    lines += ["// Hook numbers of the batch ABI (docs/adr/0003-batch-abi.md).", "const ("]
    names = {hook.name: "hook" + "".join(part.capitalize() for part in hook.name.split("_")) for hook in FOREIGN}
    width = max(map(len, names.values()))
    lines += [f"\t{names[hook.name]:<{width}} = {hook.number}" for hook in FOREIGN]
    lines += [")", ""]
    for hook in FOREIGN:
        spelling = SPELLINGS[hook.name]
        text = text_of(hook, refusal="out.Refuse")
        lines.append(f"// {spelling.go_interface}: {text[0][0].lower()}{text[0][1:]}")
        lines += [f"// {line}".rstrip() for line in text[1:]]
        lines.append(f"type {spelling.go_interface} interface {{")
        lines += [f"\t// {line}" for line in spelling.go_note.splitlines()]
        lines += [f"\t{spelling.go_method}", "}", ""]
    lines += ["func hooks() uint32 {", "\tvar bits uint32"]
    for hook in FOREIGN:
        spelling = SPELLINGS[hook.name]
        for interface in filter(None, (spelling.go_interface, spelling.go_also)):
            lines += [f"\tif _, ok := registered.({interface}); ok {{", f"\t\tbits |= 1 << {names[hook.name]}", "\t}"]
    lines += ["\treturn bits", "}", ""]
    return "\n".join(lines)


def typescript_hooks() -> str:
    """Return the interface Callbacks of kubeshark.d.ts."""
    lines = ["  interface Callbacks {"]
    for hook in FOREIGN:
        spelling = SPELLINGS[hook.name]
        lines.append("    /**")
        lines += [f"     * {line}".rstrip() for line in text_of(hook, spelling.typescript_note)]
        lines += ["     */", f"    {spelling.typescript};"]
    return "\n".join([*lines, "  }", ""])


def javascript_hooks() -> str:
    """Return the table of callbacks of prelude.js."""
    lines = ["  const NUMBERS = {"]
    lines += [f"    {SPELLINGS[hook.name].javascript or hook.name}: {hook.number}," for hook in FOREIGN]
    return "\n".join([*lines, "  };", ""])


def javascript_frame() -> str:
    """Return where the two halves of a frame lie in prelude.js's memory, and find.wat assembled."""
    code = wasmtime.wat2wasm((SDK / "js" / "find.wat").read_text("utf-8"))
    return (
        f"  const REQUEST_BYTES = {REQUEST_BYTES}, RESULT_BYTES = {RESULT_BYTES};\n"
        f'  const FIND = "{bytes(code).hex()}"; // find.wat\n'
    )


def _flush(schema: Any) -> Any:
    """Take the indentation of docstrings out of descriptions: some versions of msgspec leave it in."""
    if isinstance(schema, dict):
        flush = {name: _flush(value) for name, value in schema.items()}
        text = flush.get("description")
        return flush | {"description": inspect.cleandoc(text)} if isinstance(text, str) else flush
    return [_flush(each) for each in schema] if isinstance(schema, list) else schema


def manifest_schema() -> str:
    """Return the JSON Schema of plugin.toml, for editors that check TOML."""
    schema = _flush(msgspec.json.schema(Manifest))
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "plugin.toml", **schema}
    return json.dumps(schema, indent=1) + "\n"


def camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


def javascript_services() -> str:
    """Return the table of services of prelude.js."""
    names = [SPELLINGS[name].javascript or name for name in SERVICE_HOOKS]
    lines = [f'  const SERVICE_HOOKS = "{", ".join(names)}";', "  const SERVICES = {"]
    lines += [f'    {camel(service.name)}: ["{service.name}", "{service.returns}"],' for service in SERVICES]
    return "\n".join([*lines, "  };", ""])


TYPESCRIPT = {"text": "string", "bytes": "string | Uint8Array"}
TYPESCRIPT_RETURNS = {"nothing": "void", "bytes": "Uint8Array", "entries": "FileEntry[]", "response": "HttpResponse"}


def typescript_services() -> str:
    """Return the functions of kubeshark.d.ts that ask for a service."""
    lines = []
    for service in SERVICES:
        given = ", ".join(f"{each.name}: {TYPESCRIPT[each.type]}" for each in service.parameters)
        if service.name == "http":
            given = "request: HttpRequest"
        lines.append(f"  /** {service.text} */")
        lines.append(f"  function {camel(service.name)}({given}): {TYPESCRIPT_RETURNS[service.returns]};")
    return "\n".join([*lines, ""])


C_TYPES = {"text": "const char *", "bytes": "ks_bytes "}
C_RETURNS = {
    "nothing": "",
    "bytes": " Part 0: the bytes.",
    "entries": " Three parts each.",
    "response": " Parts: status, reason, URL, header lines, body.",
}


def c_services() -> str:
    """Return kubeshark_services.h."""
    note = NOTE.replace("_hookspecs", "_services")
    lines = [f"/* {note} */", "#ifndef KUBESHARK_SERVICES_H", "#define KUBESHARK_SERVICES_H", ""]
    for service in SERVICES:
        given = "".join(f", {C_TYPES[each.type]}{each.name}" for each in service.parameters)
        parts = [f'ks_literal("{service.name}")']
        parts += [each.name if each.type == "bytes" else f"ks_literal({each.name})" for each in service.parameters]
        lines += [
            f"/* {service.text}{C_RETURNS[service.returns]} */",
            f"static inline bool ks_{service.name}(ks_answer *out{given}) {{",
            f"    ks_bytes parts[{len(parts)}];",
            *(f"    parts[{index}] = {part};" for index, part in enumerate(parts)),
            f"    return ks_ask(out, parts, {len(parts)});",
            "}",
            "",
        ]
    return "\n".join([*lines, "#endif", ""])


GO_TYPES = {"text": "string", "bytes": "[]byte"}
GO_RETURNS = {
    "nothing": ("error", "_, err := ask(%s)\n\treturn err"),
    "bytes": ("([]byte, error)", "return onePart(ask(%s))"),
    "entries": ("([]FileEntry, error)", "return entriesOf(ask(%s))"),
    "response": ("(*HTTPResponse, error)", "return responseOf(ask(%s))"),
}


def go_services() -> str:
    """Return services_gen.go."""
    lines = ["// Code generated by scripts/generate_sdk.py from extension_api/_services.py; DO NOT EDIT."]
    lines += ["", "package plugin", ""]
    for service in SERVICES:
        name = "HTTP" if service.name == "http" else "".join(part.capitalize() for part in service.name.split("_"))
        given = ", ".join(f"{each.name} {GO_TYPES[each.type]}" for each in service.parameters)
        parts = [f'"{service.name}"']
        parts += [each.name if each.type == "bytes" else f"[]byte({each.name})" for each in service.parameters]
        result, body = GO_RETURNS[service.returns]
        lines += [
            f"// {name}: {service.text[0].lower()}{service.text[1:]}",
            f"func {name}({given}) {result} {{",
            "\t" + body % ", ".join(parts),
            "}",
            "",
        ]
    return "\n".join(lines)


BEGIN, END = "made by scripts/generate_sdk.py: begin", "made by scripts/generate_sdk.py: end"


def within(path: Path, **blocks: str) -> str:
    """Return the text of a file with what stands between the two marks of each block replaced."""
    text = path.read_text("utf-8")
    for name, block in blocks.items():
        begin, end = rf"^.*{re.escape(BEGIN)} {name}\b.*\n", rf"^.*{re.escape(END)} {name}\b.*$"
        found = re.search(rf"{begin}(?P<old>(?:.*\n)*?){end}", text, re.MULTILINE)
        if found is None:
            raise SystemExit(f"{path} lacks the marks {BEGIN!r} and {END!r} of {name}")
        text = text[: found.start("old")] + block + text[found.end("old") :]
    return text


PARTS: dict[str, Callable[[Path], str]] = {
    "extension_api/sdk/c/kubeshark_hooks.h": lambda _: c_hooks(),
    "extension_api/sdk/c/kubeshark_plugin.hpp": lambda path: within(path, hooks=cpp_hooks()),
    "extension_api/sdk/c/kubeshark_services.h": lambda _: c_services(),
    "extension_api/sdk/go/services_gen.go": lambda _: go_services(),
    "extension_api/sdk/go/hooks_gen.go": lambda _: go_hooks(),
    "extension_api/sdk/js/kubeshark.d.ts": lambda path: within(
        path, hooks=typescript_hooks(), services=typescript_services()
    ),
    "extension_api/sdk/js/prelude.js": lambda path: within(
        path, hooks=javascript_hooks(), services=javascript_services(), frame=javascript_frame()
    ),
    "extension_api/sdk/plugin.schema.json": lambda _: manifest_schema(),
}


def main() -> int:
    stale = []
    for name, build in PARTS.items():
        path = ROOT / name
        text = build(path)
        if "--check" in sys.argv:
            stale += [name] if not path.is_file() or path.read_text("utf-8") != text else []
        else:
            path.write_text(text, "utf-8")
    if stale:
        print(f"stale: {', '.join(stale)}: run make docs")
    return bool(stale)


if __name__ == "__main__":
    sys.exit(main())
