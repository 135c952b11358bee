"""Rows of SSH: what the ends told each other, and the part of it that tells them apart."""

from __future__ import annotations

from kubeshark.pipeline.renderers._summaries import Said, summary

__all__ = ["summarize"]

ABOUT = ("ssh_host_key_fingerprint", "ssh_kex", "ssh_server_software", "ssh_client_software", "ssh_hassh")

summarize = summary("ssh", "ssh_type", Said(*ABOUT))
