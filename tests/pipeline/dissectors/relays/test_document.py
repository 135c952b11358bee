"""KFL variables as JSON's names."""

from __future__ import annotations

from kubeshark.pipeline.dissectors.relays._document import document_of


def test_names() -> None:
    fields = {"socks_host": "example.com", "socks_bound_port": 80, "socks_status_text": "succeeded"}
    assert document_of(fields, "socks") == {"host": "example.com", "boundPort": 80, "statusText": "succeeded"}
