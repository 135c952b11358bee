"""Capture files: reads pcap and pcapng into batches of nanosecond records, and writes them back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kubeshark._lazy import lazily

if TYPE_CHECKING:
    from kubeshark.core_capture.files._open import CAPTURE_MAGICS as CAPTURE_MAGICS
    from kubeshark.core_capture.files._open import open_capture as open_capture
    from kubeshark.core_capture.files._options import DECRYPTION_SECRETS as DECRYPTION_SECRETS
    from kubeshark.core_capture.files._options import SECTION_HEADER as SECTION_HEADER
    from kubeshark.core_capture.files._write_pcap import write_pcap as write_pcap
    from kubeshark.core_capture.files._write_pcapng import PcapngWriter as PcapngWriter
    from kubeshark.core_capture.files._write_pcapng import make_statistics as make_statistics
    from kubeshark.core_capture.files._write_pcapng import merge_sources as merge_sources

__all__ = [
    "CAPTURE_MAGICS",
    "DECRYPTION_SECRETS",
    "SECTION_HEADER",
    "PcapngWriter",
    "make_statistics",
    "merge_sources",
    "open_capture",
    "write_pcap",
]

if not TYPE_CHECKING:
    __getattr__ = lazily(
        __name__,
        {
            "_open": "CAPTURE_MAGICS open_capture",
            "_options": "DECRYPTION_SECRETS SECTION_HEADER",
            "_write_pcap": "write_pcap",
            "_write_pcapng": "PcapngWriter make_statistics merge_sources",
        },
    )
