"""plugin.toml: what is accepted, and what each mistake is told."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeshark.errors import PluginRejected
from kubeshark.extension_api._manifest import parse_manifest, read_manifest, version_key

GOOD = """
id = "demo"
version = "1.2.0"
abi = 1
language = "c"
entry = "build/demo.so"
hooks = ["probe", "dissect", "filter", "render"]

[protocol]
name = "demo"
abbr = "DEMO"
long_name = "Demonstration"
ports = [7007]
transports = ["tcp", "udp"]
matcher = "key"

[[classifiers]]
transport = "tcp"
ports = [7007]

[[classifiers]]
transport = "tcp"
offset = 2
prefix_hex = "00 ff"
side = "client"

[[fields]]
name = "verb"
type = "string"
variable = "demo_verb"

[[fields]]
name = "body"
type = "bytes"

[[filters]]
name = "is_demo"
parameters = ["string"]
reads = ["demo_verb"]

[limits]
batch_ms = 200
"""


def test_a_manifest_becomes_what_the_pipeline_registers() -> None:
    manifest = parse_manifest(GOOD.encode())
    spec = manifest.protocol_spec
    assert spec is not None
    assert spec.transports == ("tcp", "udp")
    assert (spec.name, spec.layer4, spec.matcher, spec.variables) == ("demo", "tcp", "key", {"demo_verb": "string"})
    assert [(row.ports, row.offset, row.prefix) for row in spec.classifiers] == [((7007,), 0, b""), ((), 2, b"\0\xff")]
    assert manifest.hook_bits == 1 << 3 | 1 << 4 | 1 << 6 | 1 << 8
    assert manifest.field_types == ("string", "bytes")
    assert [spec.reads for spec in manifest.filter_specs] == [("demo_verb",)]
    assert (manifest.label, manifest.limits.batch_ms, bool(manifest.permissions)) == ("demo@1.2.0", 200, False)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('id = "demo"', 'id = "../x"', "id: '../x' is not an id"),
        ('id = "demo"', "", "missing required field `id`"),
        ('version = "1.2.0"', 'version = "1.2"', "version: '1.2' is not a version"),
        ('version = "1.2.0"', 'version = "1.2.0/../x"', "is not a version"),
        ("abi = 1", "abi = 2", "abi: it is made for ABI 2, and this kubeshark has 1: use a newer kubeshark"),
        ("abi = 1", 'abi = "1"', "abi: Expected `int`, got `str`"),
        ('"c"', '"rust"', "language: 'rust' is not known here"),
        ("build/demo.so", "../demo.so", "leaves the folder"),
        ("build/demo.so", "/etc/passwd", "leaves the folder"),
        ("build/demo.so", "build//./demo.so", "leaves the folder"),
        ("build/demo.so", r"build\\demo.so", "leaves the folder"),
        ("build/demo.so", "", "leaves the folder"),
        ("build/demo.so", "-o", "leaves the folder"),
        ("build/demo.so", "demo.ts", 'is TypeScript, which is bundled first: write source = "demo.ts" and entry'),
        ("abi = 1", 'abi = 1\nsource = "demo.c"', "source: is for JavaScript and TypeScript"),
        ("abi = 1", 'abi = 1\nsource = "../demo.ts"', "source: '../demo.ts' leaves the folder"),
        ('"render"]', '"job"]', "jobs: the job hook and [jobs] go together"),
        ('"render"]', '"paint"]', "hooks"),
        ('"render"]', '"enrich"]', "enrich: the enrich hook and [enrich] go together"),
        ('"render"]', '"configure"]', "settings: the configure hook and [settings] go together"),
        ('["probe", "dissect", "filter", "render"]', "[]", "hooks: is empty"),
        ('["probe", "dissect", "filter", "render"]', '["filter", "render"]', "has no dissect"),
        ('"filter", ', "", "go together"),
        ('name = "demo"\nabbr', 'name = "http"\nabbr', "begins with a word of KFL's own variables"),
        ('name = "demo"\nabbr', 'name = "tcp_x"\nabbr', "begins with a word of KFL's own variables"),
        ('name = "demo"\nabbr', 'name = "package"\nabbr', "reserved word of KFL"),
        ('name = "demo"\nabbr', 'name = "Demo"\nabbr', "is not a name"),
        ("ports = [7007]\ntrans", "ports = [70000]\ntrans", "protocol.ports: 70000 is not between 1 and 65535"),
        ('["tcp", "udp"]', "[]", "protocol.transports: is empty"),
        ("offset = 2", "offset = -1", "classifiers[1].offset"),
        ('"00 ff"', '"zz"', "classifiers[1].prefix_hex: is not hexadecimal"),
        ('prefix_hex = "00 ff"', "", "classifiers[1]: matches everything"),
        ('"demo_verb"\n\n[[fields', '"verb"\n\n[[fields', "does not begin with 'demo_'"),
        ('name = "body"', 'name = "verb"', "'verb' appears more than once"),
        ('name = "is_demo"', 'name = "size"', "reserved word"),
        ('name = "is_demo"', 'name = "protocol"', "is a variable of KFL"),
        ('name = "is_demo"', 'name = "demo"', "is a variable of KFL"),
        ("batch_ms = 200", "batch_ms = 0", "limits.batch_ms: 0 is not between"),
        ("batch_ms = 200", "cpu = 1", "unknown field `cpu`"),
        ("[limits]", "[limits", "is not TOML"),
    ],
)
def test_a_mistake_names_file_and_key(old: str, new: str, message: str) -> None:
    assert old in GOOD
    with pytest.raises(PluginRejected) as caught:
        parse_manifest(GOOD.replace(old, new).encode(), file="x/plugin.toml", plugin="x")
    assert message in str(caught.value)
    assert "x/plugin.toml" in str(caught.value)


def test_a_folder_without_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PluginRejected, match=r"a plugin is a folder with a plugin\.toml"):
        read_manifest(tmp_path)
    (tmp_path / "plugin.toml").write_bytes(b" " * (300 << 10))
    with pytest.raises(PluginRejected, match="is larger than"):
        read_manifest(tmp_path)


@given(st.binary(max_size=200))
def test_arbitrary_bytes_raise_nothing_but_plugin_rejected(data: bytes) -> None:
    with pytest.raises(PluginRejected):
        parse_manifest(data)


@given(st.text(max_size=60))
def test_arbitrary_entries_stay_inside_the_folder(entry: str) -> None:
    text = GOOD.replace("build/demo.so", "".join(f"\\U{ord(c):08x}" for c in entry if not 0xD800 <= ord(c) < 0xE000))
    try:
        manifest = parse_manifest(text.encode())
    except PluginRejected:
        return
    root = Path("/root-of-plugin")
    assert (root / manifest.entry).is_relative_to(root)
    assert ".." not in manifest.entry.split("/")


def test_versions_are_ordered_as_semver_orders_them() -> None:
    ordered = [
        "0.9.9",
        "1.0.0-alpha",
        "1.0.0-alpha.1",
        "1.0.0-beta",
        "1.0.0-beta.2",
        "1.0.0-beta.11",
        "1.0.0",
        "1.0.10",
    ]
    assert sorted(random.Random(7).sample(ordered, 8), key=version_key) == ordered
    with pytest.raises(ValueError, match="is not a version"):
        version_key("1.0")


MORE = """
id = "mask-it"
version = "1.0.0"
abi = 1
language = "js"
entry = "mask.js"
hooks = ["enrich", "job", "configure", "summarize"]
[enrich]
reads = ["url", "document"]
protocols = ["http"]
priority = 5
on_failure = "keep"
[[enrich.variables]]
name = "mask_it_count"
type = "int"
[summarize]
reads = ["url"]
[[jobs]]
name = "tidy"
cron = "0 */5 * * * *"
[[settings]]
name = "word"
default = "x"
choices = ["x", "y"]
secret = true
"""


def test_what_the_other_hooks_declare() -> None:
    manifest = parse_manifest(MORE.encode())
    spec = manifest.enrich_spec
    assert (spec.reads, dict(spec.variables), spec.protocols) == (
        ("url", "document"),
        {"mask_it_count": "int"},
        ("http",),
    )
    assert (spec.priority, spec.on_failure) == (5, "keep")
    assert [(job.name, job.cron) for job in manifest.job_specs] == [("tidy", "0 */5 * * * *")]
    (setting,) = manifest.setting_specs
    assert (setting.name, setting.default, setting.choices, setting.secret) == ("word", "x", ("x", "y"), True)
    assert manifest.hook_bits == 1 << 5 | 1 << 9 | 1 << 10 | 1 << 7


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("mask_it_count", "count", "enrich.variables: 'count' does not begin with 'mask_it_'"),
        ('"mask-it"', '"http-mask"', "does not begin with 'http_mask_'"),
        ("priority = 5", "priority = 5000", "enrich.priority: 5000 is not between"),
        ('"keep"', '"ignore"', "enrich.on_failure"),
        ('"url", "document"', '"url", "url"', "enrich.reads: 'url' appears more than once"),
        ('"0 */5 * * * *"', '"*/5 * * * *"', "jobs[0].cron: '*/5 * * * *' has not six fields"),
        ('"tidy"', '"tidy up"', "jobs[0].name: 'tidy up' is not a name"),
        ('default = "x"', 'default = "z"', "settings[0].default: setting word: '***' is none of x, y"),
        ('default = "x"', "default = 3", "settings[0].default: setting word: 3 is not of type string"),
        ('"enrich", ', "", "enrich: the enrich hook and [enrich] go together"),
        (', "summarize"', "", "summarize: there is no summarize hook"),
    ],
)
def test_mistakes_in_what_the_other_hooks_declare(old: str, new: str, message: str) -> None:
    assert old in MORE
    with pytest.raises(PluginRejected) as caught:
        parse_manifest(MORE.replace(old, new).encode())
    assert message in str(caught.value)
