"""Keys of Kubeshark's configuration that do nothing here: taken with a warning, so that its files can be kept."""

from __future__ import annotations

__all__ = ["NOT_READ", "has_no_effect"]

NO_EFFECT = """
aiAssistantEnabled betaEnabled cloudApiUrl cloudLicenseEnabled cloudProvider demoModeEnabled dissectorsUpdatingEnabled
dumpLogs internetConnectivity license supportChatEnabled
pcapdump.debug pcapdump.timeInterval
tap.auth.dexConfig tap.auth.dexOidc tap.auth.rejectUnauthorized tap.auth.saml tap.capture.dbMaxSize
tap.capture.dissection tap.capture.raw tap.dashboard.clusterWideMapEnabled tap.dashboard.completeStreamingEnabled
tap.dashboard.streamingType tap.debug tap.delayedDissection tap.disableTlsLog tap.docker.tagLocked tap.gitops tap.mcp
tap.metrics tap.mountBpf tap.nodeSelectorTerms.dex tap.tolerations.dex tap.pprof tap.proxy.hub tap.proxy.worker
tap.release.repo tap.resourceGuard tap.resources.tracer tap.sentry tap.snapshots.local tap.telemetry
tap.watchdog tap.misc.jsonTTL tap.misc.pcapTTL tap.misc.pcapErrorTTL tap.enableEbpf
"""
NOT_READ = frozenset(
    [
        "tap.dashboard.entriesLimit",
        "tap.defaultFilter",
        "tap.enabledDissectors",
        "tap.portMapping",
        "tap.strictPorts",
        "tap.misc.tcpStreamChannelTimeoutMs",
        "tap.misc.tcpFlowTimeout",
        "tap.misc.udpFlowTimeout",
        "tap.misc.staleTimeoutSeconds",
        "tap.misc.detectDuplicates",
        "tap.misc.duplicateTimeframe",
        "tap.misc.trafficSampleRate",
        "tap.misc.resolutionStrategy",
    ]
)
"""Keys that are known and checked, but nothing reads them yet."""

_PATHS = tuple(NO_EFFECT.split())


def has_no_effect(path: str) -> bool:
    """Say whether a path is one of these keys, or lies under one."""
    return any(path == each or path.startswith(f"{each}.") for each in _PATHS)
