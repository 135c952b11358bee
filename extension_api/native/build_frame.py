"""Build script of the frame codec, run by setuptools (`cffi_modules` in setup.py).

Run by hand it builds the extension in place, beside the Python modules: `python extension_api/native/build_frame.py`.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import cffi

HERE = Path(__file__).resolve().parent

ffibuilder = cffi.FFI()
ffibuilder.cdef((HERE / "frame_api.h").read_text(encoding="ascii"))
ffibuilder.set_source(
    "kubeshark.extension_api._frame_native",
    "#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__\n"
    '#error "frames are little-endian: the codec in Python runs here"\n'
    "#endif\n"
    '#include "frame.c"',
    include_dirs=[str(HERE)],
    depends=[f"extension_api/native/{path.name}" for path in sorted(HERE.glob("*.[ch]"))],
    extra_compile_args=["-O3", "-std=c11"],
    optional=True,  # without Python.h or a compiler the codec in Python runs
)


def build_in_place() -> Path:
    """Compile elsewhere, then rename: a process that imports the old one meanwhile keeps it."""
    package = HERE.parent
    with tempfile.TemporaryDirectory(prefix=".build-", dir=package) as folder:
        built = Path(ffibuilder.compile(tmpdir=folder))
        return built.replace(package / "_frame_native.abi3.so")


if __name__ == "__main__":
    build_in_place()
