"""The table of variables."""

from __future__ import annotations

import pytest

from kubeshark.errors import UsageError
from kubeshark.extension_api._models import FilterSpec
from kubeshark.pipeline.kfl import FLAGS, VARIABLES, Variables, compile_filter
from kubeshark.pipeline.kfl._signatures import STANDARD_FUNCTIONS, TYPES
from kubeshark.pipeline.kfl._variables import RESERVED_WORDS


def test_names_are_declared_once_and_can_be_written() -> None:
    assert len(VARIABLES) == 352
    for name in VARIABLES:
        assert all(part.isidentifier() for part in name.split("."))
        assert name not in RESERVED_WORDS


def test_defaults_are_those_of_the_type() -> None:
    assert VARIABLES["grpc_status"].default == -1
    assert VARIABLES["method"].default == ""
    assert VARIABLES["dns_questions"].default == []
    assert VARIABLES["tags"].default is not VARIABLES["tags"].default
    for variable in VARIABLES.values():
        assert variable.type in TYPES


def test_every_variable_compiles() -> None:
    literals = {"string": '""', "int": "0", "double": "0.0", "bool": "false", "bytes": "b''"}
    literals |= {"list": "[]", "map": "{}", "timestamp": "now()"}
    for name, variable in VARIABLES.items():
        kfl = compile_filter(f"{name} == {literals[variable.type]}", now_ns=0)
        assert kfl.variables == {name}
        assert bool(kfl.heavy) is variable.is_heavy


def test_flags() -> None:
    assert {"http", "tls", "tlsx", "conn", "udp_flow", "quic"} <= FLAGS
    assert all(VARIABLES[name].type == "bool" for name in FLAGS)


def test_a_plugin_adds_variables() -> None:
    more = VARIABLES.with_plugin("tftp", "bool", section="flags").with_plugin("tftp_file", "string")
    assert "tftp_file" not in VARIABLES
    assert compile_filter('tftp && tftp_file == "x"', now_ns=0, variables=more).variables == {"tftp", "tftp_file"}
    assert not compile_filter("tftp", now_ns=0, variables=more).wants_conn
    assert more.with_plugin("tftp_file", "string") is more
    assert more == Variables(tuple(more.values()))
    with pytest.raises(UsageError, match="tftp_file is string"):
        more.with_plugin("tftp_file", "int")


@pytest.mark.parametrize("name", ["1a", "a b", "a-b", "", "a..b", "true", "in", "é", "a" * 200])
def test_a_plugin_variable_must_be_writable(name: str) -> None:
    with pytest.raises(UsageError):
        VARIABLES.with_plugin(name, "string")


@pytest.mark.parametrize("name", ["Bot", "", "a b", "size", "http", "src", "while", "now", "x" * 33, "a.b.c", "a.B"])
def test_a_plugin_filter_must_have_a_free_name(name: str) -> None:
    with pytest.raises(UsageError):
        compile_filter("http", now_ns=0, plugins={name: FilterSpec("x")})


def test_standard_functions_are_known_to_cel() -> None:
    assert {"exists_one", "getDayOfYear", "matches"} <= STANDARD_FUNCTIONS
