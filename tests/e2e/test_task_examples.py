"""`GET /v2/models/NAME` of every task of transformers: what an instance is, and requests that are answered as shown."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.adapters.huggingface_.pipeline_models import MODELS
from tests.e2e.process import Server
from tests.language_models import save_language_model

pytestmark = pytest.mark.e2e

#: our own model of language beside them, whose engine is another
GENERATION = "text-generation"
#: task -> OpenAI's routes that its examples are for
ROUTES = {
    GENERATION: {"/v1/chat/completions", "/v1/completions"},
    "feature-extraction": {"/v1/embeddings", "/v1/rerank"},
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    mount = tmp_path_factory.mktemp("models")
    for task, make in MODELS.items():
        make(mount / task)
        options = {} if task == "feature-extraction" else {"options": {"task": task}}
        (mount / task / "polyserve.yaml").write_text(json.dumps(options))
    save_language_model(mount / GENERATION)
    server = Server(mount, tmp_path_factory.mktemp("log") / "server.log").wait_ready()
    yield server
    server.stop()


@pytest.mark.parametrize("task", [*MODELS, GENERATION])
def test_its_metadata_says_what_it_takes_and_shows_what_is_answered(server: Server, task: str) -> None:
    metadata = server.client.get(f"/v2/models/{task}").json()
    assert metadata["inputs"]
    assert metadata["outputs"]
    examples = metadata["parameters"]["examples"]
    names = {each["name"] for each in metadata["inputs"]}
    assert {each["name"] for each in examples["v2"]["inputs"]} <= names
    answers: dict[str, Any] = {
        "v1": server.client.post(f"/v1/models/{task}:predict", json=examples["v1"]),
        "v2": server.client.post(f"/v2/models/{task}/infer", json=examples["v2"]),
    }
    for path, body in examples.get("openai", {}).items():
        answers[path] = server.client.post(path, json=body)
    assert {name: answer.text for name, answer in answers.items() if answer.status_code != 200} == {}
    assert set(examples.get("openai", {})) == ROUTES.get(task, set())
