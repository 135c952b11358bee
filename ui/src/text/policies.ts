/** Texts of core/policies.ts: a policy that denies what an entry shows. */

export interface Ends {
  readonly client: string; // CIDRs
  readonly server: string;
  readonly port: number;
  readonly transport: "tcp" | "udp";
}

export const denies = (name: string, { client, server, port, transport }: Ends): string => `apiVersion: kubeshark.io/v1
kind: FirewallPolicy
metadata: {name: ${name}}
spec:
  tier: Admin
  priority: 100
  mode: Audit # Deny and Reject are only recorded; Enforce does them
  subject:
    host: true # every node itself; for pods: pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: …}}}
  ingress: # on the server's side: to this port of any subject
    - name: from-client
      action: Deny
      from: [{networks: ["${client}"]}]
      protocols: [{${transport}: {destinationPort: {number: ${port}}}}]
  egress: # on the client's side: from any subject
    - name: to-server
      action: Deny
      to: [{networks: ["${server}"]}]
      protocols: [{${transport}: {destinationPort: {number: ${port}}}}]
`;
