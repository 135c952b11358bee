"""Rows of RADIUS exchanges: the request, who it is about, the code of the answer."""

from __future__ import annotations

from kubeshark.pipeline.renderers._halves import attributes, halves, titled
from kubeshark.pipeline.renderers._summaries import Said, summary

__all__ = ["render", "summarize"]

summarize = summary(
    "radius", "radius_code_name", Said("radius_username", "radius_session_id", "radius_nas"), "status_code"
)

REQUEST = {
    "radius_code_name": "Code",
    "radius_username": "User",
    "radius_nas": "NAS",
    "radius_request_authenticator": "Authenticator",
    "radius_request_length": "Bytes",
}
RESPONSE = {"radius_reply_name": "Code", "status_code": "Code number", "radius_response_length": "Bytes"}

render = halves("radius", titled("Request", REQUEST, attributes), titled("Response", RESPONSE, attributes))
