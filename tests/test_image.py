"""The image: built from the Dockerfile, run without rights on a read-only file system, serving the example models."""

from __future__ import annotations

import copy
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
import yaml
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import GRPCInferenceServiceStub

from bench.ports import free_port
from examples import EXAMPLES
from tests.container import ROOT, Container, Engine, answers
from tests.deploy import manifests
from tests.e2e.leaving_load import LeavingLoad
from tests.patience import wait_for

pytestmark = [pytest.mark.image, pytest.mark.timeout(1800)]

ENTITIES = (
    b'{"predictions":[{"entities":[{"text":"Apple","label":"ORG"},{"text":"U.K.","label":"GPE"},'
    b'{"text":"$1 billion","label":"MONEY"}]}]}'
)
DOUBLE = """
import kserve


class Double(kserve.Model):
    def __init__(self, name):
        super().__init__(name)
        self.ready = True

    def predict(self, payload, headers=None):
        return {"predictions": [2 * each for each in payload["instances"]]}
"""
SECONDS_TO_STOP = 60  #: until the engine kills it; a quiet machine takes one


@pytest.fixture(scope="module")
def engine() -> Engine:
    found = Engine.find()
    if found is None:
        reason = "no container engine answers: start Docker, install Podman, or set POLYSERVE_CONTAINER_PREPARE"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    return found


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example models, readable for the container's user."""
    directory = tmp_path_factory.mktemp("image") / "models"
    subprocess.run([sys.executable, "-m", "examples", directory], check=True, cwd=ROOT)
    subprocess.run(["chmod", "-R", "a+rX", directory], check=True)
    return directory


@pytest.fixture(scope="module")
def image(engine: Engine) -> str:
    return engine.build("localhost/polyserve:test")


@pytest.fixture(scope="module")
def served(engine: Engine, image: str, models: Path) -> Iterator[Container]:
    """The whole image, ready."""
    with engine.run(image, models) as container:
        container.wait_until_ready()
        yield container


@pytest.fixture(scope="module")
def small(engine: Engine, models: Path) -> Iterator[Container]:
    """The image with nothing but scikit-learn, over the same models, ready."""
    with engine.run(engine.build("localhost/polyserve:test-sklearn", FRAMEWORKS="sklearn"), models) as container:
        container.wait_until_ready()
        yield container


def states(container: Container) -> dict[str, tuple[str, str]]:
    """The state and the reason of every model."""
    index = httpx.post(f"{container.url}/v2/repository/index", json={}, timeout=10).json()
    return {entry["name"]: (entry["state"], entry.get("reason", "")) for entry in index}


def predict(container: Container, name: str) -> httpx.Response:
    """The answer to an example's own first request."""
    return httpx.post(f"{container.url}/v1/models/{name}:predict", json=EXAMPLES[name].sample, timeout=60)


def test_every_example_is_ready(served: Container) -> None:
    assert states(served) == dict.fromkeys(EXAMPLES, ("READY", ""))


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_predicts(served: Container, name: str) -> None:
    answer = predict(served, name)
    assert answer.status_code == 200, answer.text
    assert len(answer.json()["predictions"]) == len(EXAMPLES[name].sample["instances"])


def test_the_entities_are_exact(served: Container) -> None:
    assert predict(served, "spacy-ner").content == ENTITIES


def test_grpc_answers(served: Container) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{served.port(8081)}") as channel:
        stub = GRPCInferenceServiceStub(channel)
        assert stub.ServerReady(pb.ServerReadyRequest(), timeout=10).ready
        assert all(stub.ModelReady(pb.ModelReadyRequest(name=name), timeout=10).ready for name in EXAMPLES)


def test_metrics_answer(served: Container) -> None:
    assert httpx.get(f"{served.url}/metrics", timeout=10).status_code == 200


def test_it_runs_without_rights_on_a_read_only_file_system(served: Container) -> None:
    assert served.execute("id", "-u").stdout.strip() == "1000"
    assert served.execute("touch", "/venv/mark").returncode != 0
    assert served.execute("touch", "/mnt/models/mark").returncode != 0
    assert served.execute("touch", "/tmp/mark").returncode == 0


@pytest.mark.parametrize(
    ("volume", "cache"),
    [((), "/tmp/.cache/polyserve"), (("--volume", "/var/cache/polyserve"), "/var/cache/polyserve")],
)
def test_a_volume_takes_the_cache(engine: Engine, image: str, volume: tuple[str, ...], cache: str) -> None:
    module = "polyserve_runtime.server.runtime.cache_dir"
    code = f"from {module} import *; print(*map(cache_directory, ('models', 'environments')))"
    flags = ("run", "--rm", *engine.run_flags, *volume, "--entrypoint", "python")
    assert engine(*flags, image, "-c", code).stdout.split() == [f"{cache}/models", f"{cache}/environments"]


def test_environments_are_built_by_uv(served: Container) -> None:
    assert served.execute("uv", "--version").returncode == 0


def test_its_health_check_tells_the_truth(engine: Engine, image: str, served: Container) -> None:
    kind, *command = engine.image(image)["Healthcheck"]["Test"]
    assert kind == "CMD"
    assert served.execute(*command).returncode == 0
    assert served.execute(*command, POLYSERVE_HTTP_PORT="8079").returncode != 0


def test_the_bytecode_is_compiled(served: Container) -> None:
    look = (
        "import os, kserve, polyserve_runtime as ours;"
        "print([os.path.exists(module.__cached__) for module in (kserve, ours)])"
    )
    assert served.execute("python", "-c", look).stdout.strip() == "[True, True]"


def test_its_log_holds_no_traceback(served: Container) -> None:
    bad = httpx.post(f"{served.url}/v1/models/spacy-ner:predict", content=b"{", timeout=10)
    assert bad.status_code == 400
    assert "Traceback" not in served.logs()


def test_its_configuration(engine: Engine, image: str) -> None:
    config = engine.image(image)
    assert config["User"] == "1000:1000"
    assert config["ExposedPorts"].keys() == {"8080/tcp", "8081/tcp"}
    assert config["Labels"]["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert not config.get("Volumes")
    assert not [name for name in config["Env"] if name.startswith("PIP_")]


def test_it_runs_as_any_user(engine: Engine, image: str, models: Path) -> None:
    """As OpenShift runs it: a user of the namespace's own, in group 0."""
    with engine.run(image, models, user="123456:0") as container:
        container.wait_until_ready()
        assert container.execute("id", "-u").stdout.strip() == "123456"
        assert states(container) == dict.fromkeys(EXAMPLES, ("READY", ""))
        assert {name: predict(container, name).status_code for name in EXAMPLES} == dict.fromkeys(EXAMPLES, 200)


@dataclass(frozen=True)
class Played:
    """A Pod of the manifests that runs here."""

    container: dict[str, Any]  #: as the manifest has it
    rest: int
    grpc: int


@contextmanager
def playing(engine: Engine, spec: dict[str, Any], image: str, models: Path, folder: Path) -> Iterator[Played]:
    """The Pod as Kubernetes would make it, with models where the claim is."""
    (container,) = spec["containers"]
    container |= {"image": image, "imagePullPolicy": "Never"}
    container["args"] = [arg.replace("{{.Name}}", "model") for arg in container["args"]]
    ports = {each["name"]: each for each in container["ports"]}
    rest = next(ports[name] for name in ("http", "http1", "h2c") if name in ports)
    remote = ports.get("grpc", rest)
    for each in ports.values():
        each["hostPort"] = free_port()
    spec["volumes"] = [each for each in spec["volumes"] if each["name"] != "models"]
    spec["volumes"].append({"name": "models", "hostPath": {"path": str(models), "type": "Directory"}})
    for each in container.get("env", ()):
        if each.get("valueFrom") == {"fieldRef": {"fieldPath": "metadata.namespace"}}:  # which Podman 4.3 does not know
            del each["valueFrom"]
            each["value"] = "default"
    mounts = [each for each in container["volumeMounts"] if each["name"] != "models"]
    container["volumeMounts"] = [*mounts, {"name": "models", "mountPath": "/mnt/models", "readOnly": True}]
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "played"}, "spec": spec}
    manifest = folder / "pod.yaml"
    manifest.write_text(yaml.safe_dump(pod))
    try:
        engine("kube", "play", "--replace", str(manifest))  # of a run that was interrupted
        yield Played(container, rest["hostPort"], remote["hostPort"])
    finally:
        engine("kube", "down", str(manifest))  # of one that did not start, too: its name is the next one's


PLAYED = [
    "chart",
    "chart/values/openshift.yaml",
    "kserve/overlays/standard",
    "kserve/overlays/openshift",
    "kserve/overlays/knative-one-port",
]


@pytest.mark.parametrize("way", PLAYED)
def test_the_pod_of_the_manifests_plays(engine: Engine, image: str, models: Path, tmp_path: Path, way: str) -> None:
    """Its probes are asked as the kubelet does."""
    if engine.command != "podman":
        pytest.skip("Podman plays pods")
    if way.startswith("kserve") and manifests.KUBECTL is None:
        pytest.skip("kubectl, which reads kustomizations")
    with playing(engine, pod_of(way), image, models, tmp_path) as played:
        url = f"http://127.0.0.1:{played.rest}"
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            path = played.container[probe]["httpGet"]["path"]
            wait_for(lambda path=path: answers(url + path), f"{probe}: {path}", 240)  # type: ignore[misc]
        answer = httpx.post(f"{url}/v1/models/sklearn-iris:predict", json=EXAMPLES["sklearn-iris"].sample, timeout=60)
        assert answer.status_code == 200, answer.text
        with grpc.insecure_channel(f"127.0.0.1:{played.grpc}") as channel:
            assert GRPCInferenceServiceStub(channel).ServerReady(pb.ServerReadyRequest(), timeout=30).ready


def pod_of(way: str, *argv: str) -> dict[str, Any]:
    """The pod's specification in what the chart (with `argv` for Helm), or an overlay, renders to."""
    if way.startswith("kserve"):
        (runtime,) = manifests.read(manifests.overlay(way))
        return {key: copy.deepcopy(runtime["spec"][key]) for key in ("containers", "volumes")}
    values = argv if way == "chart" else ("--values", str(manifests.DEPLOY / way), *argv)
    (found,) = (each for each in manifests.read(manifests.template(*values)) if each["kind"] == "Deployment")
    spec: dict[str, Any] = found["spec"]["template"]["spec"]
    return spec


def test_an_image_of_ones_own_brings_its_model(engine: Engine, image: str, tmp_path: Path) -> None:
    """The Dockerfile that deploy/README.md shows."""
    (text,) = re.findall(r"```dockerfile\n(.+?)```", (ROOT / "deploy" / "README.md").read_text(), re.DOTALL)
    assert text.startswith("FROM polyserve:latest\n")
    (tmp_path / "Dockerfile").write_text(text.replace("polyserve:latest", image))
    (tmp_path / "model.py").write_text(DOUBLE)
    with engine.run(engine.build("localhost/polyserve:test-own", tmp_path), None) as container:
        container.wait_until_ready()
        answer = httpx.post(f"{container.url}/v1/models/double:predict", json={"instances": [2, 3]}, timeout=60)
        assert answer.json() == {"predictions": [4, 6]}, answer.text


def test_nothing_of_cuda_is_in_it(served: Container) -> None:
    look = (
        "import glob, importlib.metadata as m, torch, xgboost;"
        "print(torch.version.cuda, xgboost.build_info()['USE_CUDA'], m.version('xgboost') == xgboost.__version__,"
        "[d.name for d in m.distributions() if d.name.startswith('nvidia')])"
    )
    assert served.execute("python", "-c", look).stdout.strip() == "None False True []"


def test_its_bill_of_materials_names_what_is_installed(served: Container) -> None:
    names = "{d.name.lower() for d in m.distributions()} - {'polyserve-runtime'}"
    look = f"import importlib.metadata as m; print(*sorted({names}))"
    installed = served.execute("python", "-c", look).stdout.split()
    bill = json.loads(served.execute("cat", "/venv/share/polyserve/bom.json").stdout)
    assert bill["bomFormat"] == "CycloneDX"
    assert set(installed) <= {component["name"].lower() for component in bill["components"]}
    licensed = [component for component in bill["components"] if component.get("licenses")]
    assert len(licensed) > 0.8 * len(installed)  # not every package says under which


def test_it_stops_at_once(engine: Engine, image: str, models: Path) -> None:
    with engine.run(image, models) as container:
        container.wait_until_ready()
        engine("stop", "-t", str(SECONDS_TO_STOP), container.name)
        assert container.state()["ExitCode"] == 0  # otherwise it would have been killed
        assert "Traceback" not in container.logs()


def test_it_stops_under_load_without_a_failed_request(engine: Engine, image: str, models: Path) -> None:
    with engine.run(image, models) as container:
        container.wait_until_ready()
        load = LeavingLoad(container.port(8080), container.port(8081), "sklearn-iris", each=2)
        wait_for(lambda: load.failed or min(load.answered[kind] for kind in ("kept", "fresh", "raw", "remote")) > 5)
        engine("stop", "-t", str(SECONDS_TO_STOP), container.name)
        load.wait(240)
        assert not load.failed, (load.failed, container.logs())
        assert container.state()["ExitCode"] == 0


def test_a_wrong_flag_ends_it_with_a_message(engine: Engine, image: str) -> None:
    done = engine("run", "--rm", *engine.run_flags, image, "--http_prot=8080", check=False)
    assert done.returncode == 2
    assert "unknown flag --http_prot; did you mean --http_port?" in done.stderr


def test_framework_choice_leaves_the_others_out(small: Container) -> None:
    look = "import importlib.util as u; print([n for n in ('sklearn', 'torch', 'spacy', 'xgboost') if u.find_spec(n)])"
    assert small.execute("python", "-c", look).stdout.strip() == "['sklearn']"
    assert predict(small, "sklearn-iris").status_code == 200


def test_a_model_without_its_framework_says_what_to_install(small: Container) -> None:
    state, reason = states(small)["spacy-ner"]
    assert state == "UNAVAILABLE"
    assert reason.startswith("spacy is not installed: pip install spacy")
    refused = predict(small, "spacy-ner")
    assert refused.status_code == 503
    assert "pip install spacy" in refused.json()["error"]


def test_an_unknown_framework_is_no_image(engine: Engine) -> None:
    with pytest.raises(RuntimeError, match=r"unknown in FRAMEWORKS: \['tensorflw'\]"):
        engine.build("localhost/polyserve:never", FRAMEWORKS="sklearn,tensorflw")
