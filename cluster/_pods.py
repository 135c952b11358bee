"""Pod templates of hub, workers and front: what their processes get, and what they are allowed."""

from __future__ import annotations

from typing import Any

from kubeshark.cluster._archive import archive_arguments
from kubeshark.cluster._names import (
    CONFIG,
    FRONT,
    FRONT_PORT,
    HUB,
    HUB_PORT,
    IDENTITY,
    IMAGE_VERSIONS,
    TLS_HUB,
    TLS_WORKER,
    TOKEN,
    WORKER,
    WORKER_PORT,
    labels,
)
from kubeshark.cluster._plain import plain
from kubeshark.cluster._tree import (
    AsJson,
    Digest,
    Each,
    Equals,
    Item,
    Not,
    Scope,
    Setting,
    Spread,
    Text,
    When,
    evaluate,
)
from kubeshark.settings import Settings

__all__ = [
    "CLIENT_SECRET_ENTRY",
    "CONFIGURATION",
    "HUB_CLAIM",
    "IMAGES",
    "USER",
    "WORKER_CLAIM",
    "front_template",
    "hub_template",
    "image_of",
    "worker_template",
]

IMAGES = ("hub", "worker", "front")

USER = 65_532
"""Of hub and front: an unnamed one, as in images without a shell."""

STATE, CONFIG_AT = "/var/lib/kubeshark", "/etc/kubeshark"
HUB_CLAIM, WORKER_CLAIM = "kubeshark-hub", "kubeshark-captures"

CONFIGURATION = AsJson(
    {
        "tap": Setting("tap"),
        "capture": Setting("capture"),
        "store": {
            name: Setting(f"store.{name}")
            for name in ("recipients", "segmentBytes", "segmentSeconds", "compress", "retention", "wal")
        },
        "query": Setting("query"),
        "redaction": Setting("redaction"),
        "firewall": {name: Setting(f"firewall.{name}") for name in ("failMode", "hubs", "exempt", "defaultMode")},
        "scripting": Setting("scripting"),
        "pcapdump": Setting("pcapdump"),
        "timezone": Setting("timezone"),
        "logLevel": Setting("logLevel"),
    }
)
"""kubeshark.yaml of hub and workers: all that is not about the machine `kubeshark tap` runs on."""

_PERSISTENT = Setting("tap.persistentStorage")
_CLIENT_SECRET = Setting("tap.auth.oidc.secret")
CLIENT_SECRET_ENTRY = "client_secret"  # noqa: S105 - the name of an entry
_FIREWALL = Setting("firewall.enabled")
_PINS = "/sys/fs/bpf"
_TLS = Setting("tap.tls")
_NODE_PATHS = {"cgroups": "/sys/fs/cgroup", "tracing": "/sys/kernel/tracing"}
"""Of the node, for probes: whose a process is, and the numbers of the kernel's tracepoints. A container has neither."""


def hub_template() -> dict[str, Any]:
    """Non-root, nothing writable but its own volumes, and the only pod that holds the identity."""
    proxied = [
        When(Setting("tap.ingress.enabled"), "--public-host"),
        When(Setting("tap.ingress.enabled"), Setting("tap.ingress.host")),
    ]
    container = {
        "name": "hub",
        "image": _image("hub"),
        "imagePullPolicy": Setting("tap.docker.imagePullPolicy"),
        "command": ["kubeshark"],
        "args": [
            "hub",
            "--workers-of",
            f"{WORKER}:{WORKER_PORT}",
            "--port",
            str(HUB_PORT),
            "--kube",
            When(_FIREWALL, "--kube-policies"),
            *archive_arguments("--archive"),
            *proxied,
        ],
        "env": [
            *_environment(),
            {"name": "KUBESHARK_IDENTITY", "value": f"{CONFIG_AT}/identity/identity.age"},
            {"name": "KUBESHARK_NODE_KEY", "value": f"{STATE}/node.key"},  # a Secret is not written to
            {"name": "KUBESHARK_TOKEN_FILE", "value": f"{CONFIG_AT}/token/token"},
            {"name": "KUBESHARK_TLS", "value": f"{CONFIG_AT}/tls"},
            When(
                _CLIENT_SECRET,
                {"name": "KUBESHARK_OIDC_SECRET_FILE", "value": f"{CONFIG_AT}/oidc/{CLIENT_SECRET_ENTRY}"},
            ),
        ],
        "envFrom": _environment_from(),
        "ports": [{"name": "http", "containerPort": HUB_PORT}],
        "resources": _resources("hub"),
        **_probes("hub", HUB_PORT),
        "securityContext": _locked_down(),
        "volumeMounts": [
            {"name": "config", "mountPath": f"{CONFIG_AT}/config", "readOnly": True},
            {"name": "identity", "mountPath": f"{CONFIG_AT}/identity", "readOnly": True},
            {"name": "token", "mountPath": f"{CONFIG_AT}/token", "readOnly": True},
            {"name": "tls", "mountPath": f"{CONFIG_AT}/tls", "readOnly": True},
            When(_CLIENT_SECRET, {"name": "oidc", "mountPath": f"{CONFIG_AT}/oidc", "readOnly": True}),
            {"name": "state", "mountPath": STATE},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - of the container
        ],
    }
    spec = {
        "serviceAccountName": HUB,
        "automountServiceAccountToken": True,  # it watches who has which address
        "securityContext": _pod_context(),
        "containers": [container],
        "volumes": [
            {"name": "config", "configMap": {"name": CONFIG}},
            _secret_volume("identity", IDENTITY),
            _secret_volume("token", TOKEN),
            _secret_volume("tls", TLS_HUB),
            When(_CLIENT_SECRET, _secret_volume("oidc", _CLIENT_SECRET)),
            {
                "name": "state",
                "persistentVolumeClaim": When(_PERSISTENT, {"claimName": HUB_CLAIM}),
                "emptyDir": When(Not(_PERSISTENT), {}),
            },
            {"name": "tmp", "emptyDir": {}},
        ],
        **_placement("hub", "hub"),
    }
    return _template("hub", spec)


def worker_template() -> dict[str, Any]:
    """On every node, in its network, with named capabilities; it holds public keys and asks the API server nothing."""
    mesh = "tap.securityContext.capabilities"
    container = {
        "name": "worker",
        "image": _image("worker"),
        "imagePullPolicy": Setting("tap.docker.imagePullPolicy"),
        "command": ["kubeshark"],
        "args": [
            "worker",
            "--node",
            "$(NODE_NAME)",
            "--listen",
            When(Setting("tap.hostNetwork"), f"[$(HOST_IP)]:{WORKER_PORT}", f"0.0.0.0:{WORKER_PORT}"),
            "--store",
            f"{STATE}/store",
            "--tls",
            f"{CONFIG_AT}/tls",
            "--max-bytes",
            Setting("tap.storageLimit"),
            When(Not(Setting("capture.interfaces")), "--interface"),
            When(Not(Setting("capture.interfaces")), "any"),  # pods come and go with theirs
            When(Setting("tap.bpfOverride"), "--filter", "--hub-selects"),  # it replaces the choice of pods
            When(Setting("tap.bpfOverride"), Setting("tap.bpfOverride")),
            When(_TLS, "--tls-probe"),
            When(_TLS, "pods"),  # of the pods that the hub names, as packets are
            *archive_arguments("--upload"),
            When(_FIREWALL, "--firewall"),
            When(_FIREWALL, f"{STATE}/firewall"),
        ],
        "env": [
            *_environment(),
            {"name": "NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
            {"name": "HOST_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.hostIP"}}},
        ],
        "envFrom": _environment_from(),
        "ports": [{"name": "worker", "containerPort": WORKER_PORT}],
        "resources": _resources("sniffer"),
        **_probes("sniffer", WORKER_PORT),
        "securityContext": {
            "privileged": Setting("tap.securityContext.privileged"),
            "allowPrivilegeEscalation": When(Setting("tap.securityContext.privileged"), True, False),
            "readOnlyRootFilesystem": True,
            "runAsUser": 0,  # capabilities of a container reach root alone
            "capabilities": {
                "drop": ["ALL"],
                "add": [
                    Each(Setting(f"{mesh}.networkCapture"), Item()),
                    When(Setting("tap.serviceMesh"), Each(Setting(f"{mesh}.serviceMeshCapture"), Item())),
                    When(_TLS, Each(Setting(f"{mesh}.ebpfCapture"), Item())),
                    When(_FIREWALL, Each(Setting(f"{mesh}.firewall"), Item())),
                ],
            },
            "appArmorProfile": When(
                Setting("tap.securityContext.appArmorProfile.type"),
                {
                    "type": Setting("tap.securityContext.appArmorProfile.type"),
                    "localhostProfile": When(
                        Setting("tap.securityContext.appArmorProfile.localhostProfile"),
                        Setting("tap.securityContext.appArmorProfile.localhostProfile"),
                    ),
                },
            ),
            "seLinuxOptions": When(
                Setting("tap.securityContext.seLinuxOptions.type"), Setting("tap.securityContext.seLinuxOptions")
            ),
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumeMounts": [
            {"name": "config", "mountPath": f"{CONFIG_AT}/config", "readOnly": True},
            {"name": "tls", "mountPath": f"{CONFIG_AT}/tls", "readOnly": True},
            # one claim for all nodes: each has its folder
            {"name": "state", "mountPath": STATE, "subPathExpr": When(_PERSISTENT, "$(NODE_NAME)")},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - of the container
            When(_FIREWALL, {"name": "pins", "mountPath": _PINS}),
            *(When(_TLS, {"name": name, "mountPath": at, "readOnly": True}) for name, at in _NODE_PATHS.items()),
        ],
    }
    spec = {
        "serviceAccountName": WORKER,
        "automountServiceAccountToken": False,
        "hostNetwork": Setting("tap.hostNetwork"),
        "dnsPolicy": When(Setting("tap.hostNetwork"), "ClusterFirstWithHostNet", "ClusterFirst"),
        "hostPID": When(_TLS, True),  # probes are told processes by the kernel's numbers
        "terminationGracePeriodSeconds": 90,  # what is in memory is sealed first
        "containers": [container],
        "volumes": [
            {"name": "config", "configMap": {"name": CONFIG}},
            _secret_volume("tls", TLS_WORKER),
            {
                "name": "state",
                "persistentVolumeClaim": When(_PERSISTENT, {"claimName": WORKER_CLAIM}),
                # no sizeLimit: the worker prunes by tap.storageLimit, a node would evict the pod
                "emptyDir": When(Not(_PERSISTENT), {}),
            },
            {"name": "tmp", "emptyDir": {}},
            # with fail mode closed policies lie in the node's kernel while no worker runs
            When(_FIREWALL, {"name": "pins", "hostPath": {"path": _PINS, "type": "Directory"}}),
            *(
                When(_TLS, {"name": name, "hostPath": {"path": at, "type": "Directory"}})
                for name, at in _NODE_PATHS.items()
            ),
        ],
        **_placement("workers", "workers"),
    }
    return _template("worker", spec)


def front_template() -> dict[str, Any]:
    """The web UI, which passes on to the hub what is the hub's; it may nothing and knows nothing."""
    container = {
        "name": "front",
        "image": _image("front"),
        "imagePullPolicy": Setting("tap.docker.imagePullPolicy"),
        "env": [
            {"name": "KUBESHARK_HUB", "value": f"{HUB}:{HUB_PORT}"},
            {"name": "KUBESHARK_BASE_PATH", "value": Setting("tap.routing.front.basePath")},
        ],
        "ports": [{"name": "http", "containerPort": FRONT_PORT}],
        "resources": {
            "limits": {"memory": "256Mi"},
            "requests": {"cpu": "10m", "memory": "32Mi"},
        },
        **_probes("hub", FRONT_PORT),
        "securityContext": _locked_down(),
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108 - of the container
    }
    spec = {
        "serviceAccountName": FRONT,
        "automountServiceAccountToken": False,
        "securityContext": _pod_context(),
        "containers": [container],
        "volumes": [{"name": "tmp", "emptyDir": {}}],
        **_placement("front", "front"),
    }
    return _template("front", spec)


def _template(component: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {
        "metadata": {
            "labels": labels(component),
            "annotations": {"kubeshark.io/config": Digest(CONFIGURATION), Spread(Setting("tap.annotations")): None},
        },
        "spec": spec,
    }


def _image(name: str) -> When:
    """The whole name if one is given, else REGISTRY/NAME:TAG; an image has a version of its own."""
    one, both = Setting(f"tap.docker.overrideTag.{name}"), Setting("tap.docker.tag")
    tag = When(one, one, When(both, both, IMAGE_VERSIONS[name]))
    registry = When(Setting("tap.docker.registry"), Setting("tap.docker.registry"), "kubeshark")
    whole = Setting(f"tap.docker.overrideImage.{name}")
    return When(whole, whole, Text.of(registry, f"/{name}:", tag))


def image_of(name: str, settings: Settings) -> str:
    """Return the name of an image that pods get."""
    found: str = evaluate(_image(name), Scope(plain(settings), {}, {}))
    return found


def _environment() -> list[dict[str, Any]]:
    return [
        {"name": "KUBESHARK_CONFIG", "value": f"{CONFIG_AT}/config/kubeshark.yaml"},
        {"name": "KUBESHARK_STORE", "value": f"{STATE}/store"},
        {"name": "HOME", "value": STATE},
    ]


def _environment_from() -> list[Any]:
    named = {"secretRef": {"name": Item()}}
    return [Each(Setting("tap.secrets"), named), Each(Setting("tap.snapshots.cloud.secrets"), named)]


def _resources(name: str) -> dict[str, Any]:
    """Quantities; "0" is none."""

    def given(path: str) -> When:
        setting = Setting(f"tap.resources.{name}.{path}")
        return When(Not(Equals(setting, "0")), setting)

    return {kind: {what: given(f"{kind}.{what}") for what in ("cpu", "memory")} for kind in ("limits", "requests")}


def _probes(name: str, port: int) -> dict[str, Any]:
    """That the port is open: nobody unknown is answered more."""
    probe = {
        "tcpSocket": {"port": port},
        **{
            field: Setting(f"tap.probes.{name}.{field}")
            for field in ("initialDelaySeconds", "periodSeconds", "successThreshold", "failureThreshold")
        },
    }
    return {"readinessProbe": probe, "livenessProbe": {**probe, "successThreshold": 1}}  # the API takes no other


def _locked_down() -> dict[str, Any]:
    return {
        "privileged": False,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "runAsUser": USER,
        "runAsGroup": USER,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def _pod_context() -> dict[str, Any]:
    return {"runAsNonRoot": True, "fsGroup": USER, "seccompProfile": {"type": "RuntimeDefault"}}


def _secret_volume(name: str, secret: Any) -> dict[str, Any]:
    return {"name": name, "secret": {"secretName": secret, "defaultMode": 0o440}}


def _placement(nodes: str, tolerations: str) -> dict[str, Any]:
    terms = Setting(f"tap.nodeSelectorTerms.{nodes}")
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
    return {
        "affinity": When(terms, {"nodeAffinity": required}),
        "tolerations": Setting(f"tap.tolerations.{tolerations}"),
        "priorityClassName": When(Setting("tap.priorityClass"), Setting("tap.priorityClass")),
        "imagePullSecrets": When(
            Setting("tap.docker.imagePullSecrets"), [Each(Setting("tap.docker.imagePullSecrets"), {"name": Item()})]
        ),
        "dnsConfig": {name: Setting(f"tap.dns.{name}") for name in ("nameservers", "searches", "options")},
    }
