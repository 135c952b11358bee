"""Programs in the kernel: bpf(2), compiled objects, and what is attached to functions of processes."""

from kubeshark.core_capture.ebpf._calls import EbpfError, refused
from kubeshark.core_capture.ebpf._object import Program, read_programs

__all__ = ["EbpfError", "Program", "read_programs", "refused"]
