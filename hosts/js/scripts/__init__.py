"""Runs Kubeshark scripts: `library.js` and `shim.js` are the engine's side, `_process.py` that of their process."""

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
