"""Rows of STUN: the method, the address it found, the error code."""

from __future__ import annotations

from kubeshark.pipeline.renderers._halves import attributes, halves, titled
from kubeshark.pipeline.renderers._summaries import Said, summary

__all__ = ["render", "summarize"]

ABOUT = ("stun_relayed_address", "stun_mapped_address", "stun_peer_address", "stun_username", "stun_software")

summarize = summary("stun", "stun_method", Said(*ABOUT), "stun_error_code")


REQUEST = {"stun_method": "Method", "stun_username": "User", "stun_request_size": "Bytes"}
RESPONSE = {
    "stun_mapped_address": "Mapped address",
    "stun_relayed_address": "Relayed address",
    "stun_software": "Software",
    "stun_response_size": "Bytes",
}

render = halves("stun", titled("Request", REQUEST, attributes), titled("Response", RESPONSE, attributes))
