"""The firewall: policies, compiled rules, and what they would do to recorded traffic."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kubeshark._lazy import lazily

if TYPE_CHECKING:
    from kubeshark._document import DocumentError as DocumentError
    from kubeshark.firewall._compile import Attachment as Attachment
    from kubeshark.firewall._compile import Compiled as Compiled
    from kubeshark.firewall._compile import Member as Member
    from kubeshark.firewall._compile import compile_policies as compile_policies
    from kubeshark.firewall._inventory import Inventory as Inventory
    from kubeshark.firewall._inventory import load_inventory as load_inventory
    from kubeshark.firewall._inventory import parse_inventory as parse_inventory
    from kubeshark.firewall._kept import Kept as Kept
    from kubeshark.firewall._kept import NewPolicy as NewPolicy
    from kubeshark.firewall._kept import PolicyChanged as PolicyChanged
    from kubeshark.firewall._kept import PolicyOwned as PolicyOwned
    from kubeshark.firewall._kept import PolicyStore as PolicyStore
    from kubeshark.firewall._learn import LearnedRule as LearnedRule
    from kubeshark.firewall._learn import Lesson as Lesson
    from kubeshark.firewall._learn import learn as learn
    from kubeshark.firewall._learned_text import lesson_as_network_policies as lesson_as_network_policies
    from kubeshark.firewall._learned_text import lesson_as_policies as lesson_as_policies
    from kubeshark.firewall._model import FlowTable as FlowTable
    from kubeshark.firewall._model import Packet as Packet
    from kubeshark.firewall._model import decide as decide
    from kubeshark.firewall._policy import Policy as Policy
    from kubeshark.firewall._policy import Subject as Subject
    from kubeshark.firewall._policy import load_policies as load_policies
    from kubeshark.firewall._policy import parse_policies as parse_policies
    from kubeshark.firewall._policy import parse_subject as parse_subject
    from kubeshark.firewall._policy import policy_schema as policy_schema
    from kubeshark.firewall._recorded_names import RecordedNames as RecordedNames
    from kubeshark.firewall._report import changes_text as changes_text
    from kubeshark.firewall._report import simulation_document as simulation_document
    from kubeshark.firewall._report import simulation_text as simulation_text
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
    from kubeshark.firewall._simulate import Change as Change
    from kubeshark.firewall._simulate import Coverage as Coverage
    from kubeshark.firewall._simulate import Line as Line
    from kubeshark.firewall._simulate import Simulation as Simulation
    from kubeshark.firewall._simulate import simulate as simulate

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
            "_compile": "Attachment Compiled Member compile_policies",
            "_inventory": "Inventory load_inventory parse_inventory",
            "_kept": "Kept NewPolicy PolicyChanged PolicyOwned PolicyStore",
            "_learn": "LearnedRule Lesson learn",
            "_learned_text": "lesson_as_network_policies lesson_as_policies",
            "_model": "FlowTable Packet decide",
            "_policy": "DocumentError Policy Subject load_policies parse_policies parse_subject policy_schema",
            "_recorded_names": "RecordedNames",
            "_report": "changes_text simulation_document simulation_text",
            "_rules": "MAX_RULES Action Direction Exempt Reason Rule RuleSet Tier Traffic Verdict",
            "_simulate": "Change Coverage Line Simulation simulate",
        },
    )
