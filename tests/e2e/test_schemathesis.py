"""schemathesis against `/openapi.json`: what it makes up by our schemas, valid and not, is answered as documented.

And by the Open Inference Protocol's own description: `tests/conformance/open_inference_rest.yaml` is its
`specification/protocol/open_inference_rest.yaml` at commit d49cc23 (kserve/open-inference-protocol, Apache 2.0).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import joblib
import pytest
import yaml
from sklearn.linear_model import LinearRegression

from tests.e2e.process import Server
from tests.language_models import save_language_model

pytestmark = pytest.mark.e2e

PROTOCOL = Path(__file__).parents[1] / "conformance" / "open_inference_rest.yaml"

#: what schemathesis derives from every keyword of every schema takes minutes: `make conformance` asks for it, too, and
#: for a route at a time
EVERY_CASE = bool(os.environ.get("EVERY_CASE"))
PHASES = "examples,coverage,fuzzing" if EVERY_CASE else "examples,fuzzing"
#: seconds, which end what hangs and nothing else: the tool takes a core for ten minutes, and there may be less of one
LIMIT = 3600 if EVERY_CASE else 1100
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
OPENAI = ("chat/completions", "completions", "responses", "embeddings", "rerank", "score")
#: routes of OpenAI's, and of the Open Inference Protocol; streams have no end that it would wait for
PATHS = {
    **({name: f"^/v1/{name}$" for name in OPENAI} if EVERY_CASE else {"openai": f"^/v1/({'|'.join(OPENAI)})$"}),
    "v2": r"^/v2(/models(/\{model_name\}(/infer|/ready|/generate)?)?|/health/(live|ready))?$",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    mount = tmp_path_factory.mktemp("models")
    save_language_model(mount / "tiny")
    (mount / "line").mkdir()
    joblib.dump(LinearRegression().fit([[0.0, 1.0], [1.0, 0.0]], [0.0, 2.0]), mount / "line" / "model.joblib")
    server = Server(mount, tmp_path_factory.mktemp("log") / "server.log").wait_ready()
    yield server
    server.stop()


def narrowed(document: dict[str, Any]) -> dict[str, Any]:
    """The same, with models that are there: else nearly all that is made up would be answered 404."""
    for path, item in document["paths"].items():
        for operation in item.values():
            for parameter in operation.get("parameters", ()):
                if parameter["name"] == "model_name":
                    parameter["schema"] = {"enum": ["tiny"] if path.endswith("generate") else ["tiny", "line"]}
    for name, schema in document["components"]["schemas"].items():
        if name.endswith("Request") and "model" in schema.get("properties", {}):
            schema["properties"]["model"] = {"enum": ["tiny"]}
    return document


def made_up(server: Server, document: dict[str, Any], folder: Path, *flags: str) -> None:
    """Nothing of what schemathesis makes up by a description is answered in another way."""
    (folder / "openapi.json").write_text(json.dumps(document))
    line = [sys.executable, "-m", "schemathesis.cli", "run", "openapi.json", f"--url={server.url}", *flags]
    line += [f"--checks={CHECKS}", f"--phases={PHASES}"]
    line += ["--max-examples=10", "--seed=7", "--continue-on-failure", "--suppress-health-check=all"]
    line += ["--generation-database=none", "--warnings=off", "--no-color", "--request-timeout=120"]
    done = subprocess.run(line, cwd=folder, capture_output=True, text=True, timeout=LIMIT)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert "0 selected" not in done.stdout
    assert "No failures" in done.stdout or "passed" in done.stdout
    assert server.process.poll() is None


@pytest.mark.timeout(LIMIT + 100)
@pytest.mark.parametrize("kind", PATHS)
def test_nothing_that_is_not_documented(server: Server, tmp_path: Path, kind: str) -> None:
    document = narrowed(server.client.get("/openapi.json").json())
    made_up(server, document, tmp_path, f"--include-path-regex={PATHS[kind]}")


@pytest.mark.timeout(LIMIT + 100)
def test_nothing_that_the_protocol_does_not_know(server: Server, tmp_path: Path) -> None:
    document = yaml.safe_load(PROTOCOL.read_text().replace("${MODEL_", "{MODEL_"))
    for path in document["paths"].values():
        for parameter in path.get("parameters", ()):
            parameter["schema"] = {"enum": ["line"] if parameter["name"] == "MODEL_NAME" else ["1"]}
        if "parameters" in path:  # the protocol does not say what is answered where there is no such version
            for method in path.keys() & {"get", "post"}:
                path[method]["responses"]["404"] = {"description": "There is no such model, or version."}
    made_up(server, document, tmp_path)
