"""Capture files: reads pcap and pcapng into batches of nanosecond records, and writes them back."""

from kubeshark.core_capture.files._open import open_capture

__all__ = ["open_capture"]
