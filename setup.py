"""Only what pyproject.toml cannot say: cffi compiles C for the core and plugins, setuptools what makes Python objects,
clang what runs in the kernel."""

import runpy

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithProgram(build_py):
    """Compiles the eBPF programs first: they are data of the package. Without clang a wheel cannot enforce or probe."""

    def run(self) -> None:
        if missing := runpy.run_path("core_capture/ebpf/build_ebpf.py")["build_all"]():
            self.warn(f"this wheel cannot enforce a firewall, nor probe TLS: {missing}")
        super().run()


setup(
    cmdclass={"build_py": BuildWithProgram},
    ext_modules=[
        runpy.run_path("pipeline/native/build_objects.py")["extension"],
    ],
    cffi_modules=[
        "core_capture/native/build_core.py:ffibuilder",
        "extension_api/native/build_frame.py:ffibuilder",
        "hosts/native/build_exchange.py:ffibuilder",
    ],
)
