"""Build script of the C core, run by setuptools (`cffi_modules` in setup.py).

Run by hand it builds the extension in place, beside the Python modules: `python core_capture/native/build_core.py`.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import cffi

HERE = Path(__file__).resolve().parent

ffibuilder = cffi.FFI()
ffibuilder.cdef((HERE / "core_api.h").read_text(encoding="ascii"))
ffibuilder.set_source(
    "kubeshark.core_capture._core_native",
    '#include "core.c"',
    include_dirs=[str(HERE)],
    depends=[f"core_capture/native/{path.name}" for path in sorted(HERE.glob("*.[ch]"))],
    extra_compile_args=["-O3", "-std=c11"],
    optional=True,  # without Python.h or a compiler the reference core runs
)


def build_in_place() -> Path:
    """Compile elsewhere, then rename: a process that imports the old one meanwhile keeps it."""
    package = HERE.parent
    with tempfile.TemporaryDirectory(prefix=".build-", dir=package) as folder:
        built = Path(ffibuilder.compile(tmpdir=folder))
        return built.replace(package / "_core_native.abi3.so")  # the name that setuptools gives it


if __name__ == "__main__":
    build_in_place()
