"""Records network traffic as encrypted PCAP and dissects it on demand.

    from kubeshark import Pipeline
    with Pipeline.open("store") as pipeline:
        pipeline.import_file("capture.pcap")
        for entry in pipeline.query("http && status_code >= 500"):
            print(entry.to_dict())

Everything here is loaded on first use: importing one room loads only that room, also in a plugin's child process.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kubeshark.pipeline import Entry as Entry
    from kubeshark.pipeline import Pipeline as Pipeline

__all__ = ["Entry", "Pipeline", "__version__"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name in ("Entry", "Pipeline"):
        from kubeshark import pipeline

        return getattr(pipeline, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
