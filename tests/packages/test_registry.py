"""Push to and pull from a real registry, and what it does when somebody meddles with it."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kubeshark.errors import PluginError, PluginRejected, UsageError
from kubeshark.packages._credentials import Credentials
from kubeshark.packages._registry import Reference, Registry, parse_reference
from tests.packages._plugins import make_key, make_package
from tests.packages._servers import (
    BASIC,
    PASSWORD,
    USER,
    Authority,
    RegistryServer,
    Site,
    registry,
    token_service,
)

ME = Credentials(USER, PASSWORD)
LABELS = {"file": "demo-1.0.0.ksp", "title": "demo", "version": "1.0.0", "description": ""}


def reference(server: RegistryServer, tag: str = "1.0.0", repository: str = "acme/demo") -> Reference:
    return parse_reference(f"oci://{server.host}/{repository}:{tag}")


def push(server: RegistryServer, package: Path, tag: str = "1.0.0", repository: str = "acme/demo") -> Reference:
    beside = package.with_name(f"{package.name}.sig")
    signature = beside.read_bytes() if beside.exists() else None
    return Registry(reference(server, tag, repository), ME).push(package, signature, LABELS)


def pull(server: RegistryServer, folder: Path, what: Reference | None = None) -> Path:
    folder.mkdir(exist_ok=True)
    return Registry(what or reference(server), ME).pull(folder).package


@pytest.mark.parametrize(
    ("text", "host", "repository", "tag", "digest"),
    [
        ("oci://ghcr.io/acme/demo", "ghcr.io", "acme/demo", "latest", ""),
        ("oci://localhost:5000/demo:1", "localhost:5000", "demo", "1", ""),
        ("oci://[::1]:5000/demo:1", "[::1]:5000", "demo", "1", ""),
        (f"oci://h/a/b/c@sha256:{'a' * 64}", "h", "a/b/c", "", f"sha256:{'a' * 64}"),
        (f"oci://h/a:1@sha256:{'a' * 64}", "h", "a", "1", f"sha256:{'a' * 64}"),
    ],
)
def test_references(text: str, host: str, repository: str, tag: str, digest: str) -> None:
    assert parse_reference(text) == Reference(host, repository, tag, digest)


@pytest.mark.parametrize(
    "text",
    [
        "oci://",
        "oci://host",
        "oci://host/",
        "oci://host/UPPER",
        "oci://host/../x",
        "oci://host/a:b:c",
        "oci://host/a@md5:x",
        "oci://me:hush@host/a",
        "oci://ho st/a",
        "oci://host/a?x=1",
    ],
)
def test_what_is_no_reference(text: str) -> None:
    with pytest.raises(UsageError, match="oci:// address") as caught:
        parse_reference(text)
    assert "hush" not in str(caught.value)


def test_what_is_pushed_comes_back(basic_registry: RegistryServer, tmp_path: Path) -> None:
    make_key(tmp_path / "key")
    package = make_package(tmp_path, key=tmp_path / "key")
    pushed = push(basic_registry, package)
    (tmp_path / "in").mkdir()
    pulled = Registry(reference(basic_registry), ME).pull(tmp_path / "in")
    assert pulled.reference == pushed
    assert pulled.package.read_bytes() == package.read_bytes()
    assert pulled.signature == (tmp_path / "demo-1.0.0.ksp.sig").read_bytes()
    assert push(basic_registry, package) == pushed  # the blobs are there already
    exact = parse_reference(f"oci://{basic_registry.host}/acme/demo@{pushed.digest}")
    assert pull(basic_registry, tmp_path / "exact", exact).read_bytes() == package.read_bytes()
    manifest = json.loads(basic_registry.blob(pushed.digest).read_bytes())
    assert manifest["artifactType"] == "application/vnd.kubeshark.plugin.v1"
    assert [layer["annotations"]["org.opencontainers.image.title"] for layer in manifest["layers"]] == [
        "demo-1.0.0.ksp",
        "demo-1.0.0.ksp.sig",
    ]


def test_without_a_login(basic_registry: RegistryServer, tmp_path: Path) -> None:
    for credentials in (Credentials(), Credentials(USER, "wrong hush")):
        with pytest.raises(PluginError, match="answers 401 UNAUTHORIZED: log in") as caught:
            Registry(reference(basic_registry), credentials).pull(tmp_path)
        assert "hush" not in str(caught.value)
    with pytest.raises(PluginError, match="manifest none: the registry answers 404 MANIFEST_UNKNOWN: it is not there"):
        Registry(reference(basic_registry, "none"), ME).pull(tmp_path)


def test_the_login_of_docker(basic_registry: RegistryServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = make_package(tmp_path)
    push(basic_registry, package)
    auth = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    (tmp_path / "config.json").write_text(json.dumps({"auths": {basic_registry.host: {"auth": auth}}}))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    assert Registry(reference(basic_registry)).pull(tmp_path).package.read_bytes() == package.read_bytes()


@pytest.fixture
def swapped(tmp_path: Path) -> Iterator[RegistryServer]:
    """A registry of its own: tests break it. It verifies nothing of what it gives out."""
    with registry(tmp_path / "swapped", auth=BASIC) as server:
        yield server


def test_a_flipped_byte_is_noticed(swapped: RegistryServer, tmp_path: Path) -> None:
    make_key(tmp_path / "key")
    package = make_package(tmp_path, key=tmp_path / "key")
    pushed = push(swapped, package)
    manifest = json.loads(swapped.blob(pushed.digest).read_bytes())
    for layer in manifest["layers"]:
        blob = swapped.blob(layer["digest"])
        good = blob.read_bytes()
        for bad in (bytes((good[0] ^ 1,)) + good[1:], good[:-1] + bytes((good[-1] ^ 1,))):
            blob.write_bytes(bad)
            with pytest.raises(PluginRejected, match="it was changed"):
                pull(swapped, tmp_path / "in")
        blob.write_bytes(good + b"more")
        with pytest.raises(PluginError, match=r"is larger than|broke off|was changed"):
            pull(swapped, tmp_path / "in")
        blob.write_bytes(good)
    assert pull(swapped, tmp_path / "in").read_bytes() == package.read_bytes()


def test_a_changed_manifest_is_noticed(swapped: RegistryServer, tmp_path: Path) -> None:
    pushed = push(swapped, make_package(tmp_path))
    blob = swapped.blob(pushed.digest)
    changed = blob.read_bytes().replace(b'image.title":"demo"', b'image.title":"demi"')
    assert changed != blob.read_bytes()
    blob.write_bytes(changed)
    for what in (reference(swapped), pushed):
        with pytest.raises(PluginError):  # by us, or by the registry
            pull(swapped, tmp_path / "in", what)


def test_a_swapped_tag_is_noticed_by_digest(swapped: RegistryServer, tmp_path: Path) -> None:
    first = push(swapped, make_package(tmp_path), "1.0.0")
    other = push(swapped, make_package(tmp_path, "other"), "other")
    swapped.retag("acme/demo", "1.0.0", other.digest)
    assert pull(swapped, tmp_path / "in") == tmp_path / "in" / "package.ksp"  # a tag may move: the stage compares
    exact = parse_reference(str(first))
    assert exact.digest
    assert pull(swapped, tmp_path / "in", exact).read_bytes() == (tmp_path / "demo-1.0.0.ksp").read_bytes()


def test_a_token_service_over_tls(trusted: Authority, tmp_path: Path) -> None:
    package = make_package(tmp_path)
    with (
        token_service(tmp_path / "tokens", trusted) as (tokens, auth),
        registry(tmp_path / "registry", auth=auth, tls=trusted) as server,
    ):
        pushed = push(server, package)
        assert pull(server, tmp_path / "in", pushed).read_bytes() == package.read_bytes()
        scopes = [path for _, path, _ in tokens.asked]
        assert any("push" in scope and "pull" in scope for scope in scopes)
        assert Registry(pushed, Credentials(refresh_token=PASSWORD)).pull(tmp_path).reference == pushed
        for credentials in (Credentials(), Credentials(USER, "wrong hush"), Credentials(refresh_token="hush")):
            with pytest.raises(PluginError, match="a login: the registry answers 401") as caught:
                Registry(pushed, credentials).pull(tmp_path)
            assert "hush" not in str(caught.value)


def test_tls_is_not_given_up_for_a_certificate(authority: Authority, tmp_path: Path) -> None:
    """A registry of this machine may have no TLS; one whose certificate is wrong is not asked in the clear."""
    with (
        registry(tmp_path / "registry", auth=BASIC, tls=authority) as server,
        pytest.raises(PluginError, match="its certificate is not trusted"),
    ):
        Registry(reference(server), ME).pull(tmp_path)


# What no honest registry does: a server of ours says it.


def lie(site: Site, manifest: Any, blobs: dict[str, bytes], headers: dict[str, str] | None = None) -> Reference:
    data = manifest if isinstance(manifest, bytes) else json.dumps(manifest).encode()

    def answer(handler: Any) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(data)))
        for name, value in (headers or {}).items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(data)

    site.pages["/v2/demo/manifests/1"] = answer
    site.pages |= {f"/v2/demo/blobs/{digest}": blob for digest, blob in blobs.items()}
    return parse_reference(f"oci://{site.url.removeprefix('https://')}/demo:1")


def manifest_of(digest: str, size: int, **other: Any) -> dict[str, Any]:
    kind = "application/vnd.kubeshark.plugin.package.v1+zip"
    layers = [{"mediaType": kind, "digest": digest, "size": size}]
    return {"schemaVersion": 2, "artifactType": "application/vnd.kubeshark.plugin.v1", "layers": layers} | other


GOOD = f"sha256:{hashlib.sha256(b'x').hexdigest()}"


@pytest.mark.parametrize(
    ("manifest", "reason"),
    [
        (b"<html>", "manifest cannot be read"),
        (b"[" * 100_000, "manifest cannot be read"),
        (b"{" * (2 << 20), "is larger than"),
        ({"schemaVersion": 2}, "is no plugin"),
        (
            manifest_of(GOOD, 1, artifactType="", config={"mediaType": "an/image", "digest": "x", "size": 1}),
            "'an/image'",
        ),
        (manifest_of(GOOD, 1, layers=[]), "other layers"),
        (manifest_of("sha256:../../x", 1), "a layer says"),
        (manifest_of("sha512:" + "a" * 128, 1), "a layer says"),
        (manifest_of(GOOD, 0), "a layer says"),
        (manifest_of(GOOD, -1), "a layer says"),
        (manifest_of(GOOD, 1 << 40), "a layer says"),
        (manifest_of(GOOD, 2), "it was changed"),
        (manifest_of(f"sha256:{'a' * 64}", 1), "answers 404"),
    ],
)
def test_lying_manifests(manifest: Any, reason: str, web_site: Site, tmp_path: Path) -> None:
    what = lie(web_site, manifest, {GOOD: b"x"})
    with pytest.raises(PluginError, match=reason):
        Registry(what, Credentials()).pull(tmp_path)


def test_a_digest_that_is_not_the_manifests(web_site: Site, tmp_path: Path) -> None:
    what = lie(web_site, manifest_of(GOOD, 1), {GOOD: b"x"}, {"Docker-Content-Digest": GOOD})
    with pytest.raises(PluginRejected, match=r"its manifest is sha256:.*, not sha256:"):
        Registry(what, Credentials()).pull(tmp_path)


def test_a_challenge_that_leads_elsewhere(web_site: Site, tmp_path: Path) -> None:
    """Credentials go to the service that the registry names, by https only."""

    def challenge(handler: Any) -> None:
        handler.send_response(401)
        handler.send_header("WWW-Authenticate", 'Bearer realm="http://example.org/token",service="x"')
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    web_site.pages["/v2/demo/manifests/1"] = challenge
    what = parse_reference(f"oci://{web_site.url.removeprefix('https://')}/demo:1")
    with pytest.raises(PluginError, match="is not reached by https"):
        Registry(what, ME).pull(tmp_path)
