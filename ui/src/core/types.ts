/** Documents of the hub's REST API, as far as the page reads them. Unknown keys are ignored. */

export interface Session {
  readonly name: string;
  readonly role: string;
  readonly namespaces: readonly string[] | null;
  readonly rights: readonly string[];
  readonly redacted: boolean;
  readonly csrf: string;
}

export interface Check {
  readonly ok: boolean;
  readonly error?: string;
  readonly line?: number;
  readonly column?: number;
  readonly notices?: readonly string[];
}

export interface Explanation {
  readonly lines: readonly string[];
  readonly notices: readonly string[];
  readonly entries: number;
  readonly bytes_read: number;
  readonly seconds: number;
  readonly stopped: string;
}

export interface SavedFilter {
  readonly name: string;
  readonly kfl: string;
}

export interface Histogram {
  readonly start: number; // ns
  readonly width: number; // ns
  readonly series: Readonly<Record<string, readonly number[]>>;
  readonly entries: number;
  readonly stopped: string;
  readonly counted_until: string; // ns since 1970, where it stopped
}

/** What filters may name; read leniently, for completion only. */
export type Kfl = Readonly<Record<string, unknown>>;

export interface TableRow {
  readonly name: string;
  readonly value: string | number | boolean | null;
  readonly selector: string;
}

export interface Range {
  readonly start: number;
  readonly end: number;
  readonly selector: string;
  readonly name: string;
}

export interface Point {
  readonly t: number; // microseconds from the start
  readonly label: string;
  readonly direction: "client" | "server" | "";
}

export interface Section {
  readonly type: string;
  readonly title: string;
  readonly tableData?: readonly TableRow[];
  readonly encoding?: string;
  readonly mimeType?: string;
  readonly body?: string;
  readonly selector?: string;
  readonly ranges?: readonly Range[];
  readonly points?: readonly Point[];
  readonly plugin?: string;
  readonly micros?: number;
}

export interface Side {
  readonly ip: string;
  readonly port: string;
  readonly name: string;
}

export interface Protocol {
  readonly name: string;
  readonly abbr: string;
  readonly longName: string;
  readonly version: string;
  readonly referenceLink: string;
}

export interface Base {
  readonly id: string;
  readonly stream: string;
  readonly proto: Protocol;
  readonly method: string;
  readonly methodQuery: string;
  readonly summary: string;
  readonly summaryQuery: string;
  readonly status: number;
  readonly statusQuery: string;
  readonly timestamp: number;
  readonly src: Side;
  readonly dst: Side;
  readonly elapsedTime: number;
}

export const HALVES = ["request", "response", "event", "data"] as const;
export type Half = (typeof HALVES)[number];

export interface EntryData {
  readonly id: string;
  readonly stream: string;
  readonly startTime: string;
  readonly timestamp: number;
  readonly error: { readonly type: string; readonly msg: string } | null;
  readonly requestSize: number;
  readonly responseSize: number;
  readonly size: number;
  readonly elapsedTime: number;
  readonly src: Side;
  readonly dst: Side;
  readonly tls: boolean;
  readonly tags?: readonly string[];
  readonly plugin?: string;
  readonly networkProps?: { transport: string; retransmissions: number; outOfOrder: number; gaps: number; rttUs: number };
}

export interface Entry {
  readonly protocol: Protocol;
  readonly representation: Partial<Record<Half, readonly Section[]>>;
  readonly data: EntryData;
  readonly base: Base;
}

export interface Packet {
  readonly number: number;
  readonly time: number; // ns
  readonly captured: number;
  readonly original: number;
  readonly from_server: boolean;
  readonly payload_start: number;
  readonly payload_end: number;
  readonly tcp_flags: number;
  readonly of_entry: boolean;
}

export interface Stream {
  readonly pieces: readonly { from_server: boolean; time: number; data: string }[];
  readonly complete: boolean;
  readonly decrypted: boolean;
}

export interface Renderer {
  readonly name: string;
  readonly priority: number;
  readonly milliseconds: number;
  readonly chosen: boolean;
}

export interface MapNode {
  readonly id: string;
  readonly name: string;
  readonly namespace: string;
  readonly addresses: readonly string[];
  readonly calls_in: number;
  readonly calls_out: number;
  readonly kfl: string;
}
export interface MapAmount {
  readonly calls: number;
  readonly errors: number;
  readonly bytes: number;
  readonly latency_us: Readonly<Record<string, number>>;
}
export interface MapEdge extends MapAmount {
  readonly source: string;
  readonly target: string;
  readonly protocols: Readonly<Record<string, number>>;
  readonly kfl: string;
  readonly before: MapAmount | null;
  readonly change: "new" | "gone" | "changed" | "same" | null;
}
export interface ServiceMap {
  readonly nodes: readonly MapNode[];
  readonly edges: readonly MapEdge[];
  readonly hidden_edges: number;
  readonly entries: number;
  readonly stopped: string;
  readonly counted_until: string;
  readonly before_entries: number | null;
}

export interface TimelineBar {
  readonly first: number; // ns after the timeline's start
  readonly last: number;
  readonly entries: number;
  readonly errors: number;
  readonly protocol: string;
  readonly id: string;
}
export interface TimelineLane {
  readonly name: string;
  readonly kfl: string;
  readonly entries: number;
  readonly errors: number;
  readonly first: number;
  readonly last: number;
  readonly bars: readonly TimelineBar[];
}
export interface Timeline {
  readonly start: string; // ns since 1970
  readonly span: number;
  readonly lanes: readonly TimelineLane[];
  readonly hidden_lanes: number;
  readonly hidden_entries: number;
  readonly entries: number;
  readonly stopped: string;
  readonly counted_until: string;
}

export interface Policy {
  readonly name: string;
  readonly tier: string;
  readonly priority: number;
  readonly mode: string;
  readonly rules: number;
  readonly version: string;
  readonly text: string;
}
export interface Validation {
  readonly policies: readonly string[];
  readonly attachments: readonly { readonly rules: number }[];
  readonly warnings: readonly string[];
}
/** GET /firewall/status: what each node enforces. */
export interface FirewallRule {
  readonly policy: string;
  readonly rule: string;
  readonly direction: string;
  readonly action: string;
  readonly packets: number;
  readonly bytes: number;
}
export interface FirewallTarget {
  readonly name: string;
  readonly hooks: Readonly<Record<string, string>>; // by device
  readonly notEnforced: Readonly<Record<string, string>>;
  readonly rules: readonly FirewallRule[];
  readonly events: number;
  readonly lost: number;
}
export interface FirewallNode {
  readonly node: string;
  readonly url: string;
  readonly state: string;
  readonly why: string;
  readonly generation: number;
  readonly ms: number;
}
export interface FirewallNodeStatus extends FirewallNode {
  readonly restarts: number;
  readonly targets: readonly FirewallTarget[];
}
export interface FirewallStatus {
  readonly revision: number;
  readonly confirm_within: number | null; // seconds left
  readonly problem: string;
  readonly warnings: readonly string[];
  readonly nodes: readonly FirewallNodeStatus[];
}
export interface FirewallChange {
  readonly nodes: readonly FirewallNode[];
  readonly confirm_within: number | null;
  readonly warnings: readonly string[];
}
export interface FirewallApplied extends FirewallChange, Validation {
  readonly version: string; // "" after a dry run
}
/** What a new policy is applied with. */
export interface HowToApply {
  readonly enforce: boolean; // whatever its mode
  readonly confirmWithin: number; // seconds; 0: for good
  readonly rollout: "all" | "node";
}
export interface FirewallEvent {
  readonly time: number; // seconds since 1970
  readonly node: string;
  readonly subject: string;
  readonly policy: string | null;
  readonly rule: string | null;
  readonly verdict: string;
  readonly direction: string;
  readonly src: string;
  readonly dst: string;
  readonly srcPort: number | null;
  readonly dstPort: number | null;
}
export interface Learned {
  readonly text: string;
  readonly rules: number;
  readonly flows: number;
  readonly not_seen: readonly string[];
  readonly problems: readonly string[];
}
export interface SimulatedRule {
  readonly policy: string;
  readonly direction: string;
  readonly name: string;
  readonly verdict: string;
  readonly flows: number;
  readonly packets: number;
  readonly bytes: number;
  readonly peers: readonly { readonly address: string; readonly name: string; readonly flows: number }[];
  readonly sampleEntryIds: readonly string[];
}
export interface Simulation {
  readonly flows: number;
  readonly packets: number;
  readonly judged: number;
  readonly rules: readonly SimulatedRule[];
  readonly warnings: readonly string[];
  readonly problems: readonly string[];
}

export interface Info {
  readonly path: string;
  readonly segments: number;
  readonly packets: number;
  readonly flows: number;
  readonly captured_bytes: number;
  readonly disk_bytes: number;
  readonly first: string | null;
  readonly last: string | null;
  readonly sources: number;
  readonly recipients: readonly string[];
  readonly problems: readonly string[];
}

export interface Capture {
  readonly name: string;
  readonly sha256: string;
  readonly segments: number;
  readonly packets: number;
  readonly first: string | null;
  readonly last: string | null;
  readonly complete: boolean;
  readonly lost_packets: number | null;
  readonly counters: CaptureCounters | null;
}

export interface WorkerState {
  readonly url: string;
  readonly node: string | null;
  readonly state: "up" | "late" | "away" | "unknown";
  readonly why: string;
  readonly since: number; // seconds since 1970
}
/** What a worker captures now, where that changes: pods that the hub names, windows of schedules. */
export interface WorkerChosen {
  readonly why: string; // nothing is captured; "" if something is
  readonly schedules: readonly string[]; // whose window is open
  readonly until: number | null; // seconds since 1970: when a window opens or closes next
  readonly pods: number | null; // null: of all pods
  readonly addresses: number;
  readonly left_out: number; // of them: no room in the kernel
  readonly waiting: number; // pods without an address
  readonly sharing: number; // pods in the network of their node
}
export interface WorkerCapture {
  readonly interface: string;
  readonly received: number;
  readonly dropped: number;
  readonly lost: number;
  readonly stored: number;
  readonly state: string;
  readonly restarts: number;
  readonly excluded: number; // left out in the kernel by filter, choice or schedule, about; not of those received
  readonly chosen?: WorkerChosen | null;
}
export interface Worker extends WorkerState {
  readonly version: string | null;
  readonly segments: number | null;
  readonly store_bytes: number | null;
  readonly disk_free_bytes: number | null;
  readonly refuses: string | null;
  readonly clock_off_seconds: number | null;
  readonly is_set: boolean; // by the settings: it can be taken away
  readonly tls: string;
  readonly captures: readonly WorkerCapture[];
}

export interface CaptureCounters {
  readonly received: number;
  readonly dropped: number;
  readonly filtered: number;
  readonly lost: number;
  readonly stored: number;
}

export interface Overview {
  readonly captures: readonly Capture[];
  readonly compression: number | null;
}

export interface Snapshot {
  readonly name: string;
  readonly since: string;
  readonly until: string;
  readonly created: string;
}

export interface ImportReport {
  readonly id: string;
  readonly name: string;
  readonly state: "running" | "done" | "failed" | "cancelled";
  readonly bytes_received: number;
  readonly bytes_total: number | null;
  readonly seconds: number;
  readonly packets: number;
  readonly flows: number;
  readonly segments: number;
  readonly dropped: number;
  readonly problems: readonly string[];
  readonly error: string;
}

export interface Pruned {
  readonly segments: readonly string[];
  readonly packets: number;
  readonly freed_bytes: number;
  readonly kept_bytes: number;
  readonly kept_by: Readonly<Record<string, readonly string[]>>;
}

export interface Plugin {
  readonly id: string;
  readonly version: string;
  readonly language: string;
  readonly description: string;
  readonly builtin: boolean;
  readonly disabled: boolean;
  readonly signed: boolean;
  readonly hooks: readonly string[];
  readonly state: string;
  readonly reason: string;
  readonly asked: Readonly<Record<string, readonly string[]>>;
  readonly granted: Readonly<Record<string, readonly string[]>>;
  readonly calls: number;
  readonly crashes: number;
  readonly trouble_at: number; // seconds since 1970, 0: none in this process
  readonly poison: number;
  readonly starts: number;
  readonly seconds: number;
  readonly resident_bytes: number;
  readonly timings: readonly { hook: string; calls: number; seconds: number }[];
  readonly settings: Readonly<Record<string, unknown>>;
  readonly declared: readonly SettingSpec[];
}

export interface SettingSpec {
  readonly name: string;
  readonly type: "string" | "int" | "double" | "bool" | "list";
  readonly default: unknown;
  readonly required: boolean;
  readonly choices: readonly string[];
  readonly minimum: number | null;
  readonly maximum: number | null;
  readonly secret: boolean;
  readonly description: string;
}

/** What a package is, before and behind its installation. */
export interface Sheet {
  readonly id: string;
  readonly version: string;
  readonly description: string;
  readonly digest: string;
  readonly hooks: readonly string[];
  readonly language: string;
  readonly signer: string;
  readonly doubt: string;
  readonly asked: Readonly<Record<string, readonly string[]>>;
  readonly replaces: string;
  readonly installed: boolean;
}

export interface Job {
  readonly plugin: string;
  readonly job: string;
  readonly cron: string;
  readonly next_ns: number;
  readonly runs: number;
  readonly failures: number;
  readonly last_error: string;
}

export interface Rule {
  readonly kind: string;
  readonly match: string;
  readonly value: string;
}

export interface Settings {
  readonly redaction: readonly Rule[] | null;
  readonly max_upload_bytes: number;
  readonly rules: readonly Rule[];
}

export interface Health {
  readonly ok: boolean;
  readonly version: string;
  readonly uptime_seconds: number;
  readonly problems: readonly string[];
  readonly queries_running: number;
  readonly queries_waiting: number;
}
