"""kubeshark.yaml as one typed value: Kubeshark's keys where the meaning is the same, and ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from msgspec import Meta, field

from kubeshark.settings._tap import Count, Part, Port, Tap
from kubeshark.settings._values import Duration, Size

__all__ = ["Part", "Schedule", "Settings"]


class Retention(Part, frozen=True):
    """What stays in the store."""

    bytes: Size = Size("0")
    """All segments together; the oldest go first. 0: no limit."""
    age: Duration = Duration("0")
    """Age of the oldest segment. 0: no limit."""


class StoreSettings(Part, frozen=True):
    """Where packets are kept, and who can read them."""

    path: str = "~/.kubeshark/store"
    """Folder of the store."""
    url: str = ""
    """Object storage instead of a folder: s3://BUCKET/PREFIX."""
    segment_bytes: Size = Size("32Mi")
    """A segment is sealed when it is so large."""
    segment_seconds: Duration = Duration("300s")
    """A segment is sealed when it is so old."""
    compress: str = "zstd-1"
    """Compression of segments."""
    recipients: tuple[str, ...] = ()
    """Public keys (age1…) of who can read; empty: the identity of this machine's user."""
    identity_file: str = "~/.kubeshark/identity.age"
    """File with the private key; never in the store."""
    retention: Retention = field(default_factory=Retention)
    """What stays in the store."""
    wal: bool = True
    """Keep packets of a segment that is not sealed in a log, so that none is lost."""


class Schedule(Part, frozen=True):
    """A capture that runs by itself."""

    name: str
    """Name of the schedule: small letters, digits and dashes."""
    cron: str
    """When it begins: six fields, seconds first; five are taken with seconds 0."""
    duration: Duration
    """How long it runs."""
    filter: str = ""
    """BPF expression for its packets."""
    kfl: str = ""
    """Refused: nobody can tell at capture which packets belong to matching entries. Use filter."""
    expire: Duration = Duration("0")
    """How long its packets are kept, whatever store.retention.age says; its bytes count first. 0: as the store says."""
    upload: bool = False
    """Upload its segments to the archive, and those of no schedule without it. Where none says so, all are uploaded."""


class CaptureSettings(Part, frozen=True):
    """Capturing on this machine, and schedules."""

    interfaces: tuple[str, ...] = ()
    """Interfaces to capture from; empty: the default route's."""
    snaplen: Annotated[int, Meta(ge=64, le=262_144)] = 262_144
    """Bytes kept of a packet."""
    ring_bytes: Size = Size("64Mi")
    """Buffer between kernel and kubeshark."""
    fanout: Count = 0
    """Group of captures that share packets. 0: none."""
    keylogs: tuple[str, ...] = ()
    """Files with TLS secrets (NSS format) that queries decrypt with."""
    schedules: tuple[Schedule, ...] = ()
    """Captures that run by themselves: name, cron, duration, filter, kfl, expire, upload."""


class Scripting(Part, frozen=True):
    """Kubeshark scripts."""

    enabled: bool = True
    """Run scripts."""
    env: Mapping[str, str] = field(default_factory=dict)
    """What scripts find in env."""
    source: str = ""
    """Folder with scripts."""
    sources: tuple[str, ...] = ()
    """More such folders."""
    watch_scripts: bool = True
    """Take over scripts that change."""
    active: tuple[str, ...] = ()
    """Scripts that run, by title or id; empty: all."""
    console: bool = True
    """Show what scripts print."""
    filter: Mapping[str, str] = field(default_factory=dict)
    """KFL of the entries that a script gets, by its title or id."""
    group: Mapping[str, str] = field(default_factory=dict)
    """Group of a script, by its title or id: those of one group share an isolate."""
    raw_metric_names: bool = False
    """Do not put kubeshark_ before names of scripts' metrics."""


class PcapDump(Part, frozen=True):
    """Limits of pcapdump."""

    enabled: bool = False
    """Keep PCAP files beside the store."""
    max_time: Duration = Duration("1h")
    """The longest time that is dumped."""
    max_size: Size = Size("500MB")
    """The most that is dumped."""
    time: str = ""
    """From when on, like 10m; empty: everything."""
    dest: str = ""
    """Folder for the file; empty: the working folder."""


class Kube(Part, frozen=True):
    """How the cluster is reached."""

    config_path: str = ""
    """kubeconfig file; empty: $KUBECONFIG, else ~/.kube/config."""
    context: str = ""
    """Context in it; empty: the current one."""


class Logs(Part, frozen=True):
    """What the command logs does."""

    file: str = ""
    """File to write."""
    grep: str = ""
    """Regular expression of the lines to keep."""


class Plugins(Part, frozen=True):
    """Plugins."""

    dir: str = "~/.kubeshark/plugins"
    """Folder of installed plugins."""
    enabled: tuple[str, ...] = ()
    """Plugins to enable, besides the built-in ones."""
    trusted_keys: tuple[str, ...] = ()
    """Public keys of authors whose signatures count."""
    allow_unsigned: tuple[str, ...] = ()
    """Plugins that need no signature: id@sha256:…"""
    limits: Mapping[str, str] = field(default_factory=dict)
    """Limits for all plugins."""
    registries: tuple[str, ...] = ()
    """Registries to search."""


class QuerySettings(Part, frozen=True):
    """What a query may cost."""

    max_bytes: Size = Size("0")
    """Stop after decrypting so much. 0: no limit."""
    max_seconds: Duration = Duration("0")
    """Stop after so long. 0: no limit."""
    jobs: Count = 0
    """Processes. 0: one a processor where it is worth it."""
    executor: Literal["inline", "process", "workers", "ray"] = "process"
    """What runs the pieces of a query."""
    body_limit: Size = Size("1Mi")
    """The most that is kept of a body."""


class Redaction(Part, frozen=True):
    """What is hidden from whoever may not see clear values."""

    enabled: bool = True
    """Hide secrets in what the hub gives out and in HAR and JSON exports."""
    headers: tuple[str, ...] = ()
    """Headers to hide. Where headers, keys and patterns are all empty, the usual secrets are hidden."""
    keys: tuple[str, ...] = ()
    """Keys of documents to hide, at any depth."""
    patterns: tuple[str, ...] = ()
    """Regular expressions (RE2) of texts to hide."""
    except_roles: tuple[str, ...] = ()
    """Roles that see clear values."""


class Firewall(Part, frozen=True):
    """Enforcing policies."""

    enabled: bool = False
    """Run the firewall."""
    fail_mode: Literal["open", "closed"] = "open"
    """What happens to packets when the firewall cannot decide."""
    path: str = "~/.kubeshark/firewall"
    """Folder in which a worker keeps what it enforces."""
    hubs: tuple[str, ...] = ()
    """Names in certificates of hubs that may say what is enforced; empty: of all that may ask a worker."""
    inventory: str = ""
    """File that says who has which address; read when it changes."""
    exempt: tuple[str, ...] = ()
    """Addresses and networks that are never judged, besides the ones found by itself."""
    default_mode: Literal["Audit", "Enforce"] = "Audit"
    """Mode of policies that say none."""


class HubTls(Part, frozen=True):
    """The hub's own certificate."""

    cert: str = ""
    """File with the certificate."""
    key: str = ""
    """File with its key."""


class Hub(Part, frozen=True):
    """The hub's address."""

    host: str = "127.0.0.1"
    """Address to listen on."""
    port: Port = 8898
    """Port to listen on; kubeshark serve takes 8899 unless this is set."""
    tls: HubTls = field(default_factory=HubTls)
    """Certificate; empty: none."""
    allowed_origins: tuple[str, ...] = ()
    """Origins of other pages that may ask."""
    token_file: str = ""
    """File with the token; empty: a new one at each start."""


class Settings(Part, frozen=True):
    """All of kubeshark.yaml."""

    tap: Tap = field(default_factory=Tap)
    """What is captured in a cluster, and how kubeshark is deployed there."""
    capture: CaptureSettings = field(default_factory=CaptureSettings)
    """Capturing on this machine, and schedules."""
    store: StoreSettings = field(default_factory=StoreSettings)
    """Where packets are kept, and who can read them."""
    query: QuerySettings = field(default_factory=QuerySettings)
    """What a query may cost."""
    redaction: Redaction = field(default_factory=Redaction)
    """What is hidden from whoever may not see clear values."""
    hub: Hub = field(default_factory=Hub)
    """The hub's address."""
    firewall: Firewall = field(default_factory=Firewall)
    """Enforcing policies."""
    plugins: Plugins = field(default_factory=Plugins)
    """Plugins."""
    scripting: Scripting = field(default_factory=Scripting)
    """Kubeshark scripts."""
    pcapdump: PcapDump = field(default_factory=PcapDump)
    """Limits of pcapdump."""
    kube: Kube = field(default_factory=Kube)
    """How the cluster is reached."""
    logs: Logs = field(default_factory=Logs)
    """What the command logs does."""
    headless: bool = False
    """Never open a browser."""
    timezone: str = ""
    """Time zone of schedules; empty: UTC."""
    log_level: Literal["debug", "info", "warning", "error"] = "warning"
    """What is worth a line in the log."""
