"""The Helm chart: every way of using it renders to what Kubernetes accepts, and wrong values are refused by name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from server.config.settings import Settings
from tests.deploy.manifests import (
    CHART,
    DEPLOY,
    Document,
    check_crds,
    check_kubernetes,
    containers,
    helm,
    needs_crds,
    read,
    template,
)

WAYS = {"default": (), **{path.stem: ("--values", str(path)) for path in sorted((CHART / "values").glob("*.yaml"))}}
ways = pytest.mark.parametrize("values", WAYS.values(), ids=WAYS)


def kinds(*argv: str) -> dict[str, Document]:
    return {document["kind"]: document for document in read(template(*argv))}


def container(*argv: str) -> Document:
    (found,) = containers(kinds(*argv)["Deployment"])
    return found


def sets(*pairs: str) -> tuple[str, ...]:
    return tuple(part for pair in pairs for part in ("--set", pair))


@ways
def test_helm_finds_no_fault(values: tuple[str, ...]) -> None:
    report = helm("lint", "--strict", str(CHART), *values)
    assert report.returncode == 0, report.stdout


@ways
def test_kubernetes_accepts_it(values: tuple[str, ...]) -> None:
    checked = [check_kubernetes(document) for document in read(template(*values))]
    assert any(checked)


@ways
@needs_crds
def test_others_kinds_are_valid_where_their_definitions_are_at_hand(values: tuple[str, ...], tmp_path: Path) -> None:
    rendered = tmp_path / "rendered.yaml"
    rendered.write_text(template(*values))
    report = check_crds(rendered)
    assert report.returncode == 0, report.stdout


@ways
def test_flags_are_the_servers(values: tuple[str, ...]) -> None:
    argv = [arg for arg in container(*values)["args"] if "/etc/polyserve/" not in arg]  # files of the pod
    settings = Settings.parse(argv, {})
    assert (settings.model_dir, settings.http_port, settings.grpc_port) == (Path("/mnt/models"), 8080, 8081)


def test_the_schema_knows_every_value() -> None:
    schema = yaml.safe_load((CHART / "values.schema.json").read_text())

    def paths(values: Document, node: Document) -> list[str]:
        known = node.get("properties")
        if known is None:
            return []
        missing = [name for name in values if name not in known]
        below = [paths(value, known[name]) for name, value in values.items() if isinstance(value, dict)]
        return missing + [path for each in below for path in each]

    assert paths(yaml.safe_load((CHART / "values.yaml").read_text()), schema) == []


@pytest.mark.parametrize(
    ("pair", "named"),
    [
        ("replica=2", "replica"),
        ("models.claim.sizes=1Gi", "sizes"),
        ("autoscaling.kind=vpa", "autoscaling.kind"),
        ("image.pullPolicy=Sometimes", "image.pullPolicy"),
        ("tmp.sizeLimit=much", "tmp.sizeLimit"),
        ("termination.graceSeconds=5", "termination.graceSeconds"),
        ("models.uris.iris=./here", "models.uris.iris"),
        ("resources.limit.cpu=1", "limit"),
        ("service.httpPort=99999", "service.httpPort"),
    ],
)
def test_a_wrong_value_is_refused_by_name(pair: str, named: str) -> None:
    with pytest.raises(ValueError, match=re.escape(named.rpartition(".")[2])):
        template(*sets(pair))


def test_settings_become_flags() -> None:
    args = container(*sets("settings.max_queue=64", "settings.memory_budget=50%", "settings.watch=false"))["args"]
    settings = Settings.parse(args, {})
    assert (settings.max_queue, settings.watch) == (64, False)
    assert "--memory_budget=50%" in args


def test_settings_of_a_file_of_values_are_as_they_were_written(tmp_path: Path) -> None:
    """Helm reads a file's numbers as floats, and Go prints large ones with an exponent."""
    values = tmp_path / "values.yaml"
    values.write_text(
        "settings: {max_body_bytes: 104857600, payload_log: s3://logs/x, payload_log_share: 0.01, access_log: true, "
        "payload_log_headers: [x-tenant, x-team], grpc_frontend: grpcio, sandbox: true}\n"
        "env: {OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318', OTEL_BSP_MAX_QUEUE_SIZE: 10000000}\n"
    )
    one = container("--values", str(values))
    settings = Settings.parse(one["args"], {})
    assert (settings.max_body_bytes, settings.payload_log_share, settings.access_log) == (104857600, 0.01, True)
    assert (settings.payload_log_headers, settings.grpc_frontend) == (("x-tenant", "x-team"), "grpcio")
    told = {each["name"]: each.get("value") for each in one["env"]}
    assert told["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://collector:4318"
    assert told["OTEL_BSP_MAX_QUEUE_SIZE"] == "10000000"


def test_files_that_flags_name_are_mounted(tmp_path: Path) -> None:
    values = tmp_path / "values.yaml"
    values.write_text(
        "settings: {verify_key: /etc/signers/key.pub}\n"
        "extraVolumes: [{name: signers, configMap: {name: signers}}]\n"
        "extraVolumeMounts: [{name: signers, mountPath: /etc/signers, readOnly: true}]\n"
        "secrets: {apiKeys: keys}\nmonitoring: {serviceMonitor: true, apiKey: prometheus}\n"
    )
    found = kinds("--values", str(values))
    assert all(check_kubernetes(found[kind]) for kind in ("Deployment", "Service"))
    (one,) = containers(found["Deployment"])
    assert {"--verify_key=/etc/signers/key.pub", "--api_keys_file=/etc/polyserve/keys/keys.yaml"} <= {*one["args"]}
    mounted = {mount["name"]: mount["mountPath"] for mount in one["volumeMounts"]}
    assert (mounted["signers"], mounted["keys"]) == ("/etc/signers", "/etc/polyserve/keys")
    volumes = {each["name"]: each for each in found["Deployment"]["spec"]["template"]["spec"]["volumes"]}
    assert volumes["keys"]["secret"] == {"secretName": "keys"}
    (endpoint,) = found["ServiceMonitor"]["spec"]["endpoints"]
    assert endpoint["authorization"] == {"credentials": {"name": "prometheus", "key": "key"}}


def test_models_from_stores_need_no_claim() -> None:
    found = kinds(*sets("models.claim.enabled=false", "models.uris.iris=s3://bucket/iris"))
    assert "PersistentVolumeClaim" not in found
    assert found["Deployment"]["spec"]["strategy"]["type"] == "RollingUpdate"
    (one,) = containers(found["Deployment"])
    assert "--model=iris=s3://bucket/iris" in one["args"]


def test_a_claim_of_one_node_is_handed_over_not_shared() -> None:
    """With RollingUpdate a new pod on another node would wait for the claim, and the old one for the new."""
    assert kinds()["Deployment"]["spec"]["strategy"] == {"type": "Recreate"}
    many = sets("models.claim.accessModes={ReadWriteMany}")
    assert kinds(*many)["Deployment"]["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}


def test_secrets_are_named_not_written() -> None:
    argv = sets("secrets.stores=keys", "secrets.adminToken=admin", "secrets.tls=pair", "secrets.caBundle=ca")
    one = container(*argv)
    assert one["envFrom"] == [{"secretRef": {"name": "keys"}}]
    tokens = [each for each in one["env"] if each["name"] == "ADMIN_TOKEN"]
    assert tokens == [{"name": "ADMIN_TOKEN", "valueFrom": {"secretKeyRef": {"name": "admin", "key": "token"}}}]
    assert {one[probe]["httpGet"]["scheme"] for probe in ("startupProbe", "readinessProbe", "livenessProbe")} == {
        "HTTPS"
    }
    mounts = {mount["name"] for mount in one["volumeMounts"] if mount.get("readOnly")}
    assert mounts == {"models", "tls", "ca"}


def test_no_user_is_fixed_and_nothing_else_is_allowed() -> None:
    pod = kinds()["Deployment"]["spec"]["template"]["spec"]
    assert pod["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    assert pod["automountServiceAccountToken"] is False
    assert container()["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }


def test_the_pod_outlives_the_servers_own_grace() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())["termination"]
    assert values["graceSeconds"] > values["drainSeconds"] + Settings.grace_period + 3


def test_services_lead_to_named_ports() -> None:
    named = {port["name"]: port["containerPort"] for port in container()["ports"]}
    ports = kinds()["Service"]["spec"]["ports"]
    assert {port["name"]: named[port["targetPort"]] for port in ports} == {"http": 8080, "grpc": 8081}


def test_scaling_leaves_the_number_of_replicas_alone() -> None:
    for kind in ("hpa", "keda"):
        found = kinds(*sets(f"autoscaling.kind={kind}", "autoscaling.queueLength=32"))
        assert "replicas" not in found["Deployment"]["spec"]
        scaler = found["HorizontalPodAutoscaler" if kind == "hpa" else "ScaledObject"]
        assert "polyserve_queue_length" in str(scaler)
        assert "32" in str(scaler)


def test_the_plain_manifest_is_the_chart() -> None:
    """`make manifests` makes it."""
    left_out = ("# Source", "helm.sh/chart", "managed-by: Helm")
    rendered = "\n".join(line for line in template().splitlines() if not any(word in line for word in left_out))
    text = (DEPLOY / "deployment.yaml").read_text()
    assert text.partition("\n")[2].strip() == rendered.strip(), "run `make manifests`"
