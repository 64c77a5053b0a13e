"""The manifests of `polyserve manifest` are those of deploy/, which KServe's and Kubernetes' schemas accept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml

from server.cli.kubernetes import Plan, deployment, inference_service, name_from, problem_of_name
from server.cli.manifest import as_yaml
from server.config.settings import Settings
from tests.deploy.manifests import DEPLOY, check_crds, containers, needs_crds

SIZES: dict[str, Any] = {"image": "polyserve:latest", "cpu": ("1", "2"), "memory": ("2Gi", "4Gi")}
URIS = ("pvc://models/iris", "s3://bucket/iris", "hf://owner/model", "https://host/a.zip", "oci://registry/image:1")


def plan(uri: str, **more: Any) -> Plan:
    return Plan("polyserve", uri, "polyserve", **{**SIZES, **more})


def of_deploy(file: str) -> dict[str, Any]:
    documents = yaml.safe_load_all((DEPLOY / file).read_text())
    return {document["kind"]: document for document in documents}


def test_an_inference_service_is_that_of_deploy() -> None:
    (ours,) = inference_service(plan("pvc://models"))
    assert ours == of_deploy("kserve/examples/inferenceservice-custom.yaml")["InferenceService"]


def test_a_deployment_is_that_of_deploy() -> None:
    """But for what the chart adds: its labels, an account, a budget, and where pods go."""
    theirs = of_deploy("deployment.yaml")
    ours = {document["kind"]: document for document in deployment(plan("pvc://polyserve-models"))}
    assert list(containers(ours["Deployment"])) == list(containers(theirs["Deployment"]))
    assert ours["Service"]["spec"]["ports"] == theirs["Service"]["spec"]["ports"]
    our_spec, their_spec = ours["Deployment"]["spec"], theirs["Deployment"]["spec"]
    assert our_spec["strategy"] == their_spec["strategy"]
    assert our_spec["template"]["metadata"]["annotations"] == their_spec["template"]["metadata"]["annotations"]
    our_pod, their_pod = our_spec["template"]["spec"], their_spec["template"]["spec"]
    assert set(their_pod) - set(our_pod) == {"serviceAccountName", "topologySpreadConstraints"}
    assert {key: their_pod[key] for key in our_pod} == our_pod


@needs_crds
@pytest.mark.parametrize("uri", URIS)
def test_kserve_accepts_it(uri: str, tmp_path: Path) -> None:
    (tmp_path / "manifest.yaml").write_text(
        as_yaml(inference_service(plan(uri, namespace="team", flags=("--watch=false",))))
    )
    report = check_crds(tmp_path / "manifest.yaml")
    assert report.returncode == 0, report.stdout
    assert report.stdout.splitlines()[-1] == "1 checked, 0 errors"


@pytest.mark.parametrize("uri", URIS[:-1])
def test_kubernetes_accepts_a_deployment(uri: str) -> None:
    for document in deployment(plan(uri, namespace="team")):
        kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)
        assert document["metadata"]["namespace"] == "team"


@pytest.mark.parametrize("uri", URIS[:-1])
def test_the_servers_flags_are_its_own(uri: str) -> None:
    pod = deployment(plan(uri))[0]["spec"]["template"]["spec"]
    service = inference_service(plan(uri))[0]["spec"]["predictor"]
    for container in (pod["containers"][0], service["containers"][0]):
        settings = Settings.parse(container["args"], {})
        assert (settings.http_port, settings.grpc_port) == (8080, 8081)
    mounts = {mount["name"]: mount for mount in pod["containers"][0]["volumeMounts"]}
    assert {volume["name"] for volume in pod["volumes"]} == mounts.keys()
    assert mounts["cache"]["mountPath"] == "/var/cache/polyserve", "where downloads are kept"
    if uri.startswith("pvc"):
        assert mounts["models"]["subPath"] == "iris"
    else:
        assert settings_of_deployment(pod).models[0][1].uri == uri


def settings_of_deployment(pod: dict[str, Any]) -> Settings:
    return Settings.parse(pod["containers"][0]["args"], {})


@pytest.mark.parametrize("name", ["iris", "a", "iris-2", "x" * 63])
def test_names_that_kubernetes_takes(name: str) -> None:
    assert problem_of_name(name) == ""
    assert name_from(name) == name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Iris_2", "iris-2"),
        ("2.model", "model-2-model"),
        ("--", "model"),
        ("x" * 80, "x" * 63),
        ("Ünï", "n"),
        ("a\nb", "a-b"),
    ],
)
def test_names_that_it_does_not(text: str, name: str) -> None:
    assert problem_of_name(text)
    assert name_from(text) == name
    assert problem_of_name(name) == ""
