"""Lazy packages: everything they promise is there, and nothing is loaded for it before."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest

LAZY = (
    "kubeshark",
    "kubeshark.core_capture",
    "kubeshark.core_capture.files",
    "kubeshark.core_capture.store",
    "kubeshark.firewall",
    "kubeshark.pipeline",
    "kubeshark.pipeline.kfl",
    "kubeshark.pipeline.tls",
)


@pytest.mark.parametrize("package", LAZY)
def test_every_name_is_there(package: str) -> None:
    module = import_module(package)
    assert [name for name in module.__all__ if getattr(module, name, None) is None] == []


@pytest.mark.parametrize("package", LAZY)
def test_a_name_that_does_not_exist_is_an_attribute_error(package: str) -> None:
    module = import_module(package)
    with pytest.raises(AttributeError, match="no_such"):
        module.no_such  # noqa: B018


@pytest.mark.parametrize("package", LAZY)
def test_importing_a_package_loads_none_of_its_modules(package: str) -> None:
    code = f"import {package}, sys; print(*(n for n in sys.modules if n.startswith({package + '.'!r})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() in ([], ["kubeshark._lazy"])
