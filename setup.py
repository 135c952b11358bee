"""Only what pyproject.toml cannot say: cffi compiles the C core and the frame codec, clang the firewall."""

import runpy

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithProgram(build_py):
    """Compiles the eBPF program first: it is data of the package. Where there is no clang the wheel cannot enforce."""

    def run(self) -> None:
        if missing := runpy.run_path("firewall/bpf/build_bpf.py")["build"]():
            self.warn(f"the firewall of this wheel cannot enforce: {missing}")
        super().run()


setup(
    cmdclass={"build_py": BuildWithProgram},
    cffi_modules=[
        "core_capture/native/build_core.py:ffibuilder",
        "extension_api/native/build_frame.py:ffibuilder",
    ],
)
