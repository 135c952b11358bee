from __future__ import annotations

from pathlib import Path

import pytest

from kubeshark.settings import Settings, keys, value_of

TABLE = """
tap.regex tap.namespaces tap.excludedNamespaces tap.bpfOverride tap.packetCapture tap.capture.captureSelf
tap.storageLimit tap.persistentStorage tap.persistentStorageStatic tap.persistentStoragePvcVolumeMode tap.storageClass
tap.efsFileSytemIdAndPath tap.snapshots.cloud.provider tap.snapshots.cloud.prefix tap.snapshots.cloud.s3.bucket
tap.snapshots.cloud.s3.region tap.snapshots.cloud.s3.roleArn tap.snapshots.cloud.s3.externalId
tap.snapshots.cloud.azblob.storageAccount tap.snapshots.cloud.azblob.container tap.snapshots.cloud.gcs.bucket
tap.snapshots.cloud.gcs.project tap.snapshots.cloud.secrets tap.tls tap.serviceMesh tap.ingress.enabled
tap.routing.front.basePath tap.auth.enabled tap.auth.type tap.auth.rolesClaim tap.auth.groupMapping
tap.auth.defaultRole tap.auth.roles tap.nodeSelectorTerms.hub tap.tolerations.workers tap.resources.hub.limits.cpu
tap.resources.sniffer.requests.memory tap.probes.hub.periodSeconds tap.priorityClass tap.labels tap.annotations
tap.securityContext.privileged tap.hostNetwork tap.ipv6 tap.dns.nameservers tap.secrets tap.docker.registry
tap.docker.tag tap.docker.imagePullPolicy tap.docker.imagePullSecrets tap.release.name tap.release.namespace
tap.release.helmChartPath tap.proxy.front.port tap.proxy.host tap.enabledDissectors tap.portMapping tap.strictPorts
tap.customMacros tap.defaultFilter tap.globalFilter tap.dashboard.entriesLimit tap.misc.tcpStreamChannelTimeoutMs
tap.misc.tcpFlowTimeout tap.misc.udpFlowTimeout tap.misc.staleTimeoutSeconds tap.misc.detectDuplicates
tap.misc.duplicateTimeframe tap.misc.trafficSampleRate tap.misc.resolutionStrategy
scripting.enabled scripting.env scripting.source scripting.sources scripting.watchScripts scripting.active
scripting.console scripting.filter scripting.group scripting.rawMetricNames
pcapdump.enabled pcapdump.maxTime pcapdump.maxSize pcapdump.time pcapdump.dest
kube.configPath kube.context logs.file logs.grep headless timezone logLevel
store.path store.url store.segmentBytes store.segmentSeconds store.compress store.recipients store.identityFile
store.retention.bytes store.retention.age store.wal
capture.interfaces capture.snaplen capture.ringBytes capture.fanout capture.schedules
plugins.dir plugins.trustedKeys plugins.allowUnsigned plugins.limits plugins.registries
query.maxBytes query.maxSeconds query.jobs query.executor query.bodyLimit
redaction.enabled redaction.headers redaction.keys redaction.patterns redaction.exceptRoles
firewall.enabled firewall.failMode firewall.path firewall.hubs firewall.inventory firewall.exempt
firewall.defaultMode
hub.host hub.port hub.tls.cert hub.tls.key hub.allowedOrigins hub.tokenFile
"""


@pytest.mark.parametrize("path", TABLE.split())
def test_every_key_of_the_contract_is_there_and_says_what_it_is(path: str) -> None:
    key = keys()[path]
    assert value_of(Settings(), path) == key.default
    assert key.comment


def test_every_key_has_a_comment() -> None:
    assert [path for path, key in keys().items() if not key.comment] == []


def test_what_is_no_key(tmp_path: Path) -> None:
    for path in ("tap.nonsense", "tap.regex.more", ""):
        with pytest.raises(KeyError):
            value_of(Settings(), path)


def test_defaults_that_differ_from_kubeshark_on_purpose() -> None:
    tap = Settings().tap
    assert (tap.auth.enabled, tap.tls, tap.service_mesh, tap.security_context.privileged) == (True, False, False, False)
