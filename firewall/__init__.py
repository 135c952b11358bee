"""The firewall: policies, compiled rules, and what they would do to recorded traffic."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kubeshark._lazy import lazily

if TYPE_CHECKING:
    from kubeshark._document import DocumentError as DocumentError
    from kubeshark.firewall.names._recorded_names import RecordedNames as RecordedNames
    from kubeshark.firewall.policies._compile import Attachment as Attachment
    from kubeshark.firewall.policies._compile import Compiled as Compiled
    from kubeshark.firewall.policies._compile import Member as Member
    from kubeshark.firewall.policies._compile import compile_policies as compile_policies
    from kubeshark.firewall.policies._inventory import Inventory as Inventory
    from kubeshark.firewall.policies._inventory import load_inventory as load_inventory
    from kubeshark.firewall.policies._inventory import parse_inventory as parse_inventory
    from kubeshark.firewall.policies._policy import Policy as Policy
    from kubeshark.firewall.policies._policy import Subject as Subject
    from kubeshark.firewall.policies._policy import load_policies as load_policies
    from kubeshark.firewall.policies._policy import parse_policies as parse_policies
    from kubeshark.firewall.policies._policy import parse_subject as parse_subject
    from kubeshark.firewall.policies._policy import policy_schema as policy_schema
    from kubeshark.firewall.recorded._learn import LearnedRule as LearnedRule
    from kubeshark.firewall.recorded._learn import Lesson as Lesson
    from kubeshark.firewall.recorded._learn import learn as learn
    from kubeshark.firewall.recorded._learned_text import lesson_as_network_policies as lesson_as_network_policies
    from kubeshark.firewall.recorded._learned_text import lesson_as_policies as lesson_as_policies
    from kubeshark.firewall.recorded._report import changes_text as changes_text
    from kubeshark.firewall.recorded._report import simulation_document as simulation_document
    from kubeshark.firewall.recorded._report import simulation_text as simulation_text
    from kubeshark.firewall.recorded._simulate import Change as Change
    from kubeshark.firewall.recorded._simulate import Coverage as Coverage
    from kubeshark.firewall.recorded._simulate import Line as Line
    from kubeshark.firewall.recorded._simulate import Simulation as Simulation
    from kubeshark.firewall.recorded._simulate import simulate as simulate
    from kubeshark.firewall.rules._model import FlowTable as FlowTable
    from kubeshark.firewall.rules._model import Packet as Packet
    from kubeshark.firewall.rules._model import decide as decide
    from kubeshark.firewall.rules._rules import MAX_RULES as MAX_RULES
    from kubeshark.firewall.rules._rules import Action as Action
    from kubeshark.firewall.rules._rules import Direction as Direction
    from kubeshark.firewall.rules._rules import Exempt as Exempt
    from kubeshark.firewall.rules._rules import Reason as Reason
    from kubeshark.firewall.rules._rules import Rule as Rule
    from kubeshark.firewall.rules._rules import RuleSet as RuleSet
    from kubeshark.firewall.rules._rules import Tier as Tier
    from kubeshark.firewall.rules._rules import Traffic as Traffic
    from kubeshark.firewall.rules._rules import Verdict as Verdict
    from kubeshark.firewall.sets._kept import Kept as Kept
    from kubeshark.firewall.sets._kept import NewPolicy as NewPolicy
    from kubeshark.firewall.sets._kept import PolicyChanged as PolicyChanged
    from kubeshark.firewall.sets._kept import PolicyOwned as PolicyOwned
    from kubeshark.firewall.sets._kept import PolicyStore as PolicyStore

__all__ = [
    "MAX_RULES",
    "Action",
    "Attachment",
    "Change",
    "Compiled",
    "Coverage",
    "Direction",
    "DocumentError",
    "Exempt",
    "FlowTable",
    "Inventory",
    "Kept",
    "LearnedRule",
    "Lesson",
    "Line",
    "Member",
    "NewPolicy",
    "Packet",
    "Policy",
    "PolicyChanged",
    "PolicyOwned",
    "PolicyStore",
    "Reason",
    "RecordedNames",
    "Rule",
    "RuleSet",
    "Simulation",
    "Subject",
    "Tier",
    "Traffic",
    "Verdict",
    "changes_text",
    "compile_policies",
    "decide",
    "learn",
    "lesson_as_network_policies",
    "lesson_as_policies",
    "load_inventory",
    "load_policies",
    "parse_inventory",
    "parse_policies",
    "parse_subject",
    "policy_schema",
    "simulate",
    "simulation_document",
    "simulation_text",
]

if not TYPE_CHECKING:
    __getattr__ = lazily(
        __name__,
        {
            "policies._compile": "Attachment Compiled Member compile_policies",
            "policies._inventory": "Inventory load_inventory parse_inventory",
            "sets._kept": "Kept NewPolicy PolicyChanged PolicyOwned PolicyStore",
            "recorded._learn": "LearnedRule Lesson learn",
            "recorded._learned_text": "lesson_as_network_policies lesson_as_policies",
            "rules._model": "FlowTable Packet decide",
            "policies._policy": "DocumentError Policy Subject load_policies parse_policies parse_subject policy_schema",
            "names._recorded_names": "RecordedNames",
            "recorded._report": "changes_text simulation_document simulation_text",
            "rules._rules": "MAX_RULES Action Direction Exempt Reason Rule RuleSet Tier Traffic Verdict",
            "recorded._simulate": "Change Coverage Line Simulation simulate",
        },
    )
