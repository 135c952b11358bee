"""Capture files: reads pcap and pcapng into batches of nanosecond records, and writes them back."""

from kubeshark.core_capture.files._open import open_capture
from kubeshark.core_capture.files._options import DECRYPTION_SECRETS, SECTION_HEADER
from kubeshark.core_capture.files._write_pcap import write_pcap
from kubeshark.core_capture.files._write_pcapng import PcapngWriter, merge_sources

__all__ = ["DECRYPTION_SECRETS", "SECTION_HEADER", "PcapngWriter", "merge_sources", "open_capture", "write_pcap"]
