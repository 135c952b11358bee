"""The core in plain Python: the readable definition of what the C core does, and its oracle in differential tests.

Records → `_decode` (walks each packet inwards: `_link`, `_network`, `_tunnels`; `_fragments` puts datagrams together)
→ `_flows` (the flow table) → `_streams` (TCP reassembly). `_limits` names every bound.
"""

from kubeshark.core_capture.reference._core import ReferenceCore

__all__ = ["ReferenceCore"]
