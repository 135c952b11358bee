"""Signed sets: of a hub of this cluster, whole, or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from kubeshark._certificates import issue
from kubeshark.core_capture.store.places._tls_files import TlsFiles
from kubeshark.errors import StoreError, UsageError
from kubeshark.firewall.sets._signed import seal, unseal

HUB = ["kubeshark-hub"]
DOCUMENT = {"issue": 1, "text": "# why – ö\n"}


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pki")
    issue(folder / "ours", ["node-1"])
    issue(folder / "theirs", ["node-1"])
    return folder


def files(folder: Path) -> TlsFiles:
    return TlsFiles.in_folder(folder)


def test_there_and_back(pki: Path) -> None:
    envelope = json.loads(json.dumps(seal(DOCUMENT, files(pki / "ours/hub"))))
    assert unseal(envelope, pki / "ours/node-1/ca.crt", HUB) == DOCUMENT


@pytest.mark.parametrize(
    "spoil",
    [
        lambda sealed: {**sealed, "body": sealed["body"].replace("1", "2")},
        lambda sealed: {**sealed, "signature": "AAAA"},
        lambda sealed: {**sealed, "signature": "not base64"},
        lambda sealed: {**sealed, "certificate": ""},
        lambda sealed: {**sealed, "certificate": sealed["certificate"] * 9},
        lambda sealed: {"body": sealed["body"]},
        lambda _: "a text",
    ],
)
def test_what_was_changed_is_refused(pki: Path, spoil: Callable[[dict[str, str]], object]) -> None:
    with pytest.raises(UsageError, match="no hub of this cluster signed"):
        unseal(spoil(seal(DOCUMENT, files(pki / "ours/hub"))), pki / "ours/node-1/ca.crt", HUB)


def test_others_cannot_sign(pki: Path) -> None:
    authority = pki / "ours/node-1/ca.crt"
    for who in ("theirs/hub", "ours/node-1"):  # another cluster's hub; a worker of ours, whose key lies on its node
        with pytest.raises(UsageError, match="no hub of this cluster signed"):
            unseal(seal(DOCUMENT, files(pki / who)), authority, HUB)
    with pytest.raises(UsageError, match="may do this"):
        unseal(seal(DOCUMENT, files(pki / "ours/hub")), authority, ["another-hub"])
    with pytest.raises(StoreError, match="nothing can be signed"):
        seal(DOCUMENT, files(pki / "nowhere"))
