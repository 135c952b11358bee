"""Rotation changes who opens a store and nothing that is in it."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from kubeshark.core_capture.store import Identity, Store
from kubeshark.errors import StoreError
from tests.core_capture.store._bench import Bench


def test_the_new_identity_reads_and_the_old_does_not(bench: Bench) -> None:
    bench.fill()
    bench.fill()
    before = bench.open().segments()
    after = Identity.from_key(X25519PrivateKey.generate())
    assert bench.open().rotate_keys([after.recipient]) == (5, [])
    with pytest.raises(StoreError, match=f"needs the identity of {after.recipient}"):
        bench.open().segments()
    store = Store.open(bench.path, identities=[after])
    assert store.segments() == before
    assert store.verify([bench.key.public]).is_sound
    assert not store.info().leftovers


def test_files_for_others_stay_as_they_are(bench: Bench) -> None:
    bench.fill()
    stranger = Identity.from_key(X25519PrivateKey.generate())
    before = bench.files()
    store = Store.open(bench.path, identities=[stranger])
    count, problems = store.rotate_keys([stranger.recipient])
    assert (count, len(problems)) == (0, 3)
    assert bench.files() == before


def test_a_writer_keeps_it_out(bench: Bench) -> None:
    with bench.writer(), pytest.raises(StoreError, match="another process writes"):
        bench.open().rotate_keys([bench.me.recipient])
