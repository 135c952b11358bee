"""The policy of the reference, and pieces of others."""

from __future__ import annotations

from kubeshark.firewall.policies._inventory import Inventory, parse_inventory
from kubeshark.firewall.policies._policy import Policy, parse_policies

SHOP = """\
apiVersion: kubeshark.io/v1
kind: FirewallPolicy
metadata: {name: shop-db, labels: {team: shop}}
spec:
  tier: Admin
  priority: 100
  mode: Audit
  ttl: 2h
  confirmWithin: 60s
  subject:
    pods: {namespaceSelector: {matchLabels: {name: shop}}, podSelector: {matchLabels: {app: db}}}
  ingress:
    - name: from-stock
      action: Accept
      from:
        - pods: {namespaceSelector: {matchLabels: {name: shop}}, podSelector: {matchLabels: {app: stock}}}
        - networks: ["10.20.0.0/16", "fd00:20::/32"]
      protocols: [{tcp: {destinationPort: {number: 5432}}}]
    - {name: watch-admins, action: Audit, from: [{networks: ["10.9.0.0/24"]}]}
    - {name: rest, action: Reject, from: [{networks: ["0.0.0.0/0", "::/0"]}]}
  egress:
    - name: dns
      action: Accept
      to: [{namespaces: {matchLabels: {name: kube-system}}}]
      protocols: [{udp: {destinationPort: {number: 53}}}, {tcp: {destinationPort: {number: 53}}}]
    - name: updates
      action: Accept
      to: [{domainNames: ["*.updates.example.test"]}]
      protocols: [{tcp: {destinationPort: {number: 443}}}]
    - name: high
      action: Deny
      to: [{networks: ["0.0.0.0/0", "::/0"]}]
      protocols: [{tcp: {destinationPort: {range: {start: 1024, end: 65535}}}}]
"""

INVENTORY = """\
namespaces: [{name: shop, labels: {name: shop}}, {name: kube-system, labels: {name: kube-system}}]
pods:
  - {name: db-1, namespace: shop, labels: {app: db}, addresses: [10.20.0.1, "fd00::1"]}
  - {name: db-2, namespace: shop, labels: {app: db}, addresses: [10.20.0.2]}
  - {name: db-host, namespace: shop, labels: {app: db}, addresses: [192.0.2.1], hostNetwork: true}
  - {name: stock-7f, namespace: shop, labels: {app: stock}, addresses: [10.30.0.7]}
  - {name: dns-1, namespace: kube-system, labels: {app: dns}, addresses: [10.96.0.10]}
nodes: [{name: node-1, labels: {zone: a}, addresses: [192.0.2.1]}]
names: {a.updates.example.test: [198.51.100.7], other.example.test: [198.51.100.8]}
"""

EVERYBODY = '[{networks: ["0.0.0.0/0", "::/0"]}]'


def shop() -> list[Policy]:
    return parse_policies(SHOP.encode(), "shop.yaml")


def inventory() -> Inventory:
    return parse_inventory(INVENTORY.encode(), "inventory.yaml")


def policy(
    rules: str, *, name: str = "p", tier: str = "Admin", priority: int = 1, subject: str = "{host: true}"
) -> str:
    """Return a policy; `rules` are the lines of ingress and egress, indented by two."""
    return (
        "apiVersion: kubeshark.io/v1\nkind: FirewallPolicy\n"
        f"metadata: {{name: {name}}}\nspec:\n  tier: {tier}\n  priority: {priority}\n  mode: Enforce\n"
        f"  subject: {subject}\n{rules}\n"
    )
