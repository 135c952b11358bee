"""The part `tap` of kubeshark.yaml: what is captured in a cluster, and how it is deployed.

Names in the file are these names in camelCase; they are Kubeshark's, its odd spellings included, wherever a key means
the same. The text under a field is its comment in the file, its line in the documentation, its help in the schema.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from kubeshark.settings._values import Duration, Size

__all__ = ["Tap"]

Port = Annotated[int, Meta(ge=1, le=65_535)]
Count = Annotated[int, Meta(ge=0, le=2_147_483_647)]
Percent = Annotated[int, Meta(ge=0, le=100)]


class Part(Struct, frozen=True, kw_only=True, rename="camel"):
    """Base of every part of the file."""


class Images(Part, frozen=True):
    """One text for each of the three images."""

    hub: str = ""
    """Of the hub."""
    worker: str = ""
    """Of the workers."""
    front: str = ""
    """Of the web UI."""


class Docker(Part, frozen=True):
    """Where images come from."""

    registry: str = ""
    """Registry and path before the names of images, like registry.example.test/kubeshark."""
    tag: str = ""
    """Tag of the images; empty: that of this version."""
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = "Always"
    """When nodes pull an image."""
    image_pull_secrets: tuple[str, ...] = ()
    """Names of Secrets with which nodes pull."""
    override_image: Images = field(default_factory=Images)
    """Whole names of images, instead of registry and tag."""
    override_tag: Images = field(default_factory=Images)
    """Tags of single images."""


class ProxyFront(Part, frozen=True):
    """The port that is forwarded."""

    port: Port = 8899
    """Port on this machine that leads to the hub and its UI."""


class Proxy(Part, frozen=True):
    """The way from this machine to the hub."""

    front: ProxyFront = field(default_factory=ProxyFront)
    """The port that is forwarded."""
    host: str = "127.0.0.1"
    """Address on this machine that the port is opened on."""


class CaptureSelf(Part, frozen=True):
    """What capturing does besides choosing pods."""

    capture_self: bool = False
    """Capture kubeshark's own traffic as well."""


class S3(Part, frozen=True):
    """A bucket of Amazon S3, or of a server that speaks its protocol."""

    bucket: str = ""
    """Name of the bucket."""
    region: str = ""
    """Its region."""
    endpoint: str = ""
    """URL of another server than Amazon's."""
    role_arn: str = ""
    """Role that hub and workers have by their accounts (EKS), or assume with externalId: arn:aws:iam::…:role/NAME."""
    external_id: str = ""
    """With it roleArn is assumed by the keys that pods have: of a Secret, Pod Identity, or the node."""


class AzureBlob(Part, frozen=True):
    """A container of Azure Blob Storage."""

    storage_account: str = ""
    """Name of the storage account."""
    container: str = ""
    """Name of the container."""


class Gcs(Part, frozen=True):
    """A bucket of Google Cloud Storage."""

    bucket: str = ""
    """Name of the bucket."""
    project: str = ""
    """Its project."""


class Cloud(Part, frozen=True):
    """Where sealed segments go."""

    provider: Literal["", "s3", "azblob", "gcs"] = ""
    """Kind of object storage for sealed segments; empty: none."""
    prefix: str = ""
    """What the names of all objects begin with."""
    s3: S3 = field(default_factory=S3)
    """For the provider s3."""
    azblob: AzureBlob = field(default_factory=AzureBlob)
    """For the provider azblob."""
    gcs: Gcs = field(default_factory=Gcs)
    """For the provider gcs."""
    secrets: tuple[str, ...] = ()
    """Names of Secrets whose entries are the environment with the credentials; never keys themselves."""


class Snapshots(Part, frozen=True):
    """Object storage."""

    cloud: Cloud = field(default_factory=Cloud)
    """Where sealed segments go."""


class Release(Part, frozen=True):
    """What the deployment is called, and where it lives."""

    name: str = "kubeshark"
    """Name that all objects of this deployment are labelled with."""
    namespace: str = "default"
    """Namespace that kubeshark is deployed to."""
    helm_chart_path: str = ""
    """Folder or archive of a chart to use instead of the built-in manifests."""


class Dns(Part, frozen=True):
    """dnsConfig of the pods."""

    nameservers: tuple[str, ...] = ()
    """Addresses of name servers."""
    searches: tuple[str, ...] = ()
    """Domains to search."""
    options: tuple[Mapping[str, Any], ...] = ()
    """Options, each with a name and a value."""


class Limits(Part, frozen=True):
    """What a container may use, as Kubernetes writes it."""

    cpu: str = "0"
    """Processors at most, like 750m; 0: no limit."""
    memory: str = "5Gi"
    """Memory at most; 0: no limit."""


class Requests(Part, frozen=True):
    """What a container is promised, as Kubernetes writes it."""

    cpu: str = "50m"
    """Processors at least, like 750m; 0: none."""
    memory: str = "50Mi"
    """Memory at least; 0: none."""


class Resources(Part, frozen=True):
    """What a container may use, and is promised."""

    limits: Limits = field(default_factory=Limits)
    """At most."""
    requests: Requests = field(default_factory=Requests)
    """At least."""


class AllResources(Part, frozen=True):
    """Processors and memory of hub and workers."""

    hub: Resources = field(default_factory=Resources)
    """Of the hub."""
    sniffer: Resources = field(default_factory=Resources)
    """Of the workers."""


class Probe(Part, frozen=True):
    """When Kubernetes takes a container for ready and alive."""

    initial_delay_seconds: Count = 5
    """Seconds before the first look."""
    period_seconds: Count = 5
    """Seconds between two looks."""
    success_threshold: Count = 1
    """Looks that must be good in a row."""
    failure_threshold: Count = 3
    """Looks that must be bad in a row."""


class Probes(Part, frozen=True):
    """Readiness and liveness probes."""

    hub: Probe = field(default_factory=Probe)
    """Of the hub."""
    sniffer: Probe = field(default_factory=Probe)
    """Of the workers."""


LINUX: tuple[Mapping[str, Any], ...] = (
    {"matchExpressions": [{"key": "kubernetes.io/os", "operator": "In", "values": ["linux"]}]},
)
Objects = tuple[Mapping[str, Any], ...]


class NodeSelectorTerms(Part, frozen=True):
    """Which nodes pods run on, as nodeSelectorTerms of Kubernetes."""

    hub: Objects = LINUX
    """Nodes for the hub."""
    workers: Objects = LINUX
    """Nodes that are captured on."""
    front: Objects = LINUX
    """Nodes for the web UI."""


class Tolerations(Part, frozen=True):
    """Which taints pods tolerate, as tolerations of Kubernetes."""

    hub: Objects = ()
    """Of the hub."""
    workers: Objects = ({"operator": "Exists", "effect": "NoExecute"},)
    """Of the workers."""
    front: Objects = ()
    """Of the web UI."""


class Role(Part, frozen=True):
    """What members of a role may do."""

    capabilities: tuple[str, ...] = ()
    """Rights: raw, import, clear, firewall, manage."""
    namespaces: tuple[str, ...] = ()
    """Namespaces they see, as globs; empty: all."""


class Oidc(Part, frozen=True):
    """The identity provider."""

    issuer: str = ""
    """URL of the provider."""
    client_id: str = ""
    """Id of kubeshark as a client there."""
    secret: str = ""
    """Name of the Secret whose entry client_secret is the client's secret; empty: a public client."""


class Auth(Part, frozen=True):
    """Who may use the hub."""

    enabled: bool = True
    """Ask for a token or a sign-in."""
    type: Literal["token", "oidc"] = "token"
    """How people sign in."""
    roles_claim: str = "groups"
    """Claim of an ID token that names groups."""
    group_mapping: Mapping[str, str] = field(default_factory=dict)
    """Role of each group: viewer, operator, admin, or a name under roles."""
    default_role: str = ""
    """Role of who is in no group named; empty: refused."""
    roles: Mapping[str, Role] = field(default_factory=dict)
    """Roles of your own: capabilities and namespaces."""
    oidc: Oidc = field(default_factory=Oidc)
    """The identity provider, for the type oidc."""


class IngressTls(Part, frozen=True):
    """A certificate of an ingress."""

    hosts: tuple[str, ...] = ()
    """Names it is for."""
    secret_name: str = ""
    """Secret with tls.crt and tls.key."""


class Ingress(Part, frozen=True):
    """How the UI is reached from outside the cluster."""

    enabled: bool = False
    """Make an Ingress."""
    class_name: str = ""
    """Its class; empty: the cluster's default."""
    host: str = ""
    """Name under which the UI is reached."""
    path: str = "/"
    """Path under that name."""
    tls: tuple[IngressTls, ...] = ()
    """Certificates: hosts and secretName."""
    annotations: Mapping[str, str] = field(default_factory=dict)
    """Annotations of the Ingress."""


class RoutingFront(Part, frozen=True):
    """Where the UI lies behind a proxy."""

    base_path: str = ""
    """Path below which the UI and its API are, as behind an Ingress for it: /kubeshark; empty: the root."""


class Routing(Part, frozen=True):
    """Paths behind a proxy."""

    front: RoutingFront = field(default_factory=RoutingFront)
    """Of the web UI."""


class Dashboard(Part, frozen=True):
    """The web UI."""

    entries_limit: Count = 1_000_000
    """Rows that the UI keeps."""


class Misc(Part, frozen=True):
    """Times and limits of dissection, by packet time."""

    tcp_stream_channel_timeout_ms: Count = 10_000
    """Milliseconds that a gap in a TCP stream is waited for."""
    tcp_flow_timeout: Count = 1_200
    """Seconds of silence after which a TCP connection has ended."""
    udp_flow_timeout: Count = 1_200
    """Seconds of silence after which a UDP flow has ended."""
    stale_timeout_seconds: Count = 30
    """Seconds after which a message without its answer is shown alone."""
    detect_duplicates: bool = False
    """Leave out packets that were captured twice."""
    duplicate_timeframe: Duration = Duration("200ms")
    """How far apart copies of a packet may be."""
    traffic_sample_rate: Percent = 100
    """Percentage of connections that is kept."""
    resolution_strategy: Literal["auto", "api", "dns"] = "auto"
    """Where names come from."""


class AppArmor(Part, frozen=True):
    """AppArmor profile of the workers."""

    type: str = ""
    """RuntimeDefault, Localhost, Unconfined; empty: not set."""
    localhost_profile: str = ""
    """Name of a profile on the nodes, for Localhost."""


class SeLinux(Part, frozen=True):
    """SELinux label of the workers."""

    level: str = ""
    """Level."""
    role: str = ""
    """Role."""
    type: str = ""
    """Type."""
    user: str = ""
    """User."""


class Capabilities(Part, frozen=True):
    """Linux capabilities of the workers; nothing is privileged."""

    network_capture: tuple[str, ...] = ("NET_RAW", "NET_ADMIN")
    """For capturing."""
    service_mesh_capture: tuple[str, ...] = ("SYS_ADMIN", "SYS_PTRACE", "DAC_OVERRIDE")
    """For mesh proxies, with tap.serviceMesh."""
    ebpf_capture: tuple[str, ...] = ("SYS_ADMIN", "SYS_PTRACE", "DAC_READ_SEARCH")
    """For probes, with tap.tls."""
    firewall: tuple[str, ...] = ("BPF", "PERFMON")
    """For enforcing, with firewall.enabled; NET_ADMIN as well, which capturing has."""


class SecurityContext(Part, frozen=True):
    """What the workers may do on their nodes."""

    privileged: bool = False
    """Run the workers privileged; capabilities are enough."""
    app_armor_profile: AppArmor = field(default_factory=AppArmor)
    """AppArmor profile."""
    se_linux_options: SeLinux = field(default_factory=SeLinux)
    """SELinux label."""
    capabilities: Capabilities = field(default_factory=Capabilities)
    """Linux capabilities."""


class Tap(Part, frozen=True):
    """What is captured in a cluster, and how kubeshark is deployed there."""

    docker: Docker = field(default_factory=Docker)
    """Where images come from."""
    proxy: Proxy = field(default_factory=Proxy)
    """The way from this machine to the hub."""
    regex: str = ".*"
    """Pods to capture: a regular expression (RE2) that their names contain."""
    namespaces: tuple[str, ...] = ()
    """Namespaces to capture in; empty: all."""
    excluded_namespaces: tuple[str, ...] = ()
    """Namespaces never to capture in; exclusion wins."""
    bpf_override: str = ""
    """BPF expression that replaces the choice of pods."""
    packet_capture: Literal["best", "af_packet"] = "best"
    """How packets are captured."""
    capture: CaptureSelf = field(default_factory=CaptureSelf)
    """What capturing does besides."""
    snapshots: Snapshots = field(default_factory=Snapshots)
    """Object storage."""
    release: Release = field(default_factory=Release)
    """What the deployment is called, and where it lives."""
    persistent_storage: bool = False
    """Keep captures on a volume claim; otherwise on the node's disk."""
    persistent_storage_static: bool = False
    """The volume is there already: do not ask for one."""
    persistent_storage_pvc_volume_mode: Literal["FileSystem", "Filesystem", "Block"] = "FileSystem"
    """Mode of the volume."""
    efs_file_sytem_id_and_path: str = ""
    """EFS file system and path of a static volume."""
    secrets: tuple[str, ...] = ()
    """Names of Secrets whose entries are the environment of hub and workers."""
    storage_limit: Size = Size("10Gi")
    """Captures kept on a node; the oldest segments go first."""
    storage_class: str = "standard"
    """Storage class of the volume claim."""
    stopped: bool = False
    """Deploy without capturing: it begins on demand."""
    dry_run: bool = False
    """List the pods that would be captured, and create nothing."""
    dns: Dns = field(default_factory=Dns)
    """dnsConfig of the pods."""
    resources: AllResources = field(default_factory=AllResources)
    """Processors and memory."""
    probes: Probes = field(default_factory=Probes)
    """Readiness and liveness probes."""
    service_mesh: bool = False
    """Capture what mesh proxies see in the clear; reads memory of other processes."""
    tls: bool = False
    """Read TLS of the chosen pods' processes in the clear, by probes in libssl; reads memory of other processes."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Labels added to all objects."""
    annotations: Mapping[str, str] = field(default_factory=dict)
    """Annotations added to all objects."""
    node_selector_terms: NodeSelectorTerms = field(default_factory=NodeSelectorTerms)
    """Which nodes pods run on."""
    tolerations: Tolerations = field(default_factory=Tolerations)
    """Which taints pods tolerate."""
    auth: Auth = field(default_factory=Auth)
    """Who may use the hub."""
    ingress: Ingress = field(default_factory=Ingress)
    """How the UI is reached from outside the cluster."""
    priority_class: str = ""
    """Priority class of the pods."""
    routing: Routing = field(default_factory=Routing)
    """Paths behind a proxy."""
    ipv6: bool = True
    """Listen on IPv6 as well."""
    dashboard: Dashboard = field(default_factory=Dashboard)
    """The web UI."""
    default_filter: str = ""
    """KFL that the UI begins with."""
    global_filter: str = ""
    """KFL that is added to everybody's filter."""
    enabled_dissectors: tuple[str, ...] = ()
    """Protocols to dissect; empty: all."""
    port_mapping: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Ports of protocols, besides the usual ones: http: [8000]."""
    strict_ports: bool = False
    """Recognise protocols on their ports alone, never by content."""
    custom_macros: Mapping[str, str] = field(default_factory=lambda: {"https": "tls and (http or http2)"})
    """Names for pieces of KFL."""
    misc: Misc = field(default_factory=Misc)
    """Times and limits of dissection."""
    security_context: SecurityContext = field(default_factory=SecurityContext)
    """What the workers may do on their nodes."""
    host_network: bool = True
    """Run the workers in the network of their nodes."""
