"""The firewall: policies, compiled rules, and what they would do to recorded traffic."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kubeshark._lazy import lazily

if TYPE_CHECKING:
    from kubeshark.firewall._model import FlowTable as FlowTable
    from kubeshark.firewall._model import Packet as Packet
    from kubeshark.firewall._model import decide as decide
    from kubeshark.firewall._rules import MAX_RULES as MAX_RULES
    from kubeshark.firewall._rules import Action as Action
    from kubeshark.firewall._rules import Direction as Direction
    from kubeshark.firewall._rules import Exempt as Exempt
    from kubeshark.firewall._rules import Reason as Reason
    from kubeshark.firewall._rules import Rule as Rule
    from kubeshark.firewall._rules import RuleSet as RuleSet
    from kubeshark.firewall._rules import Tier as Tier
    from kubeshark.firewall._rules import Traffic as Traffic
    from kubeshark.firewall._rules import Verdict as Verdict

__all__ = [
    "MAX_RULES",
    "Action",
    "Direction",
    "Exempt",
    "FlowTable",
    "Packet",
    "Reason",
    "Rule",
    "RuleSet",
    "Tier",
    "Traffic",
    "Verdict",
    "decide",
]

if not TYPE_CHECKING:
    __getattr__ = lazily(
        __name__,
        {
            "_model": "FlowTable Packet decide",
            "_rules": "MAX_RULES Action Direction Exempt Reason Rule RuleSet Tier Traffic Verdict",
        },
    )
