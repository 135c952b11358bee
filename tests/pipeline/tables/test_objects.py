"""What is made in C is what is made in Python: the oracle stands beside each call."""

from __future__ import annotations

import base64
import runpy
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kubeshark.pipeline.dissectors import _text
from kubeshark.pipeline.tables import _objects

SPAN = np.dtype([("at", "<u4"), ("length", "<u4")])

needs_native = pytest.mark.skipif(
    _objects.native is None, reason="needs the objects in C: apt-get install gcc python3-dev, then make setup"
)


@pytest.fixture(params=["native", "oracle"])
def native(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ModuleType | None:
    found = _objects.native if request.param == "native" else None
    if request.param == "native" and found is None:
        pytest.skip("needs the objects in C: apt-get install gcc python3-dev, then make setup")
    for module in (_objects, _text):
        monkeypatch.setattr(module, "native", found)
    return found


def spans(*pairs: tuple[int, int]) -> np.ndarray:
    return np.array(list(pairs), dtype=SPAN)


@pytest.mark.usefixtures("native")
def test_texts_are_utf8_or_else_latin_1_and_equal_ones_are_one() -> None:
    data = "größe plain größe".encode() + b"gr\xf6\xdfe"
    made = _text.texts(data, spans((0, 7), (8, 5), (14, 7), (21, 5), (0, 0), (3, 1)))
    assert made == ["größe", "plain", "größe", "größe", "", "¶"]
    assert made[0] is made[2]
    assert _text.texts(b"", spans()) == []


@needs_native
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.one_of(
        st.binary(min_size=1), st.text("aé€😀\udc00", min_size=1).map(lambda t: t.encode("utf-8", "surrogatepass"))
    ),
    cuts=st.lists(st.tuples(st.integers(0, 200), st.integers(0, 40)), max_size=600),
)
def test_texts_are_those_of_the_oracle(data: bytes, cuts: list[tuple[int, int]]) -> None:
    where = spans(*((at % len(data), min(length, len(data) - at % len(data))) for at, length in cuts))
    assert _objects.native is not None
    expected = [_text.text(data[at : at + length]) for at, length in where.tolist()]
    assert _objects.native.texts(data, where) == expected


@needs_native
@pytest.mark.parametrize("span", [(0, 4), (4, 0), (2**32 - 1, 2**32 - 1)])
def test_no_text_lies_outside(span: tuple[int, int]) -> None:
    assert _objects.native is not None
    with pytest.raises(IndexError):
        _objects.native.texts(b"abc", spans((0, 3), span))


@needs_native
def test_what_is_no_buffer_is_refused() -> None:
    assert _objects.native is not None
    with pytest.raises(TypeError):
        _objects.native.texts("abc", spans())
    with pytest.raises(TypeError):
        _objects.native.texts(b"abc", None)
    with pytest.raises(TypeError):
        _objects.native.texts(b"abc")


@needs_native
@given(st.binary(max_size=70))
def test_base64_is_that_of_the_library(data: bytes) -> None:
    assert _objects.native is not None
    assert _objects.native.base64(data) == base64.b64encode(data).decode()
    assert _objects.native.base64(memoryview(data)) == base64.b64encode(data).decode()


@pytest.mark.usefixtures("native")
def test_values_are_picked() -> None:
    values = ["a", None, [1]]
    picked = _objects.pick([values], np.array([2, 0, 2, 1]))
    assert picked == [[1], "a", [1], None] and picked[0] is values[2]
    assert _objects.pick([[]], np.array([], dtype=np.int64)) == []
    assert _objects.pick([], np.array([], dtype=np.int64)) == []


@pytest.mark.usefixtures("native")
@given(st.lists(st.integers(0, 3), min_size=1), st.lists(st.integers(0, 1_000)))
def test_lists_lie_end_to_end(sizes: list[int], places: list[int]) -> None:
    numbers = iter(range(sum(sizes)))
    lists = [[next(numbers) for _ in range(size)] for size in sizes]
    places = [place for place in places if place < sum(sizes)]
    assert _objects.pick(lists, np.array(places, dtype=np.int64)) == places


@needs_native
@pytest.mark.parametrize("place", [3, -1, 2**62])
def test_no_value_is_picked_from_outside(place: int) -> None:
    assert _objects.native is not None
    for lists in (([1, 2, 3],), ([1], [], [2, 3]), ([],), ()):
        with pytest.raises(IndexError):
            _objects.native.pick(lists, np.array([place]))
    for wrong in ([[1, 2]], ((1, 2),), ([1], None)):
        with pytest.raises(TypeError):
            _objects.native.pick(wrong, np.array([0]))


def test_other_sources_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    if _objects.native is None:
        pytest.skip("needs the objects in C: apt-get install gcc python3-dev, then make setup")
    monkeypatch.setattr(_objects.native, "ABI", 0)
    with pytest.raises(ImportError, match="build it again"):
        runpy.run_path(_objects.__file__)


def test_it_is_built_in_place(tmp_path: Path, root: Path) -> None:
    if _objects.native is None:
        pytest.skip("needs the objects in C: apt-get install gcc python3-dev, then make setup")
    script = tmp_path / "native" / "build_objects.py"
    script.parent.mkdir()
    for name in ("build_objects.py", "objects.c", "base64.h", "headers.h"):
        (script.parent / name).write_bytes((root / "pipeline" / "native" / name).read_bytes())
    built = runpy.run_path(str(script))["build_in_place"]()
    assert built.parent == tmp_path and built.name.startswith("_objects_native.")
