"""Build script of the C core, run by setuptools (`cffi_modules` in setup.py)."""

from __future__ import annotations

from pathlib import Path

import cffi

HERE = Path(__file__).resolve().parent

ffibuilder = cffi.FFI()
ffibuilder.cdef("int kubeshark_core_abi(void);")
ffibuilder.set_source(
    "kubeshark.core_capture._core_native",
    "static int kubeshark_core_abi(void) { return 1; }",
    include_dirs=[str(HERE)],
    extra_compile_args=["-O3", "-std=c11"],
    optional=True,  # without Python.h or a compiler the reference core runs
)

if __name__ == "__main__":
    ffibuilder.compile(tmpdir=str(HERE.parents[1] / "build"), verbose=True)
