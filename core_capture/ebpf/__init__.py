"""Programs in the kernel: bpf(2), compiled objects, rings of records, and probes that read TLS in the clear."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kubeshark._lazy import lazily

if TYPE_CHECKING:
    from kubeshark.core_capture.ebpf._calls import EbpfError as EbpfError
    from kubeshark.core_capture.ebpf._calls import refused as refused
    from kubeshark.core_capture.ebpf._object import Program as Program
    from kubeshark.core_capture.ebpf._object import read_programs as read_programs
    from kubeshark.core_capture.ebpf._processes import TlsProcess as TlsProcess
    from kubeshark.core_capture.ebpf._processes import tls_processes as tls_processes
    from kubeshark.core_capture.ebpf._ring import RingBuffer as RingBuffer
    from kubeshark.core_capture.ebpf._tls_choice import pod_name as pod_name
    from kubeshark.core_capture.ebpf._tls_choice import uids_of as uids_of
    from kubeshark.core_capture.ebpf._tls_source import TlsSource as TlsSource

__all__ = [
    "EbpfError",
    "Program",
    "RingBuffer",
    "TlsProcess",
    "TlsSource",
    "pod_name",
    "read_programs",
    "refused",
    "tls_processes",
    "uids_of",
]

if not TYPE_CHECKING:
    __getattr__ = lazily(
        __name__,
        {
            "_calls": "EbpfError refused",
            "_object": "Program read_programs",
            "_processes": "TlsProcess tls_processes",
            "_ring": "RingBuffer",
            "_tls_choice": "pod_name uids_of",
            "_tls_source": "TlsSource",
        },
    )
