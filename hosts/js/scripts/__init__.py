"""Runs Kubeshark scripts: `shim.js` is the engine's side, `_process.py` that of the process that calls them."""

__all__ = ["HOOKS"]

HOOKS = (
    "onPacketCaptured",
    "onItemCaptured",
    "onItemQueried",
    "onHubAction",
    "onPodEvent",
    "onJobPassed",
    "onJobFailed",
    "onLogCall",
)
"""The hooks of scripts, in the order of the reference."""
