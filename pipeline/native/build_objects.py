"""Build script of the objects made in C; setup.py takes its extension from here.

Run by hand it builds the extension in place, beside the Python modules: `python pipeline/native/build_objects.py`.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from setuptools import Distribution, Extension
from setuptools.command.build_ext import build_ext

HERE = Path(__file__).resolve().parent
SOURCE = "pipeline/native/objects.c"

extension = Extension(
    "kubeshark.pipeline._objects_native",
    [SOURCE],
    depends=[f"pipeline/native/{path.name}" for path in sorted(HERE.glob("*.h"))],
    extra_compile_args=["-O3", "-std=c11"],
    py_limited_api=True,
    optional=True,  # without Python.h or a compiler the same is done in Python
)


def build_in_place() -> Path:
    """Compile elsewhere, then rename: a process that imports the old one meanwhile keeps it."""
    package = HERE.parent
    with tempfile.TemporaryDirectory(prefix=".build-", dir=package) as folder:
        here = Extension(
            extension.name,
            [str(HERE / Path(SOURCE).name)],
            extra_compile_args=extension.extra_compile_args,
            py_limited_api=True,
        )
        command = build_ext(Distribution({"ext_modules": [here]}))
        command.build_temp = command.build_lib = folder
        command.ensure_finalized()
        command.run()
        built = Path(command.get_ext_fullpath(here.name))
        return built.replace(package / built.name)


if __name__ == "__main__":
    build_in_place()
