"""The Helm chart: `scripts/generate_chart.py` writes these files into deploy/chart, and a test finds them stale."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

from kubeshark.cluster._archive import EXTERNAL_ID, ROLE_ARN
from kubeshark.cluster._chart_text import template
from kubeshark.cluster._manifests import objects, secrets
from kubeshark.cluster._names import TLS_HUB, TLS_WORKER, TOKEN, WORKER
from kubeshark.cluster._plain import plain
from kubeshark.settings import Settings, to_yaml
from kubeshark.settings._values import BASE_PATH

__all__ = ["chart_files", "write_chart"]

LOCAL = ("kube", "logs", "headless", "plugins")
"""What kubeshark.yaml says about the machine of whoever runs the command."""

MATERIAL = f"""{{{{- /* made once, and kept: what a Secret holds already is taken over */ -}}}}
{{{{- $token := (lookup "v1" "Secret" .Release.Namespace "{TOKEN}").data | default dict }}}}
{{{{- $hub := (lookup "v1" "Secret" .Release.Namespace "{TLS_HUB}").data | default dict }}}}
{{{{- $worker := (lookup "v1" "Secret" .Release.Namespace "{TLS_WORKER}").data | default dict }}}}
{{{{- if not (and $hub $worker) }}}}
{{{{- $authority := genCA "kubeshark authority" 3650 }}}}
{{{{- $cert := genSignedCert "kubeshark-hub" nil (list "kubeshark-hub") 825 $authority }}}}
{{{{- $hub = dict "tls.crt" (b64enc $cert.Cert) "tls.key" (b64enc $cert.Key) "ca.crt" (b64enc $authority.Cert) }}}}
{{{{- $cert = genSignedCert "{WORKER}" nil (list "{WORKER}") 825 $authority }}}}
{{{{- $worker = dict "tls.crt" (b64enc $cert.Cert) "tls.key" (b64enc $cert.Key) }}}}
{{{{- end }}}}
{{{{- $material := dict "ca.crt" (index $hub "ca.crt") }}}}
{{{{- $_ := set $material "token" (index $token "token" | default (randAlphaNum 43 | b64enc)) }}}}
{{{{- range $who, $files := dict "hub" $hub "worker" $worker }}}}
{{{{- $_ := set $material (print $who ".crt") (index $files "tls.crt") }}}}
{{{{- $_ := set $material (print $who ".key") (index $files "tls.key") }}}}
{{{{- end }}}}"""

CHECKS = (
    """{{- if not (regexMatch "BASE_PATH" .Values.tap.routing.front.basePath) }}
{{- fail "tap.routing.front.basePath is no path: write /kubeshark" }}
{{- end }}
{{- if not .Values.store.recipients }}
{{- fail "store.recipients is empty: name who may read, age1… (kubeshark keys list)" }}
{{- end }}
{{- if and .Values.tap.ingress.enabled (not .Values.tap.ingress.host) }}
{{- fail "tap.ingress.host is empty" }}
{{- end }}
{{- if and .Values.firewall.enabled (not .Values.tap.hostNetwork) }}
{{- fail "firewall.enabled with tap.hostNetwork off: only in its node's network a worker sees pods' devices" }}
{{- end }}
{{- if and .Values.tap.tls .Values.tap.bpfOverride }}
{{- fail "tap.tls with tap.bpfOverride: probes read processes of chosen pods, and a filter chooses none" }}
{{- end }}
{{- $cloud := .Values.tap.snapshots.cloud }}
{{- range .Values.capture.schedules }}
{{- if .kfl }}
{{- fail "capture.schedules: kfl: which entry a packet belongs to is not known when it is captured: narrow filter" }}
{{- end }}
{{- if and .upload (not $.Values.store.url) (not $cloud.provider) }}
{{- fail "capture.schedules: upload: true, and there is no archive: set tap.snapshots.cloud, or leave upload out" }}
{{- end }}
{{- end }}
{{- if and .Values.store.url $cloud.provider }}
{{- fail "store.url and tap.snapshots.cloud.provider both say where sealed segments go: leave one of them out" }}
{{- end }}
{{- $role := $cloud.s3.roleArn }}
{{- if and $role (not (regexMatch "ROLE_ARN" $role)) }}
{{- fail "tap.snapshots.cloud.s3.roleArn is no role: write arn:aws:iam::123456789012:role/NAME" }}
{{- end }}
{{- if and $role (ne $cloud.provider "s3") (not (hasPrefix "s3:" .Values.store.url)) }}
{{- fail "tap.snapshots.cloud.s3.roleArn is for an archive in S3, and there is none" }}
{{- end }}
{{- if and $cloud.s3.externalId (not $role) }}
{{- fail "tap.snapshots.cloud.s3.externalId is for a role, and there is none: set tap.snapshots.cloud.s3.roleArn" }}
{{- end }}
{{- if and $cloud.s3.externalId (not (regexMatch "EXTERNAL_ID" $cloud.s3.externalId)) }}
{{- fail "tap.snapshots.cloud.s3.externalId is none: 2 to 1,224 letters, digits or +=,.@:/-_" }}
{{- end }}
{{- if and (eq $cloud.provider "s3") (not $cloud.s3.bucket) }}
{{- fail "tap.snapshots.cloud.s3.bucket is empty" }}
{{- end }}
{{- if and (eq $cloud.provider "gcs") (not $cloud.gcs.bucket) }}
{{- fail "tap.snapshots.cloud.gcs.bucket is empty" }}
{{- end }}
{{- if and (eq $cloud.provider "azblob") (not (and $cloud.azblob.storageAccount $cloud.azblob.container)) }}
{{- fail "tap.snapshots.cloud.azblob: storageAccount and container are both needed" }}
{{- end }}""".replace("BASE_PATH", BASE_PATH)
    .replace("ROLE_ARN", ROLE_ARN)
    .replace("EXTERNAL_ID", EXTERNAL_ID)
)

NOTES = """The hub reads captures with the identity in Secret kubeshark-identity, which this chart does not make:

  kubectl -n {{ .Release.Namespace }} create secret generic kubeshark-identity --from-file=identity.age=FILE

Then: kubeshark proxy -s {{ .Release.Namespace }} --set tap.release.name={{ .Values.tap.release.name }}
"""


def chart_files() -> dict[str, str]:
    """Return path in the chart → text."""
    about: dict[str, Any] = {
        "apiVersion": "v2",
        "name": "kubeshark",
        "description": "Records network traffic as encrypted PCAP and dissects it on demand",
        "type": "application",
        "version": version("kubeshark"),
        "appVersion": version("kubeshark"),
        "kubeVersion": ">=1.30.0-0",
    }
    head = "# made by scripts/generate_chart.py: change cluster/_manifests.py instead\n"
    return {
        "Chart.yaml": head + "".join(f"{name}: {json.dumps(value)}\n" for name, value in about.items()),
        "values.yaml": _values(),
        "templates/secrets.yaml": head + template(secrets(has_identity=False), head=MATERIAL),
        "templates/objects.yaml": head + template(objects(), head=CHECKS),
        "templates/NOTES.txt": NOTES,
        ".helmignore": "*.orig\n.git/\n",
    }


def write_chart(folder: Path) -> None:
    """Write the chart into a folder."""
    for name, text in chart_files().items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


def _values() -> str:
    return to_yaml(Settings())


def values_of(settings: Settings) -> dict[str, Any]:
    """Return values for this chart that say what settings do."""
    return {name: value for name, value in plain(settings).items() if name not in LOCAL}
