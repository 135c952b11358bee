"""Only what pyproject.toml cannot say: the C core and the frame codec are compiled by cffi."""

from setuptools import setup

setup(
    cffi_modules=[
        "core_capture/native/build_core.py:ffibuilder",
        "extension_api/native/build_frame.py:ffibuilder",
    ]
)
