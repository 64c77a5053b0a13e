"""The Helm chart: every way of using it renders to what Kubernetes accepts, and wrong values are refused by name."""

from __future__ import annotations

import re
from dataclasses import replace
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


def sets(*pairs: str) -> tuple[str, ...]:
    return tuple(part for pair in pairs for part in ("--set", pair))


WAYS = {
    "default": (),
    **{path.stem: ("--values", str(path)) for path in sorted((CHART / "values").glob("*.yaml"))},
    "gateway": sets("gateway.enabled=true", "gateway.grpcHost=grpc.example.com", "gateway.backendCa=authorities",
                    "secrets.tls=pair", "secrets.clientCa=authorities", "monitoring.serviceMonitor=true"),
}  # fmt: skip
ways = pytest.mark.parametrize("values", WAYS.values(), ids=WAYS)


def kinds(*argv: str) -> dict[str, Document]:
    return {document["kind"]: document for document in read(template(*argv))}


def container(*argv: str) -> Document:
    (found,) = containers(kinds(*argv)["Deployment"])
    return found


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
    one = container(*values)
    settings = replace(Settings.parse([arg for arg in one["args"] if "/etc/polyserve/" not in arg], {}), **tls_of(one))
    ports = {port["name"]: port["containerPort"] for port in one["ports"]}
    assert settings.model_dir == Path("/mnt/models")
    assert {"http": settings.rest_port, "grpc": settings.grpc_port} == ports


def tls_of(one: Document) -> dict[str, str]:
    """The files of TLS, which are the pod's, as its flags name them."""
    found = [arg.removeprefix("--").partition("=") for arg in one["args"] if arg.startswith(("--ssl_c", "--ssl_k"))]
    return {name: value for name, _, value in found}


def test_under_tls_everything_leads_to_where_the_server_listens() -> None:
    """It makes 8443 of 8080."""
    found = kinds(*sets("secrets.tls=pair"))
    (one,) = containers(found["Deployment"])
    assert {port["name"]: port["containerPort"] for port in one["ports"]} == {"http": 8443, "grpc": 8081}
    assert found["Service"]["spec"]["ports"][0] == {"name": "http", "port": 8080, "targetPort": "http"}
    annotations = found["Deployment"]["spec"]["template"]["metadata"]["annotations"]
    assert (annotations["prometheus.io/port"], annotations["prometheus.io/scheme"]) == ("8443", "https")


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
        ("image.tag=1.0@sha256:0123", "image.tag"),
        ("image.digest=0123", "image.digest"),
        ("settings.http_port=9000", "settings.http_port: the chart gives this flag itself; see service.httpPort"),
        ("settings.ssl_certfile=/x", "settings.ssl_certfile: the chart gives this flag itself; see secrets.tls"),
        ("secrets.clientCa=authorities", "secrets.clientCa asks clients for certificates, over TLS: set secrets.tls"),
        ("gateway.backendCa=authorities", "gateway.backendCa is for pods that speak TLS: set secrets.tls"),
        ("image.repository=polyserve:1.0", "image.repository"),
        ("secrets.tls=My_Pair", "secrets.tls"),
        ("models.claim.existing=a b", "models.claim.existing"),
        ("ingress.host=https://a.example", "ingress.host"),
        ("podLabels.team=two words", "podLabels.team"),
        ("podAnnotations.two words=x", "two words"),
        ("networkPolicy.from={10.0.0.0/8}", "networkPolicy.from"),
        ("podDisruptionBudget.maxUnavailable=200%", "podDisruptionBudget.maxUnavailable"),
        ("tmp.sizeLimit=-1", "tmp.sizeLimit"),
        ("secrets=null", "secrets is required"),
        ("service.httpPort=null", "httpPort is required"),
        ("service.grpcPort=8080", "service.grpcPort is service.httpPort"),
        ("resources.requests.memory=8Gi", "resources.requests.memory is above resources.limits.memory"),
        ("resources.requests.cpu=2001m", "resources.requests.cpu is above resources.limits.cpu"),
        ("models.uris.iris=s4://bucket/iris", "models.uris.iris"),
        ("autoscaling.kind=hpa,autoscaling.minReplicas=11", "autoscaling.minReplicas is above autoscaling.maxReplicas"),
        ("termination.drainSeconds=33", "termination.graceSeconds: 60 s end the pod before it has drained"),
        ("settings.grace_period=120", "that takes 128"),
        ("settings.shutdown_delay=40", "that takes 70"),
        ("env.POD_NAMESPACE=x", "env.POD_NAMESPACE: the chart gives this variable itself"),
        ("secrets.adminToken=a,env.ADMIN_TOKEN=x", "env.ADMIN_TOKEN: the chart gives this variable itself"),
        ("extraVolumes[0].name=keys", "extraVolumes: the chart has a volume keys of its own"),
    ],
)
def test_a_wrong_value_is_refused_by_name(pair: str, named: str) -> None:
    with pytest.raises(ValueError) as refused:
        template(*sets(pair))
    assert named in str(refused.value) or named.rpartition(".")[2] in str(refused.value).replace("'", "")


def test_one_host_name_has_routes_of_one_kind() -> None:
    """The Gateway API has one of an HTTPRoute and a GRPCRoute refused where both name the same host."""
    found = kinds(*sets("gateway.enabled=true", "gateway.host=*.example.com", "settings.root_path=/ml"))
    assert "GRPCRoute" not in found
    rest, remote = found["HTTPRoute"]["spec"]["rules"]
    assert found["HTTPRoute"]["spec"]["hostnames"] == ["*.example.com"]
    assert [match["path"]["value"] for match in rest["matches"]] == ["/ml/v1", "/ml/v2", "/ml/openai"]
    assert remote["matches"] == [{"path": {"type": "PathPrefix", "value": "/inference.GRPCInferenceService"}}]
    assert [rule["backendRefs"][0]["port"] for rule in (rest, remote)] == [8080, 8081]
    both = kinds(*sets("gateway.enabled=true", "gateway.grpcHost=grpc.example.com"))
    assert len(both["HTTPRoute"]["spec"]["rules"]) == 1
    assert both["GRPCRoute"]["spec"]["hostnames"] == ["grpc.example.com"]
    with pytest.raises(ValueError, match=r"gateway\.grpcHost: a gateway takes an HTTPRoute or a GRPCRoute"):
        template(*sets("gateway.enabled=true", "gateway.host=a.example", "gateway.grpcHost=a.example"))


def test_a_gateway_is_told_to_speak_tls_to_the_pods() -> None:
    found = kinds(*sets("gateway.enabled=true", "secrets.tls=pair", "gateway.backendCa=authorities"))
    policy = found["BackendTLSPolicy"]["spec"]
    assert policy["targetRefs"][0]["name"] == found["Service"]["metadata"]["name"]
    assert policy["validation"]["hostname"] == "polyserve.default.svc"
    assert policy["validation"]["caCertificateRefs"][0]["name"] == "authorities"


def test_who_wants_certificates_is_probed_by_a_socket() -> None:
    """The kubelet has none to show."""
    found = kinds(*sets("secrets.tls=pair", "secrets.clientCa=authorities", "monitoring.serviceMonitor=true",
                        "monitoring.clientTls=prometheus"))  # fmt: skip
    assert check_kubernetes(found["Deployment"])
    (one,) = containers(found["Deployment"])
    asked = {one[probe]["exec"]["command"][-1] for probe in ("startupProbe", "readinessProbe", "livenessProbe")}
    assert asked == {"/v2/health/live", "/v2/health/ready"}
    told = {each["name"]: each.get("value") for each in one["env"]}
    settings = Settings.parse([each for each in one["args"] if "/etc/polyserve/" not in each], told)
    assert str(settings.uds) == told["POLYSERVE_UDS"] == "/tmp/polyserve.sock"
    assert "--ssl_ca_certs=/etc/polyserve/client-ca/ca.crt" in one["args"]
    (endpoint,) = found["ServiceMonitor"]["spec"]["endpoints"]
    assert endpoint["tlsConfig"]["keySecret"] == {"name": "prometheus", "key": "tls.key"}


def test_names_stay_texts_whatever_they_look_like(tmp_path: Path) -> None:
    """A secret may be called 123, a release 2024.1; a service's name begins with a letter and has no dots."""
    values = tmp_path / "values.yaml"
    values.write_text(
        "secrets: {tls: '123', apiKeys: '1e3', stores: 'true', adminToken: 'null'}\n"
        "models: {claim: {existing: '77'}}\ncache: {existingClaim: '78'}\nserviceAccount: {name: '79'}\n"
        "priorityClassName: '80'\nruntimeClassName: '81'\ningress: {enabled: true, host: '*.example.com'}\n"
        "podAnnotations: {prometheus.io/port: '9000', team: '82'}\npodLabels: {team: '83'}\n"
        "image: {tag: '" + "1" * 100 + "', digest: 'sha256:" + "0" * 64 + "'}\n"
    )
    done = helm("template", "2024.1", str(CHART), "--values", str(values))
    assert done.returncode == 0, done.stderr
    found = read(done.stdout)
    for document in found:
        assert check_kubernetes(document), document["kind"]
        assert re.fullmatch(r"[a-z][a-z0-9-]*", document["metadata"]["name"]) or document["kind"] == "ServiceAccount"
        assert all(len(label) <= 63 for label in document["metadata"]["labels"].values())
    (pod,) = (each["spec"]["template"] for each in found if each["kind"] == "Deployment")
    assert pod["metadata"]["annotations"] == {
        "prometheus.io/scrape": "true",
        "prometheus.io/path": "/metrics",
        "prometheus.io/port": "9000",
        "prometheus.io/scheme": "https",
        "team": "82",
    }
    assert pod["metadata"]["labels"]["app.kubernetes.io/instance"] == "2024.1"
    assert pod["spec"]["containers"][0]["image"].endswith(f"{'1' * 100}@sha256:{'0' * 64}")


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


def test_who_knows_an_existing_claim_says_how_its_pods_follow_one_another() -> None:
    existing = ("models.claim.existing=mine", "cache.existingClaim=warm")
    assert kinds(*sets(*existing))["Deployment"]["spec"]["strategy"]["type"] == "RollingUpdate"
    assert kinds(*sets(*existing, "updateStrategy=Recreate"))["Deployment"]["spec"]["strategy"] == {"type": "Recreate"}


def test_parts_of_a_values_file_whose_lines_are_all_comments_are_the_defaults(tmp_path: Path) -> None:
    """YAML makes null of them, and Helm takes away what is null."""
    values = tmp_path / "values.yaml"
    values.write_text(
        "settings:\nenv:\npodLabels:\npodAnnotations:\nnodeSelector:\ntolerations:\naffinity:\n"
        "models: {uris: null}\nimage: {tag: null}\nservice: {annotations: null}\n"
    )
    assert template("--values", str(values)) == template()


def test_labels_of_ours_are_there_once() -> None:
    labels = "monitoring.labels.app\\.kubernetes\\.io/name=other,monitoring.labels.release=prometheus"
    found = kinds(*sets("monitoring.serviceMonitor=true,monitoring.rules=true", labels))
    for kind in ("ServiceMonitor", "PrometheusRule"):
        carried = found[kind]["metadata"]["labels"]
        assert (carried["app.kubernetes.io/name"], carried["release"]) == ("polyserve", "prometheus")


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
