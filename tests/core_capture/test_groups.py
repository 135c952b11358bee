"""core_capture/_groups.py against numpy.unique."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeshark.core_capture._groups import Groups, distinct


@given(st.lists(st.integers(-3, 60)), st.sampled_from(["<i8", "<u2", "V3"]))
def test_it_finds_what_numpy_finds(numbers: list[int], kind: str) -> None:
    values = np.array([abs(number) for number in numbers], dtype=np.int64)
    if kind == "V3":
        values = np.frombuffer(b"".join(int(number).to_bytes(3, "big") for number in values), dtype="V3")
    else:
        values = values.astype(kind)
    known, first, number, counts = np.unique(values, return_index=True, return_inverse=True, return_counts=True)
    groups = Groups(values)
    assert groups.known.tolist() == known.tolist() == distinct(values).tolist()
    assert groups.first.tolist() == first.tolist()
    assert groups.number.tolist() == number.tolist()
    assert groups.counts.tolist() == counts.tolist()
    listed = values.tolist()
    assert groups.earlier.tolist() == [listed[:at].count(each) for at, each in enumerate(listed)]


@pytest.mark.parametrize("call", ["Groups(values).number", "distinct(values)"])
def test_it_does_not_load_masked_arrays(call: str) -> None:
    code = f"""
import sys, numpy as np
from kubeshark.core_capture._groups import Groups, distinct
values = np.arange(9) % 3
{call}
assert "numpy.ma" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
