"""The reader of plain filters against CEL: the same tree, or none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeshark.pipeline.kfl import KflError, compile_filter, plain_pushdown
from kubeshark.pipeline.kfl._ast import Call, Node
from kubeshark.pipeline.kfl._check import check
from kubeshark.pipeline.kfl._plain import plain_tree
from kubeshark.pipeline.kfl._source import Source
from kubeshark.pipeline.kfl._variables import VARIABLES

NOW_NS = 1_773_525_900 * 10**9

strings = st.sampled_from(['""', '"a"', "'it'", '"10.0.0.1"', '"10.0.0.0/8"', "'say \"x\"'", '"tcp"', '"&& || ( !"'])
numbers = st.integers(-(10**18) + 1, 10**18 - 1).map(str) | st.sampled_from(["0", "-0", "53", "443"])
operators = st.sampled_from(["==", "!=", "<", "<=", ">", ">="])
methods = st.sampled_from(["startsWith", "endsWith", "contains", "inCidr"])
spaces = st.sampled_from(["", " ", "  ", "\n", "\t "])
names = {
    kind: st.sampled_from([name for name, variable in VARIABLES.items() if variable.type == kind][:40])
    for kind in ("string", "int", "bool")
}


def spaced(*parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.tuples(*(part for each in parts for part in (each, spaces))).map("".join)


conditions = st.one_of(
    names["bool"],
    spaced(names["string"], operators, strings),
    spaced(names["int"], operators, numbers),
    st.tuples(names["string"], methods, strings).map(lambda parts: f"{parts[0]}.{parts[1]}({parts[2]})"),
)
plain = st.recursive(
    conditions,
    lambda inner: st.one_of(
        spaced(inner, st.sampled_from(["&&", "||"]), inner),
        spaced(st.just("("), inner, st.just(")")),
        spaced(st.just("!("), inner, st.just(")")),
        names["bool"].map("!{}".format),
    ),
    max_leaves=12,
)
pieces = st.sampled_from(
    [
        "http",
        "src.ip",
        "src.port",
        "nope",
        "&&",
        "||",
        "!",
        "==",
        "<",
        "(",
        ")",
        '"a"',
        "'",
        '"',
        "5",
        "-5",
        "05",
        "5u",
        "0x1f",
        "1.5",
        "1e3",
        ".",
        ",",
        "[",
        "]",
        "in",
        "true",
        "//x",
        "\\",
        "é",
        "-",
        "_",
        "\n",
        " ",
        "path.contains(",
    ]
)


def by_cel(text: str) -> Node:
    return check(Source.of(text), VARIABLES, {})


def without_chain_places(node: Node) -> Node:
    if not isinstance(node, Call):
        return node
    place = 0 if node.function in ("_&&_", "_||_") else node.at
    return Call(node.function, tuple(map(without_chain_places, node.args)), node.type, place)


@given(plain)
def test_plain_filters_are_read_as_cel_reads_them(text: str) -> None:
    tree = plain_tree(text, VARIABLES)
    assert tree is not None
    assert without_chain_places(tree) == without_chain_places(by_cel(text))


@given(st.lists(pieces, max_size=12).map("".join) | st.text(max_size=20))
def test_whatever_is_read_is_what_cel_reads(text: str) -> None:
    tree = plain_tree(text, VARIABLES)
    if tree is not None:
        assert without_chain_places(tree) == without_chain_places(by_cel(text))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "src.ip",
        "http &&",
        "(http",
        "http)",
        "!!http",
        "!path == 'a'",
        "src.port == 05",
        'path == "\\n"',
        'path == "é"',
        "http == true",
        "path == 5",
        "src.port == 'a'",
        "1 < src.port",
        "nope",
        "tls && // x",
        "https",
        "is_bot()",
        "path.matches('a')",
        "tags.contains('a')",
        "http ? dns : tls",
        "path == 'a' == 'b'",
    ],
)
def test_what_is_not_plain_is_left_to_cel(text: str) -> None:
    assert plain_tree(text, VARIABLES) is None


def test_long_and_deep_filters_are_left_to_cel() -> None:
    assert plain_tree("(" * 9 + "http" + ")" * 9, VARIABLES) is None
    assert plain_tree("http && " * 500 + "http", VARIABLES) is None


@given(plain)
def test_the_index_is_told_the_same(text: str) -> None:
    try:
        told = compile_filter(text, now_ns=NOW_NS, macros={"other": "http"}).pushdown  # macros: this asks CEL
    except KflError:
        assert plain_pushdown(text) is None or "inCidr" in text
    else:
        assert plain_pushdown(text) == told


def test_errors_keep_their_place() -> None:
    with pytest.raises(KflError) as raised:
        compile_filter('http && src.ip.inCidr("10.0.0.0/33")', now_ns=NOW_NS)
    assert (raised.value.line, raised.value.column) == (1, 23)
