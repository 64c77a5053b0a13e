"""Every task of transformers shows a request in V1 and in V2 that its model answers as it stands."""

from __future__ import annotations

import json
from pathlib import Path

import orjson
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("PIL")
pytest.importorskip("soundfile")

from adapters.base import ModelDir
from adapters.huggingface_ import HuggingFaceAdapter
from server.api.openapi.request_examples import LONGEST, v1_request, v2_request
from server.codec import v1, v2
from tests.adapters.huggingface_.pipeline_models import MODELS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:At least one mel filter"),
    pytest.mark.filterwarnings("ignore:Using the model-agnostic default"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


@pytest.mark.parametrize("task", MODELS)
def test_it_is_shown_and_answered(task: str, tmp_path: Path) -> None:
    adapter = HuggingFaceAdapter.load(ModelDir.of(MODELS[task](tmp_path / task)), "", {"task": task})
    signature, tensors = adapter.signature, adapter.example()
    bodies = {"v1": v1_request(tensors, signature), "v2": v2_request(tensors, signature)}
    decoded = [
        v1.decode(orjson.dumps(bodies["v1"]), signature),
        v2.decode(orjson.dumps(bodies["v2"]), None, signature),
    ]
    for asked in decoded:
        outputs = adapter.predict(asked.inputs, asked.parameters)
        assert all(len(outputs[spec.name]) == asked.rows for spec in signature.outputs)
    assert all(len(json.dumps(body)) <= LONGEST for body in bodies.values())
    assert {each["name"] for each in bodies["v2"]["inputs"]} <= {spec.name for spec in signature.inputs}
