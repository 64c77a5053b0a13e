"""The Kubernetes objects that serve a model or a folder of models, as plain documents: as in `deploy/`.

KServe downloads to /mnt/models what STORAGE_URI names; without KServe the server itself does (`--model`), unless a
claim of persistent storage is mounted.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from server.config.model_uri import Address

Document = dict[str, Any]

MOUNT, CACHE = "/mnt/models", "/var/cache/polyserve"
HTTP_PORT, GRPC_PORT = 8080, 8081
_GRACE = 60  #: seconds
_DISK = ("1Gi", "16Gi")  #: requested, and at most
_PVC = re.compile(r"pvc://(?P<claim>[a-z0-9]([-a-z0-9.]*[a-z0-9])?)(/(?P<path>.*))?")
_APP = "app.kubernetes.io/name"


@dataclass(frozen=True)
class Plan:
    """What is to be served, and with what."""

    name: str  #: of the objects
    uri: str  #: where the model, or the folder of models, lies
    model_name: str  #: of a single model
    image: str
    cpu: tuple[str, str]  #: requested, and at most
    memory: tuple[str, str]
    namespace: str = ""
    flags: Sequence[str] = ()  #: further ones of the server

    @property
    def claim(self) -> re.Match[str] | None:
        """The claim of persistent storage, and the path in it, where it is one."""
        return _PVC.fullmatch(self.uri)


def inference_service(plan: Plan) -> list[Document]:
    """KServe's custom predictor."""
    container = {
        "name": "kserve-container",
        "image": plan.image,
        "args": _args(f"--model_name={plan.model_name}", *_served(), *plan.flags),
        "env": [{"name": "STORAGE_URI", "value": plan.uri}],
        "ports": [{"name": "http1", "containerPort": HTTP_PORT, "protocol": "TCP"}],
        **_probes(HTTP_PORT),
        "resources": _resources(plan),
        "securityContext": {
            **_LOCKED,
            "privileged": False,
            **_NO_ROOT,
        },
        "volumeMounts": [*_MOUNTS],
    }
    spec = {"predictor": {"minReplicas": 1, "containers": [container], "volumes": [*_VOLUMES]}}
    return [_object("serving.kserve.io/v1beta1", "InferenceService", plan, spec)]


def deployment(plan: Plan) -> list[Document]:
    """A Deployment and a Service, for a cluster without KServe."""
    labels = {_APP: plan.name}
    mounts, volumes = _storage(plan)
    container = {
        "name": "polyserve",
        "image": plan.image,
        "args": _args(*_source(plan), *_served(), *plan.flags),
        "env": [{"name": "POD_NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}}],
        "ports": [{"name": "http", "containerPort": HTTP_PORT}, {"name": "grpc", "containerPort": GRPC_PORT}],
        **_probes("http", scheme="HTTP"),
        "lifecycle": {"preStop": {"exec": {"command": ["sleep", "5"]}}},
        "resources": _resources(plan),
        "securityContext": _LOCKED,
        "volumeMounts": [*_MOUNTS, *mounts],
    }
    pod = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": _GRACE,
        "securityContext": _NO_ROOT,
        "containers": [container],
        "volumes": [*_VOLUMES, *volumes],
    }
    scraped = {"scrape": "true", "path": "/metrics", "port": str(HTTP_PORT)}
    annotations = {f"prometheus.io/{key}": value for key, value in scraped.items()}
    template = {"metadata": {"labels": labels, "annotations": annotations}, "spec": pod}
    # one node alone may mount a claim: the old pod goes before the new one starts
    strategy = {"strategy": {"type": "Recreate"}} if volumes else {}
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, **strategy, "template": template}
    ports = [
        {"name": "http", "port": HTTP_PORT, "targetPort": "http"},
        {"name": "grpc", "port": GRPC_PORT, "targetPort": "grpc", "appProtocol": "kubernetes.io/h2c"},
    ]
    service = {"type": "ClusterIP", "selector": labels, "ports": ports}
    return [
        _object("apps/v1", "Deployment", plan, spec, labels),
        _object("v1", "Service", plan, service, labels),
    ]


def problem_of_name(name: str) -> str:
    """Why Kubernetes would refuse an object, or KServe a service, of that name; "": it takes it."""
    if re.fullmatch(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?", name):
        return ""
    return "must be 1 to 63 of a-z, 0-9 and -, begin with a letter, and not end with -"


def name_from(text: str) -> str:
    """The nearest name that Kubernetes takes."""
    name = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:63].strip("-")
    return name if name[:1].isalpha() else f"model-{name}".strip("-")[:63].strip("-")


_NO_ROOT: Document = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
_MOUNTS = ({"name": "tmp", "mountPath": "/tmp"}, {"name": "cache", "mountPath": CACHE})
_VOLUMES: tuple[Document, ...] = (
    {"name": "tmp", "emptyDir": {"sizeLimit": "4Gi"}},
    {"name": "cache", "emptyDir": {"sizeLimit": "10Gi"}},
)
_LOCKED: Document = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
}


def _object(version: str, kind: str, plan: Plan, spec: Document, labels: Document | None = None) -> Document:
    metadata: Document = {"name": plan.name}
    metadata |= {"namespace": plan.namespace} if plan.namespace else {}
    metadata |= {"labels": labels} if labels else {}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}


def _args(*flags: str) -> list[str]:
    return list(flags)


def _served() -> tuple[str, ...]:
    return f"--model_dir={MOUNT}", f"--http_port={HTTP_PORT}", f"--grpc_port={GRPC_PORT}"


def _source(plan: Plan) -> tuple[str, ...]:
    """The flags that name the model, where the claim that is mounted does not."""
    if plan.claim:
        return () if plan.model_name == plan.name else (f"--model_name={plan.model_name}",)
    return (f"--model={plan.model_name}={Address.read(plan.uri).uri}",)


def _storage(plan: Plan) -> tuple[list[Document], list[Document]]:
    """The claim that the models come from, where one is mounted."""
    found = plan.claim
    if found is None:
        return [], []
    mount: Document = {"name": "models", "mountPath": MOUNT, "readOnly": True}
    path = (found["path"] or "").strip("/")
    mount |= {"subPath": path} if path else {}
    return [mount], [{"name": "models", "persistentVolumeClaim": {"claimName": found["claim"]}}]


def _probes(port: int | str, **more: str) -> Document:
    def probe(path: str, **times: int) -> Document:
        return {"httpGet": {"path": path, "port": port, **more}, **times}

    return {
        "startupProbe": probe("/v2/health/live", periodSeconds=2, timeoutSeconds=3, failureThreshold=90),
        "readinessProbe": probe("/v2/health/ready", periodSeconds=5, timeoutSeconds=3),
        "livenessProbe": probe("/v2/health/live", periodSeconds=10, timeoutSeconds=5),
    }


def _resources(plan: Plan) -> Document:
    return {
        "requests": {"cpu": plan.cpu[0], "memory": plan.memory[0], "ephemeral-storage": _DISK[0]},
        "limits": {"cpu": plan.cpu[1], "memory": plan.memory[1], "ephemeral-storage": _DISK[1]},
    }
