"""The runtime, its overlays and the examples are valid, and they agree with the server's settings and the adapters."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from adapters import registry
from server.config.settings import Settings, unknown_variables
from tests.deploy.manifests import (
    DEPLOY,
    OVERLAYS,
    Document,
    check_crds,
    check_kubernetes,
    containers,
    needs_crds,
    needs_kubectl,
    overlay,
    read,
)

EXAMPLES = sorted((DEPLOY / "kserve" / "examples").glob("*.yaml"))
README = DEPLOY / "README.md"
BASE = DEPLOY / "kserve" / "base" / "clusterservingruntime.yaml"
RUNTIME = read(BASE.read_text())[0]
DOCUMENTS = {
    f"{path.name}:{document['kind']}:{document['metadata']['name']}": document
    for path in (BASE, *EXAMPLES)
    for document in read(path.read_text())
}
CONTAINERS = {name: found[0] for name, doc in DOCUMENTS.items() if (found := list(containers(doc)))}
#: what peers call what we have: KServe's own runtimes, and TrainedModels, name these
ALIASES = {"pytorch", "keras"}


def each(found: dict[str, Document]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("document", list(found.values()), ids=list(found))


@needs_crds
def test_kserve_accepts_its_kinds() -> None:
    report = check_crds(BASE, *EXAMPLES)
    assert report.returncode == 0, report.stdout
    checked = re.findall(r"^(\d+) checked, 0 errors", report.stdout, re.MULTILINE)
    assert int(checked[0]) >= sum(
        doc["kind"] in ("ClusterServingRuntime", "InferenceService") for doc in DOCUMENTS.values()
    )


@needs_crds
def test_kserve_refuses_an_unknown_field(tmp_path: Path) -> None:
    manifest = (DEPLOY / "kserve" / "examples" / "inferenceservice.yaml").read_text()
    misspelt = tmp_path / "misspelt.yaml"
    misspelt.write_text(manifest.replace("storageUri:", "storageURI:"))
    report = check_crds(misspelt)
    assert report.returncode == 1
    assert "storageURI" in report.stdout


@needs_kubectl
@needs_crds
@pytest.mark.parametrize("name", [".", "kserve/base", *(f"kserve/overlays/{name}" for name in OVERLAYS)])
def test_kserve_accepts_every_overlay(name: str, tmp_path: Path) -> None:
    rendered = tmp_path / "rendered.yaml"
    rendered.write_text(overlay(name))
    report = check_crds(rendered)
    assert report.returncode == 0, report.stdout
    assert not report.stdout.startswith("0 checked")


def test_kubernetes_accepts_its_kinds() -> None:
    checked = [name for name, document in DOCUMENTS.items() if check_kubernetes(document)]
    assert {DOCUMENTS[name]["kind"] for name in checked} == {"Secret", "ServiceAccount"}


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
    paths = {probe: document[probe]["httpGet"] for probe in ("startupProbe", "readinessProbe", "livenessProbe")}
    assert {target["port"] for target in paths.values()} == {Settings.http_port}
    assert {probe: target["path"] for probe, target in paths.items()} == {
        "startupProbe": "/v2/health/live",
        "readinessProbe": "/v2/health/ready",
        "livenessProbe": "/v2/health/live",
    }


@each(CONTAINERS)
def test_containers_are_locked_down_and_bounded(document: Document) -> None:
    security = document["securityContext"]
    assert security["runAsNonRoot"] is True
    assert "runAsUser" not in security, "OpenShift gives each namespace a user of its own"
    assert security["readOnlyRootFilesystem"] is True
    assert security["allowPrivilegeEscalation"] is False
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert {mount["mountPath"] for mount in document["volumeMounts"]} == {"/tmp", "/var/cache/polyserve"}
    for kind in ("requests", "limits"):
        assert document["resources"][kind].keys() == {"cpu", "memory", "ephemeral-storage"}


@each({name: doc for name, doc in DOCUMENTS.items() if list(containers(doc))})
def test_volumes_have_a_size(document: Document) -> None:
    spec = document["spec"]
    volumes = spec.get("volumes") or spec["predictor"]["volumes"]
    assert {volume["name"]: set(volume["emptyDir"]) for volume in volumes} == {
        "tmp": {"sizeLimit"},
        "cache": {"sizeLimit"},
    }


def test_the_runtime_names_every_adapter() -> None:
    formats = {entry["name"] for entry in RUNTIME["spec"]["supportedModelFormats"]}
    assert formats == set(registry.TABLE) | ALIASES
    assert RUNTIME["spec"]["protocolVersions"] == ["v1", "v2", "grpc-v2"]
    assert RUNTIME["metadata"]["annotations"] == {"serving.kserve.io/server-type": "polyserve"}


def named(runtime: Document) -> list[tuple[str, str]]:
    return [(entry["name"], entry["version"]) for entry in runtime["spec"]["supportedModelFormats"]]


def test_the_formats_of_kserves_own_runtimes_are_known_by_name_and_version() -> None:
    """Of kserve-sklearnserver, -xgbserver, -lgbserver, -mlserver, -torchserve, -tritonserver, -tensorflow-serving."""
    theirs = {"sklearn": "01", "xgboost": "12", "lightgbm": "34", "pytorch": "12", "tensorflow": "12", "mlflow": "12"}
    wanted = {(name, version) for name, versions in theirs.items() for version in versions}
    assert wanted | {("huggingface", "1"), ("onnx", "1"), ("mlflow", "3"), ("keras", "3")} <= set(named(RUNTIME))
    assert len(named(RUNTIME)) == len(set(named(RUNTIME)))


def test_a_priority_is_named_only_where_it_is_used() -> None:
    for entry in RUNTIME["spec"]["supportedModelFormats"]:
        assert ("priority" in entry) is entry["autoSelect"]


@needs_kubectl
def test_prefer_polyserve_takes_every_format() -> None:
    (preferred,) = read(overlay("kserve/overlays/prefer-polyserve"))
    assert named(preferred) == named(RUNTIME)
    assert {(e["autoSelect"], e["priority"]) for e in preferred["spec"]["supportedModelFormats"]} == {(True, 10)}


@needs_kubectl
def test_ports_are_those_that_each_mode_routes() -> None:
    def ports(name: str) -> dict[str, dict[str, int]]:
        found = {}
        for document in read(overlay(f"kserve/overlays/{name}")):
            (container,) = containers(document)
            found[document["metadata"]["name"]] = {port["name"]: port["containerPort"] for port in container["ports"]}
        return found

    both = {"http1": 8080, "grpc": 8081}
    assert ports("standard") == {"kserve-polyserve": both}
    assert ports("knative") == {"kserve-polyserve": {"http1": 8080}, "kserve-polyserve-grpc": {"h2c": 8081}}
    assert ports("knative-one-port") == {"kserve-polyserve": {"h2c": 8080}}
    assert ports("openshift") == {"kserve-polyserve": both}
    assert ports("gpu") == {"kserve-polyserve-gpu": both}


@needs_kubectl
def test_on_one_port_the_server_shares_it() -> None:
    ((container,),) = (list(containers(document)) for document in read(overlay("kserve/overlays/knative-one-port")))
    settings = Settings.parse([arg.replace("{{.Name}}", "iris") for arg in container["args"]], {})
    assert settings.one_port
    assert {container[probe]["httpGet"]["port"] for probe in ("startupProbe", "readinessProbe", "livenessProbe")} == {
        settings.http_port
    }


@needs_kubectl
def test_runtimes_that_stand_beside_the_first_choose_no_format() -> None:
    """KServe refuses two runtimes of one priority."""
    for name in ("knative", "gpu"):
        for document in read(overlay(f"kserve/overlays/{name}")):
            if document["metadata"]["name"] != "kserve-polyserve":
                assert not any(entry["autoSelect"] for entry in document["spec"]["supportedModelFormats"])


@needs_kubectl
def test_the_openshift_runtime_is_of_one_namespace() -> None:
    (document,) = read(overlay("kserve/overlays/openshift"))
    assert document["kind"] == "ServingRuntime"
    assert document["metadata"]["labels"] == {"opendatahub.io/dashboard": "true"}


@needs_kubectl
def test_the_gpu_runtime_has_a_gpu_and_its_own_image() -> None:
    ((container,),) = (list(containers(document)) for document in read(overlay("kserve/overlays/gpu")))
    assert container["image"] == "polyserve:gpu"
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"


@each({name: doc for name, doc in DOCUMENTS.items() if doc["kind"] == "InferenceService" and name not in CONTAINERS})
def test_examples_name_the_runtime_and_its_formats(document: Document) -> None:
    model = document["spec"]["predictor"]["model"]
    assert model["runtime"] == RUNTIME["metadata"]["name"]
    assert model["modelFormat"]["name"] in dict(named(RUNTIME))
    assert model.get("protocolVersion", "v1") in RUNTIME["spec"]["protocolVersions"]


def test_the_models_of_storage_uris_lie_side_by_side() -> None:
    predictor = DOCUMENTS["inferenceservice-multi-model.yaml:InferenceService:polyserve-multi-model"]["spec"][
        "predictor"
    ]
    paths = [Path(entry["mountPath"]) for entry in predictor["storageUris"]]
    assert len(set(paths)) > 1
    assert {path.parent for path in paths} == {Settings.model_dir}


def test_one_image_is_named_everywhere() -> None:
    (image,) = yaml.safe_load((BASE.parent / "kustomization.yaml").read_text())["images"]
    assert f"{image['newName']}:{image['newTag']}" == "polyserve:latest"
    assert {container["image"] for container in CONTAINERS.values()} == {"polyserve:latest"}


@needs_kubectl
def test_a_registry_is_named_as_the_readme_says(tmp_path: Path) -> None:
    """By its own lines, over a copy: no overlay keeps the name that no registry has; the GPU's has its own image."""
    block = next(
        each for each in re.findall(r"```sh\n(.+?)```", README.read_text(), re.DOTALL) if "docker push" in each
    )
    lines = re.findall(r"^sed (?:.+\\\n)?.+", block, re.MULTILINE)
    shutil.copytree(DEPLOY, tmp_path / "deploy")
    subprocess.run(["sh", "-euc", "\n".join(lines)], cwd=tmp_path, check=True)
    mine = "registry.example.com/polyserve:0.1.0"
    assert f'image: "{mine}"' in (tmp_path / "deploy" / "deployment.yaml").read_text()
    images = {name: images_of(tmp_path / "deploy" / "kserve" / "overlays" / name) for name in OVERLAYS}
    assert images == {name: {"polyserve:gpu" if name == "gpu" else mine} for name in OVERLAYS}


def images_of(folder: Path) -> set[str]:
    done = subprocess.run(["kubectl", "kustomize", str(folder)], capture_output=True, text=True, check=True)
    return {container["image"] for document in read(done.stdout) for container in containers(document)}


def test_the_readme_names_every_file() -> None:
    readme = README.read_text()
    told = set(re.findall(r"^\| `([^`]+)` \|", readme, re.MULTILINE))
    files = {str(path.relative_to(DEPLOY)) for path in (*DEPLOY.glob("*.yaml"), *EXAMPLES)}
    folders = {"chart/", "monitoring/", "kserve/base/", *(f"kserve/overlays/{name}/" for name in OVERLAYS)}
    assert told == files | folders
