"""The manifests are valid, and they agree with the server's settings, the adapters and the image."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from adapters import registry
from server.config.settings import Settings, unknown_variables

ROOT = Path(__file__).resolve().parent.parent
DEPLOY = ROOT / "deploy"
DOCKERFILE = (ROOT / "Dockerfile").read_text()
CRDS = Path(os.environ.get("POLYSERVE_CRDS", ROOT.parent / "shared" / "crds"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

Document = dict[str, Any]


def documents() -> Iterator[tuple[str, Document]]:
    """Every Kubernetes document below deploy/, with a name for the test's report."""
    for path in sorted(DEPLOY.glob("*.yaml")):
        for document in yaml.safe_load_all(path.read_text()):
            if "apiVersion" in document:
                yield f"{path.name}:{document['kind']}", document


def containers(node: Any) -> Iterator[Document]:
    """Every container below a node, whatever kind holds it."""
    if isinstance(node, dict):
        yield from node.get("containers", ())
        for value in node.values():
            yield from containers(value)


DOCUMENTS = dict(documents())
KSERVE = {name: doc for name, doc in DOCUMENTS.items() if doc["apiVersion"].startswith("serving.kserve.io/")}
CORE = {name: doc for name, doc in DOCUMENTS.items() if doc["apiVersion"] in ("v1", "apps/v1")}
CONTAINERS = {name: found[0] for name, doc in DOCUMENTS.items() if (found := list(containers(doc)))}
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]["polyserve"]

needs_crds = pytest.mark.skipif(
    not (CRDS / "check.py").exists(), reason=f"KServe's CRDs and their checker are not in {CRDS}: set POLYSERVE_CRDS"
)


def each(found: dict[str, Document]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("document", list(found.values()), ids=list(found))


def check_crds(*paths: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *map(str, (CRDS / "check.py", CRDS, *paths))]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@needs_crds
def test_kserve_accepts_its_kinds() -> None:
    report = check_crds(*sorted(DEPLOY.glob("*.yaml")))
    assert report.returncode == 0, report.stdout
    assert report.stdout.splitlines()[-1] == f"{len(KSERVE)} checked, 0 errors"


@needs_crds
def test_kserve_refuses_an_unknown_field(tmp_path: Path) -> None:
    manifest = (DEPLOY / "inferenceservice.yaml").read_text()
    misspelt = tmp_path / "misspelt.yaml"
    misspelt.write_text(manifest.replace("storageUri:", "storageURI:"))
    report = check_crds(misspelt)
    assert report.returncode == 1
    assert "storageURI" in report.stdout


@each(CORE)
def test_kubernetes_accepts_its_kinds(document: Document) -> None:
    kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)


def test_every_manifest_is_checked_by_someone() -> None:
    assert len(KSERVE) + len(CORE) == len(DOCUMENTS) - 1, "all but the kustomization"
    assert {doc["kind"] for doc in KSERVE.values()} == {"InferenceService", "ClusterServingRuntime"}


@each(CONTAINERS)
def test_flags_and_variables_are_the_servers(document: Document) -> None:
    argv = [arg.replace("{{.Name}}", "iris") for arg in document["args"]]
    environ = {variable["name"]: variable["value"] for variable in document.get("env", ())}
    settings = Settings.parse(argv, environ)
    assert not unknown_variables(Settings, environ)
    assert settings.model_dir == Settings.model_dir
    assert (settings.http_port, settings.grpc_port) == (Settings.http_port, Settings.grpc_port)


@each(CONTAINERS)
def test_probes_ask_the_rest_port(document: Document) -> None:
    ports = {port["name"]: port["containerPort"] for port in document.get("ports", ())}
    assert set(ports.values()) <= {Settings.http_port, Settings.grpc_port}
    for probe, path in {"readinessProbe": "/v2/health/ready", "livenessProbe": "/v2/health/live"}.items():
        target = document[probe]["httpGet"]
        assert target["path"] == path
        assert ports.get(target["port"], target["port"]) == Settings.http_port


@each({name: doc for name, doc in DOCUMENTS.items() if doc["kind"] == "Service"})
def test_services_lead_to_named_ports(document: Document) -> None:
    deployment = CONTAINERS["deployment.yaml:Deployment"]
    named = {port["name"]: port["containerPort"] for port in deployment["ports"]}
    assert {port["port"]: named[port["targetPort"]] for port in document["spec"]["ports"]} == {8080: 8080, 8081: 8081}


@each(CONTAINERS)
def test_containers_are_locked_down(document: Document) -> None:
    pod = DOCUMENTS["deployment.yaml:Deployment"]["spec"]["template"]["spec"]["securityContext"]
    own = document["securityContext"]
    security = own if document["name"] == "kserve-container" else pod | own
    assert security["runAsNonRoot"] is True
    assert security["runAsUser"] == image_user()
    assert security["readOnlyRootFilesystem"] is True
    assert security["allowPrivilegeEscalation"] is False
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert [mount["mountPath"] for mount in document["volumeMounts"] if not mount.get("readOnly")] == ["/tmp"]
    assert {"requests", "limits"} == document["resources"].keys()


def test_compose_agrees() -> None:
    assert [port.rsplit(":", 1)[1] for port in COMPOSE["ports"]] == [str(Settings.http_port), str(Settings.grpc_port)]
    assert COMPOSE["volumes"][0]["target"] == str(Settings.model_dir)
    assert COMPOSE["volumes"][0]["read_only"] is True
    assert COMPOSE["read_only"] is True
    assert COMPOSE["tmpfs"] == ["/tmp"]


def test_the_runtime_names_every_adapter() -> None:
    runtime = DOCUMENTS["clusterservingruntime.yaml:ClusterServingRuntime"]["spec"]
    formats = {entry["name"] for entry in runtime["supportedModelFormats"]}
    assert formats == set(registry.TABLE)
    assert runtime["protocolVersions"] == ["v1", "v2", "grpc-v2"]


def test_the_example_service_uses_the_runtime() -> None:
    model = DOCUMENTS["inferenceservice.yaml:InferenceService"]["spec"]["predictor"]["model"]
    runtime = DOCUMENTS["clusterservingruntime.yaml:ClusterServingRuntime"]
    assert model["runtime"] == runtime["metadata"]["name"]
    assert model["modelFormat"]["name"] in registry.TABLE
    assert model["protocolVersion"] in runtime["spec"]["protocolVersions"]


def test_the_models_of_storage_uris_lie_side_by_side() -> None:
    predictor = DOCUMENTS["inferenceservice-multi-model.yaml:InferenceService"]["spec"]["predictor"]
    paths = [Path(entry["mountPath"]) for entry in predictor["storageUris"]]
    assert len(set(paths)) > 1
    assert {path.parent for path in paths} == {Settings.model_dir}


def test_kustomization_installs_the_one_image() -> None:
    kustomization = yaml.safe_load((DEPLOY / "kustomization.yaml").read_text())
    assert all((DEPLOY / resource).exists() for resource in kustomization["resources"])
    (image,) = kustomization["images"]
    names = {f"{image['newName']}:{image['newTag']}", COMPOSE["image"]}
    assert names | {container["image"] for container in CONTAINERS.values()} == {"polyserve:latest"}


def test_the_readme_names_every_file() -> None:
    readme = (DEPLOY / "README.md").read_text()
    assert set(re.findall(r"^\| `([^`]+)` \|", readme, re.MULTILINE)) == {path.name for path in DEPLOY.glob("*.yaml")}


def image_user() -> int:
    """The user that the Dockerfile's last stage leaves in force."""
    uid, gid = re.findall(r"^USER (\d+):(\d+)$", DOCKERFILE, re.MULTILINE)[-1]
    assert uid == gid
    return int(uid)


def test_the_image_is_not_roots() -> None:
    assert image_user() == 1000


def test_the_image_exposes_the_servers_ports() -> None:
    (ports,) = re.findall(r"^EXPOSE (.+)$", DOCKERFILE, re.MULTILINE)
    assert ports.split() == [str(Settings.http_port), str(Settings.grpc_port)]


def test_the_dockerfile_is_clean() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    report = subprocess.run([hadolint, ROOT / "Dockerfile"], capture_output=True, text=True, check=False)
    assert report.returncode == 0, report.stdout + report.stderr


def test_every_extra_is_in_all_and_the_dockerfile_names_it() -> None:
    extras = {name for name in PROJECT["optional-dependencies"] if name not in ("all", "test")}
    told = DOCKERFILE[DOCKERFILE.index("# Extras of") : DOCKERFILE.index("ARG FRAMEWORKS")]
    everything = [Requirement(text).extras for text in PROJECT["optional-dependencies"]["all"]]
    assert set().union(*everything) == extras
    assert extras <= set(re.findall(r"[a-z-]+", told))
    without = {"custom", "torchserve", "generation"}  # user code, archives that torch loads, what `huggingface` has
    assert {name.replace("_", "-") for name in registry.TABLE} - without <= extras


def test_constraints_pin_every_direct_dependency_within_its_range() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line and not line.startswith("#")]
    pins = dict(line.split("==") for line in lines)
    needed = [
        *PROJECT["dependencies"],
        *(text for texts in PROJECT["optional-dependencies"].values() for text in texts),
    ]
    for requirement in map(Requirement, needed):
        if requirement.name == PROJECT["name"]:
            continue
        pin = pins.get(canonicalize_name(requirement.name))
        assert pin is not None, f"constraints.txt does not pin {requirement.name}"
        assert requirement.specifier.contains(pin), f"{requirement.name}: {pin} is outside {requirement.specifier}"
