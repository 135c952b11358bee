"""Rows of FTP: the command, its argument, the reply."""

from __future__ import annotations

from kubeshark.pipeline.renderers._summaries import Said, summary

__all__ = ["summarize"]


summarize = summary("ftp", "ftp_command", Said("ftp_argument", "ftp_reply"), "ftp_status")
