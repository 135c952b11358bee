"""Only what pyproject.toml cannot say: the C core is compiled by cffi."""

from setuptools import setup

setup(cffi_modules=["core_capture/native/build_core.py:ffibuilder"])
