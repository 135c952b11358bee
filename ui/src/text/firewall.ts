/** Texts of views/firewall.tsx, parts/firewall-status.tsx and parts/firewall-events.tsx. */

import type { Feed } from "../core/firewall";
import { bytes, count, plural } from "../core/format";

const ruleName = (direction: string, policy: string, name: string): string => [policy, direction, name].filter(Boolean).join(" · ");

export const texts = {
  kept: "Policies",
  none: "No policy is kept.",
  columns: { name: "Name", tier: "Tier", priority: "Priority", mode: "Mode", rules: "Rules", actions: "Actions" },
  edit: "Edit",
  editNamed: (name: string): string => `Edit ${name}`,
  remove: "Delete …",
  removeNamed: (name: string): string => `Delete ${name} …`,
  removeAsk: (name: string): string => `Delete the policy ${name}? No node enforces it any more.`,
  removed: (name: string): string => `${name} is deleted`,
  needs: "To write, check and simulate policies needs the role operator.",
  write: "Write and try",
  policy: "Policy, YAML or JSON",
  inventory: "Who has which address (optional): YAML or JSON, or what kubectl get pods,namespaces,nodes -A -o json prints",
  check: "Check",
  simulate: "Simulate",
  simulateTitle: "On the recorded traffic that the filter and the time of Traffic choose",
  subject: "Subject",
  subjectHint: "host",
  subjectTitle: "host, interface:eth0, namespace:shop, pods:shop/app=db",
  learn: "Learn",
  learnTitle: "Propose what accepts the recorded traffic that the filter and the time of Traffic choose",
  learned: (rules: number, flows: number): string => `Proposed: ${plural(rules, "rule")} from ${plural(flows, "connection")}. Not seen then:`,
  apply: "Apply …",
  applyTitle: "On all nodes; simulate this text first",
  applyAsk: (name: string, attachments: number, rules: number, isEnforced: boolean, within: number): string =>
    `Apply ${name} on all nodes? With the others it makes ${plural(attachments, "attachment")} with ${plural(rules, "compiled rule")}; ` +
    `${isEnforced ? "Deny and Reject are done" : "its mode says whether Deny and Reject are done"}; ${within ? `undone after ${plural(within, "second")} unless confirmed` : "for good"}.`,
  applied: (name: string): string => `${name} is applied`,
  mode: "Mode",
  modes: { written: "as written", enforce: "Enforce" },
  within: "Undone after seconds, 0: never",
  rollout: "Rollout",
  rollouts: { all: "all nodes at once", node: "one node after the other" },
  oneName: "Apply takes one policy at a time: it has a name under metadata.",
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
  ruleName,
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
    host: true
  ingress:
    - name: web
      action: Accept
      from: [{networks: ["0.0.0.0/0", "::/0"]}]
      protocols: [{tcp: {destinationPort: {number: 443}}}]
`,
} as const;

export const status = {
  title: "Enforced now",
  noNodes: "No worker enforces: policies are kept, and done nowhere. Start one with kubeshark worker --firewall, and the hub with --worker.",
  nodes: "Nodes",
  counters: "Counters of rules",
  node: "Node",
  state: "State",
  generation: "Generation",
  hooks: "Hooks",
  events: "Events",
  rule: "Rule",
  action: "Action",
  packets: "Packets",
  size: "Bytes",
  bytes,
  ruleName,
  hook: (target: string, device: string, kind: string): string => `${target} at ${device} (${kind})`,
  notEnforced: (target: string, where: string, why: string): string => `${target}: ${where}: ${why}`,
  eventsOf: (events: number, lost: number): string => (lost ? `${count(events)}, ${count(lost)} lost` : count(events)),
  undoneIn: (left: number): string => `Undone in ${Math.max(0, Math.ceil(left))} s unless confirmed.`,
  needsAdmin: "To confirm or undo what is enforced needs the role admin.",
  confirm: "Confirm",
  confirmed: "Confirmed",
  undo: "Undo",
  undoTitle: "Back to the policies before the last change, on all nodes",
  undoAsk: "Go back to the policies before the last change, on all nodes?",
  undone: "Undone",
  took: ({ node, url, state, why }: { node: string; url: string; state: string; why: string }): string => [node || url, state, why].filter(Boolean).join(": "),
} as const;

export const events = {
  title: "Verdicts as they happen",
  table: "The latest verdicts",
  filter: "Filter",
  hint: 'verdict == "deny"',
  fields: "KFL over node, subject, policy, rule, action, verdict, direction, src.ip, dst.ip, src.port, dst.port, protocol, length, generation",
  apply: "Filter",
  pause: "Pause",
  none: "Nothing refused or recorded since this was opened.",
  counted: ({ lost, held, dropped }: Feed, isOpen: boolean): string =>
    [isOpen ? "" : "not connected", `${count(lost + dropped)} lost`, held.length ? `${count(held.length)} came while paused` : ""].filter(Boolean).join(" · "),
  time: "Time",
  node: "Node",
  verdict: "Verdict",
  rule: "Rule",
  from: "From",
  to: "To",
  at: (time: number): string => new Date(time * 1000).toISOString().slice(11, 23),
  where: (node: string, subject: string): string => `${node} · ${subject}`,
  end: (address: string, port: number | null): string => (port === null ? address : address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`),
  ruleName,
} as const;
