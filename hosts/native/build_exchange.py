"""Build script of the exchange, run by setuptools (`cffi_modules` in setup.py).

Run by hand it builds the extension in place, beside the Python modules: `python hosts/native/build_exchange.py`.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import cffi

HERE = Path(__file__).resolve().parent

ffibuilder = cffi.FFI()
ffibuilder.cdef((HERE / "exchange_api.h").read_text(encoding="ascii"))
ffibuilder.set_source(
    "kubeshark.hosts._exchange_native",
    '#include "exchange.c"',
    include_dirs=[str(HERE)],
    depends=[f"hosts/native/{path.name}" for path in sorted(HERE.glob("*.[ch]"))],
    extra_compile_args=["-O2", "-std=c11"],
    optional=True,  # without Python.h, a compiler or Linux the exchange in Python runs
)


def build_in_place() -> Path:
    """Compile elsewhere, then rename: a process that imports the old one meanwhile keeps it."""
    package = HERE.parent
    with tempfile.TemporaryDirectory(prefix=".build-", dir=package) as folder:
        built = Path(ffibuilder.compile(tmpdir=folder))
        return built.replace(package / "_exchange_native.abi3.so")


if __name__ == "__main__":
    build_in_place()
