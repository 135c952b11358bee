"""The node's key: made once, kept private, and nothing else passes for it."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from kubeshark.core_capture.store import NodeKey
from kubeshark.core_capture.store.keys._signing import decode_signed, encode_signed, is_signed
from kubeshark.errors import Damaged, StoreError


def test_it_lies_beside_the_identity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBESHARK_IDENTITY", str(tmp_path / "keys" / "identity.age"))
    assert NodeKey.load() is None
    key = NodeKey.load_or_create()
    path = tmp_path / "keys" / "node.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert NodeKey.load_or_create().public == key.public
    assert "key=" not in repr(key)


def test_it_lies_elsewhere_where_the_identity_cannot_be_joined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBESHARK_IDENTITY", str(tmp_path / "secret" / "identity.age"))
    monkeypatch.setenv("KUBESHARK_NODE_KEY", str(tmp_path / "state" / "node.key"))
    key = NodeKey.load_or_create()
    assert not (tmp_path / "secret").exists()
    found = NodeKey.load(tmp_path / "state" / "node.key")
    assert found is not None and found.public == key.public


def test_signatures(node_key: NodeKey) -> None:
    signature = node_key.sign(b"content")
    assert is_signed(b"content", signature, node_key.public)
    assert not is_signed(b"Content", signature, node_key.public)
    assert not is_signed(b"content", bytes(64), node_key.public)
    assert not is_signed(b"content", b"", node_key.public)
    for public in ("", "zz", "00" * 31):
        assert not is_signed(b"content", signature, public)


def test_files_that_are_no_key(tmp_path: Path) -> None:
    other = X25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for content in (b"", b"noise", other):
        (tmp_path / "node.key").write_bytes(content)
        with pytest.raises(StoreError, match=r"node\.key"):
            NodeKey.load(tmp_path / "node.key")


def test_a_document_is_its_signers_and_whole(node_key: NodeKey) -> None:
    content = encode_signed({"rows": [1, 2]}, node_key)
    assert decode_signed(content, dict[str, list[int]], "file") == ({"rows": [1, 2]}, node_key.public)
    other = NodeKey.generate().public.encode()
    changed = [content.replace(b"[1,2]", b"[1,3]"), content.replace(node_key.public.encode(), other)]
    for forged in changed:
        with pytest.raises(Damaged, match="not signed by the node it names"):
            decode_signed(forged, dict[str, list[int]], "file")
    for broken in (b"", b"[]", b"[" * 100_000, content[:-1], content.replace(b"[1,2]", b'["1"]')):
        with pytest.raises(Damaged, match="file"):
            decode_signed(broken, dict[str, list[int]], "file")
