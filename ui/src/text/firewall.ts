/** Texts of views/firewall.tsx. */

import { bytes, count, plural } from "../core/format";

export const texts = {
  kept: "Policies",
  none: "No policy is kept.",
  columns: { name: "Name", tier: "Tier", priority: "Priority", mode: "Mode", rules: "Rules", actions: "Actions" },
  edit: "Edit",
  editNamed: (name: string): string => `Edit ${name}`,
  remove: "Delete …",
  removeNamed: (name: string): string => `Delete ${name} …`,
  removeAsk: (name: string): string => `Delete the policy ${name}? What it enforces goes on until the next apply.`,
  removed: (name: string): string => `${name} is deleted`,
  needs: "To write, check and simulate policies needs the role operator.",
  write: "Write and try",
  policy: "Policy, YAML or JSON",
  inventory: "Who has which address (optional): YAML or JSON, or what kubectl get pods,namespaces,nodes -A -o json prints",
  check: "Check",
  simulate: "Simulate",
  simulateTitle: "On the recorded traffic that the filter and the time of Traffic choose",
  keep: "Keep",
  keepTitle: "Kept policies are what kubeshark firewall apply takes",
  keptDone: (name: string): string => `${name} is kept`,
  oneName: "Keep takes one policy at a time: it has a name under metadata.",
  at: (line: number, column: number): string => `line ${line}, column ${column}: `,
  sound: (policies: readonly string[], attachments: number, rules: number): string =>
    `${policies.join(", ")}: sound; ${plural(attachments, "attachment")} with ${plural(rules, "compiled rule")}`,
  judged: (judged: number, flows: number, packets: number): string => `${count(judged)} of ${plural(flows, "connection")} with ${plural(packets, "packet")} judged`,
  adding: "Judging what was recorded …",
  rule: "Rule",
  verdict: "Verdict",
  flows: "Connections",
  packets: "Packets",
  size: "Bytes",
  peers: "Peers",
  entries: "Entries",
  results: "What the policies would have done",
  ruleName: (direction: string, policy: string, name: string): string => [policy, direction, name].filter(Boolean).join(" · "),
  peer: (name: string, flows: number): string => `${name} (${count(flows)})`,
  bytes,
  template: `apiVersion: kubeshark.io/v1
kind: FirewallPolicy
metadata: {name: my-policy}
spec:
  tier: Admin
  priority: 100
  mode: Audit # Deny and Reject are only recorded; Enforce does them
  subject:
    host: {}
  ingress:
    - name: web
      action: Accept
      from: [{networks: ["0.0.0.0/0", "::/0"]}]
      protocols: [{tcp: {destinationPort: {number: 443}}}]
`,
} as const;
