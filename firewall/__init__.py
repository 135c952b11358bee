"""The firewall: policies, compiled rules, and what they would do to recorded traffic."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kubeshark._lazy import lazily

if TYPE_CHECKING:
    from kubeshark.firewall._compile import Attachment as Attachment
    from kubeshark.firewall._compile import Compiled as Compiled
    from kubeshark.firewall._compile import Member as Member
    from kubeshark.firewall._compile import compile_policies as compile_policies
    from kubeshark.firewall._document import DocumentError as DocumentError
    from kubeshark.firewall._inventory import Inventory as Inventory
    from kubeshark.firewall._inventory import load_inventory as load_inventory
    from kubeshark.firewall._inventory import parse_inventory as parse_inventory
    from kubeshark.firewall._model import FlowTable as FlowTable
    from kubeshark.firewall._model import Packet as Packet
    from kubeshark.firewall._model import decide as decide
    from kubeshark.firewall._policy import Policy as Policy
    from kubeshark.firewall._policy import load_policies as load_policies
    from kubeshark.firewall._policy import parse_policies as parse_policies
    from kubeshark.firewall._policy import policy_schema as policy_schema
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
    "Attachment",
    "Compiled",
    "Direction",
    "DocumentError",
    "Exempt",
    "FlowTable",
    "Inventory",
    "Member",
    "Packet",
    "Policy",
    "Reason",
    "Rule",
    "RuleSet",
    "Tier",
    "Traffic",
    "Verdict",
    "compile_policies",
    "decide",
    "load_inventory",
    "load_policies",
    "parse_inventory",
    "parse_policies",
    "policy_schema",
]

if not TYPE_CHECKING:
    __getattr__ = lazily(
        __name__,
        {
            "_compile": "Attachment Compiled Member compile_policies",
            "_document": "DocumentError",
            "_inventory": "Inventory load_inventory parse_inventory",
            "_model": "FlowTable Packet decide",
            "_policy": "Policy load_policies parse_policies policy_schema",
            "_rules": "MAX_RULES Action Direction Exempt Reason Rule RuleSet Tier Traffic Verdict",
        },
    )
