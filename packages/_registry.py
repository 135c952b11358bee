"""Packages in an OCI registry: an artifact whose layers are the .ksp file and, if there is one, its signature.

An own client of the distribution specification, not `oras`: oras-py does not verify what it pulls (a flipped byte went
unnoticed), retries a refused push for a minute, and cannot set `artifactType`. What is left of it is six requests, and
every one of them needs our rules: bounded, hashed, credentials to their own place only.

Invariants:

1. A manifest is hashed before it is read, a layer while it comes in; a digest or a size that differs ends the pull.
2. What was pulled by tag is known by the manifest's digest from then on.
3. Every request may be sent twice: what is uploaded has its digest in the address, and an upload that was begun and
   left is one that the registry forgets.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import msgspec
from msgspec import Struct

from kubeshark.errors import PluginError, PluginRejected, UsageError
from kubeshark.packages._archive import MAX_PACKAGE_BYTES
from kubeshark.packages._contents import hash_file
from kubeshark.packages._credentials import Credentials, find_credentials
from kubeshark.packages._signature import MAX_SIGNATURE_BYTES
from kubeshark.packages._web import TRIES, Answer, Progress, Web, is_local, joined, origin

__all__ = ["ARTIFACT_TYPE", "PACKAGE_TYPE", "SIGNATURE_TYPE", "Pulled", "Reference", "Registry", "parse_reference"]

ARTIFACT_TYPE = "application/vnd.kubeshark.plugin.v1"
PACKAGE_TYPE = "application/vnd.kubeshark.plugin.package.v1+zip"
SIGNATURE_TYPE = "application/vnd.kubeshark.plugin.signature.v1+json"
_MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
_EMPTY_TYPE = "application/vnd.oci.empty.v1+json"
MAX_MANIFEST_BYTES = 1 << 20  # ours has 1 KiB; registries take 4 MiB

_HOST = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252})|\[[0-9a-fA-F:]{2,45}\])(?::\d{1,5})?")
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_OCI_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_PARAMETER = re.compile(r'([a-z_]+)="([^"]*)"')


class Reference(Struct, frozen=True):
    """`oci://host/repository:tag@sha256:…`"""

    host: str
    repository: str
    tag: str = ""
    digest: str = ""  # with sha256:

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"oci://{self.host}/{self.repository}{tag}{digest}"


class Pulled(Struct, frozen=True):
    """What a pull brought."""

    reference: Reference  # with the manifest's digest
    package: Path
    signature: bytes | None


class _Descriptor(msgspec.Struct, frozen=True):
    mediaType: str  # noqa: N815 (the specification's names)
    digest: str
    size: int


class _Manifest(msgspec.Struct, frozen=True):
    schemaVersion: int  # noqa: N815
    config: _Descriptor | None = None
    layers: list[_Descriptor] = []
    mediaType: str = _MANIFEST_TYPE  # noqa: N815
    artifactType: str = ""  # noqa: N815


def parse_reference(text: str) -> Reference:
    """Read an oci:// address; without tag and digest it means `latest`. UsageError says what is wrong."""
    rest = text.removeprefix("oci://")
    host, _, path = rest.partition("/")
    path, at, digest = path.partition("@")
    name, colon, tag = path.partition(":")
    if not _HOST.fullmatch(host):
        reason = f"{host.rpartition('@')[2][:100]!r} is not a host"
    elif not _REPOSITORY.fullmatch(name) or len(name) > 255:
        reason = f"{name[:100]!r} is not a repository"
    elif colon and not _TAG.fullmatch(tag):
        reason = f"{tag[:100]!r} is not a tag"
    elif at and not _OCI_DIGEST.fullmatch(digest):
        reason = f"{digest[:100]!r} is not a digest"
    else:
        return Reference(host, name, tag or ("" if at else "latest"), digest)
    raise UsageError(f"oci:// address: {reason}", hint="it looks like oci://ghcr.io/acme/fruit:1.0.0")


class Registry:
    """One repository of a registry; use it for one pull or push."""

    def __init__(
        self, reference: Reference, credentials: Credentials | None = None, progress: Progress | None = None
    ) -> None:
        """Without `credentials` they are looked for when the registry asks."""
        self._reference = reference
        self._credentials = credentials
        self._probe = Web(allow_http=True)
        self._web = Web(allow_http=True, tries=TRIES)
        self._transfers = Web(allow_http=True, progress=progress, tries=TRIES)
        host = "registry-1.docker.io" if reference.host == "docker.io" else reference.host
        self._base = f"https://{host}"
        self._authorization = ""

    def pull(self, folder: Path) -> Pulled:
        """Fetch manifest and layers into `folder`, each verified; PluginRejected for what is wrong with them."""
        self._find_scheme()
        wanted = self._reference.digest or self._reference.tag
        answer = self._send("GET", f"manifests/{wanted}", headers={"Accept": _MANIFEST_TYPE}, limit=MAX_MANIFEST_BYTES)
        if answer.status != 200:
            raise self._failed(answer, f"manifest {wanted}")
        digest = f"sha256:{hashlib.sha256(answer.body).hexdigest()}"
        for said in (self._reference.digest, answer.headers.get("docker-content-digest", "")):
            if said and said != digest:
                raise self._rejected(f"its manifest is {digest}, not {said[:71]}")
        package, signature = self._layers(answer.body)
        path = folder / "package.ksp"
        self._blob(package, path, MAX_PACKAGE_BYTES)
        signed = None
        if signature:
            self._blob(signature, folder / "package.sig", MAX_SIGNATURE_BYTES)
            signed = (folder / "package.sig").read_bytes()
        found = Reference(self._reference.host, self._reference.repository, self._reference.tag, digest)
        return Pulled(found, path, signed)

    def push(self, package: Path, signature: bytes | None, labels: Mapping[str, str]) -> Reference:
        """Upload a package and tag it; return the reference with the manifest's digest."""
        self._find_scheme()
        layers = [self._upload(PACKAGE_TYPE, package) | {"annotations": {_TITLE: labels.get("file", package.name)}}]
        if signature is not None:
            title = {_TITLE: f"{labels.get('file', package.name)}.sig"}
            layers.append(self._upload(SIGNATURE_TYPE, signature) | {"annotations": title})
        manifest = {
            "schemaVersion": 2,
            "mediaType": _MANIFEST_TYPE,
            "artifactType": ARTIFACT_TYPE,
            "config": self._upload(_EMPTY_TYPE, b"{}"),
            "layers": layers,
            "annotations": {
                f"org.opencontainers.image.{key}": value for key, value in labels.items() if value and key != "file"
            },
        }
        data = json.dumps(manifest, separators=(",", ":"), sort_keys=True).encode()
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        if self._reference.digest and self._reference.digest != digest:
            raise UsageError(f"what would be pushed is {digest}", hint="push to a tag, without a digest")
        answer = self._send(
            "PUT",
            f"manifests/{self._reference.tag or digest}",
            headers={"Content-Type": _MANIFEST_TYPE},
            body=data,
        )
        if answer.status != 201:
            raise self._failed(answer, "the manifest")
        if answer.headers.get("docker-content-digest", digest) != digest:
            raise self._rejected("the registry keeps another manifest than was sent")
        return Reference(self._reference.host, self._reference.repository, self._reference.tag, digest)

    def _layers(self, data: bytes) -> tuple[_Descriptor, _Descriptor | None]:
        try:
            manifest = msgspec.json.decode(data, type=_Manifest)
        except (msgspec.DecodeError, RecursionError) as error:
            raise self._rejected("its manifest cannot be read") from error
        if manifest.mediaType != _MANIFEST_TYPE or manifest.artifactType != ARTIFACT_TYPE:
            kind = manifest.artifactType or (manifest.config.mediaType if manifest.config else manifest.mediaType)
            raise self._rejected(f"is no plugin but {kind[:100]!r}")
        packages = [layer for layer in manifest.layers if layer.mediaType == PACKAGE_TYPE]
        signatures = [layer for layer in manifest.layers if layer.mediaType == SIGNATURE_TYPE]
        if len(packages) != 1 or len(signatures) > 1 or len(manifest.layers) != len(packages) + len(signatures):
            raise self._rejected("has other layers than a package and its signature")
        return packages[0], signatures[0] if signatures else None

    def _blob(self, layer: _Descriptor, path: Path, limit: int) -> None:
        if not _OCI_DIGEST.fullmatch(layer.digest) or not 0 < layer.size <= limit:
            raise self._rejected(f"a layer says it has {layer.size:,} bytes and the digest {layer.digest[:80]!r}")
        answer = self._send("GET", f"blobs/{layer.digest}", limit=layer.size, into=path, transfer=True)
        if answer.status != 200:
            raise self._failed(answer, f"layer {layer.digest}")
        found = f"sha256:{hash_file(path)}"
        if found != layer.digest or path.stat().st_size != layer.size:
            path.unlink()
            raise self._rejected(f"layer {layer.digest[:19]}… came as {found[:19]}…: it was changed")

    def _upload(self, kind: str, data: bytes | Path) -> dict[str, Any]:
        size = data.stat().st_size if isinstance(data, Path) else len(data)
        digest = f"sha256:{hash_file(data) if isinstance(data, Path) else hashlib.sha256(data).hexdigest()}"
        # Asked for with the right to push: a registry gives out tokens by what is asked.
        answer = self._send("HEAD", f"blobs/{digest}")
        if answer.status != 200:
            answer = self._send("POST", "blobs/uploads/", body=b"")
            location = answer.headers.get("location", "")
            if answer.status != 202 or not location:
                raise self._failed(answer, "an upload")
            there = joined(answer.url, location)
            there += ("&" if urlsplit(there).query else "?") + urlencode({"digest": digest})
            if origin(there)[0] != "https" and origin(there) != origin(self._base):
                raise self._rejected("it wants the upload at a place that is not https")
            answer = self._send("PUT", there, body=data, transfer=True)
            if answer.status != 201 and self._send("HEAD", f"blobs/{digest}").status != 200:
                raise self._failed(answer, "an upload")  # else the first of two tries arrived, its answer did not
        return {"mediaType": kind, "digest": digest, "size": size}

    def _find_scheme(self) -> None:
        """A registry on this machine may have no TLS; everywhere else it must."""
        host = urlsplit(self._base).hostname or ""
        if not is_local(host):
            return
        try:
            self._probe.send("GET", f"{self._base}/v2/")
        except PluginError as error:
            if "certificate" in error.message:
                raise
            self._base = self._base.replace("https://", "http://", 1)

    def _send(
        self,
        method: str,
        what: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | Path | None = None,
        limit: int = 1 << 20,
        into: Path | None = None,
        transfer: bool = False,
    ) -> Answer:
        """Send to the repository, or to a whole address; log in when asked to."""
        url = what if "://" in what else f"{self._base}/v2/{self._reference.repository}/{what}"
        web = self._transfers if transfer else self._web
        is_ours = origin(url) == origin(self._base)

        def send() -> Answer:
            credentials = self._authorization if is_ours else ""
            return web.send(method, url, headers=headers, credentials=credentials, body=body, limit=limit, into=into)

        answer = send()
        if answer.status != 401 or not is_ours:
            return answer
        self._authorization = self._log_in(answer.headers.get("www-authenticate", ""))
        return send()

    def _log_in(self, challenge: str) -> str:
        """Return the Authorization header that a challenge asks for (RFC 7617, the distribution token scheme)."""
        credentials = self._credentials if self._credentials is not None else find_credentials(self._reference.host)
        kind, _, rest = challenge.partition(" ")
        if kind.lower() == "basic" and credentials.user:
            return credentials.basic
        values = dict(_PARAMETER.findall(rest))
        if kind.lower() != "bearer" or "realm" not in values:
            return ""
        realm = values["realm"]
        origin(realm)  # refuses what is no address
        asked = {key: values[key] for key in ("service", "scope") if key in values}
        if credentials.refresh_token:
            form = {"grant_type": "refresh_token", "client_id": "kubeshark"} | asked
            body = urlencode(form | {"refresh_token": credentials.refresh_token}).encode()
            kind_of_form = {"Content-Type": "application/x-www-form-urlencoded"}
            answer = self._web.send("POST", realm, headers=kind_of_form, body=body)
        else:
            url = realm + ("&" if urlsplit(realm).query else "?") + urlencode(asked, quote_via=quote)
            answer = self._web.send("GET", url, credentials=credentials.basic if credentials.user else "")
        if answer.status != 200:
            raise self._failed(answer, "a login")
        try:
            found = json.loads(answer.body)
            token = found.get("token") or found.get("access_token")
        except (ValueError, RecursionError, AttributeError):
            token = None
        if not isinstance(token, str) or not token.isascii() or not token.isprintable():
            raise self._rejected("its login gives no token")
        return f"Bearer {token}"

    def _failed(self, answer: Answer, what: str) -> PluginError:
        hints = {
            401: f'log in: "docker login {self._reference.host}", or set KUBESHARK_REGISTRY, _USER and _PASSWORD',
            403: "you may not do that there",
            404: "it is not there, or you may not see it",
            429: "wait a while: it has had too many requests",
        }
        return PluginError(
            f"{what}: the registry answers {answer.status}{_error_code(answer.body)}",
            plugin=str(self._reference),
            hint=hints.get(answer.status, ""),
        )

    def _rejected(self, message: str) -> PluginRejected:
        return PluginRejected(message, plugin=str(self._reference))


_TITLE = "org.opencontainers.image.title"


def _error_code(body: bytes) -> str:
    """Return the specification's code (`MANIFEST_UNKNOWN`) out of an error's body; nothing else of it is shown."""
    try:
        code = json.loads(body)["errors"][0]["code"]
    except (ValueError, KeyError, IndexError, TypeError, RecursionError):
        return ""
    return f" {code}" if isinstance(code, str) and re.fullmatch(r"[A-Z_]{1,40}", code) else ""
