"""What the firewall says when it cannot do on this machine what it was asked."""

from __future__ import annotations

import errno

from kubeshark.core_capture.ebpf import EbpfError, refused

__all__ = ["FirewallError", "firewall_failed"]

_TOO_MANY = "the policy names more networks than the tables hold; join them"


class FirewallError(EbpfError):
    """The firewall cannot do on this machine what it was asked."""


def firewall_failed(doing: str, number: int, detail: str = "") -> FirewallError:
    """Say in one line what failed, why, and what to do."""
    said = refused(doing, number, detail)
    hint = _TOO_MANY if number in (errno.E2BIG, errno.ENOSPC) else said.hint
    return FirewallError(said.message.replace("eBPF", "firewall", 1), hint=hint)
