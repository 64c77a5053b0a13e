"""Every call of Triton's four clients works, or is refused by name with a status that says so."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import pairwise
from typing import Any

import pytest

from tests.e2e.conftest import House

pytestmark = pytest.mark.timeout(1200)  # the first test waits for every model of the house

MODEL = "sklearn-logistic"
CLIENTS = ["http", "grpc", "http.aio", "grpc.aio"]
MEMORY = [
    f"{verb}_{kind}_shared_memory{end}"
    for kind in ("system", "cuda")
    for verb, end in (("get", "_status"), ("register", ""), ("unregister", ""))
]
REFUSED = {
    "update_trace_settings": "requests are not traced here",
    "load_model otherwise": "'config' is not served",
    **dict.fromkeys(MEMORY, "shared memory is not served"),
}


@pytest.fixture(scope="module")
def asked(house: House) -> dict[str, dict[str, Any]]:
    """What each client was told."""
    columns = house.expected[MODEL].tensors["input-0"].shape[1]
    addresses = [house.server.url.removeprefix("http://"), house.server.grpc]
    command = [sys.executable, "-m", "tests.e2e.triton_calls", *addresses, MODEL, "input-0", str(columns)]
    client = subprocess.run(command, capture_output=True, text=True, check=False)
    assert client.returncode == 0, client.stderr
    answers: dict[str, dict[str, Any]] = json.loads(client.stdout)
    return answers


@pytest.mark.parametrize("client", CLIENTS)
def test_every_call_works_or_is_refused_by_name(asked: dict[str, dict[str, Any]], client: str) -> None:
    answers = asked[client]
    assert answers["not asked"] == []
    refused = {
        call: answer["refused"] for call, answer in answers.items() if isinstance(answer, dict) and "refused" in answer
    }
    assert refused.keys() == REFUSED.keys()
    for call, text in refused.items():
        assert REFUSED[call] in text
        assert "501" in text or "UNIMPLEMENTED" in text


@pytest.mark.parametrize("client", CLIENTS)
def test_what_is_told_is_so(asked: dict[str, dict[str, Any]], client: str) -> None:
    answers = asked[client]
    assert answers["is_model_ready of version 1"] is True
    assert answers["get_model_metadata"]["versions"] == ["1"]
    assert answers["infer"] == answers["infer by version 1"] == answers["infer compressed"]
    config = answers["get_model_config"]
    config = config.get("config", config)
    assert (config["name"], config["platform"], int(config["max_batch_size"])) == (MODEL, "sklearn", 256)
    assert {tensor["data_type"] for tensor in config["input"]} == {"TYPE_FP64"}
    index = answers["get_model_repository_index"]
    listed = index if isinstance(index, list) else index["models"]
    assert {"READY", "UNAVAILABLE"} <= {entry["state"] for entry in listed}
    (stats,) = answers["get_inference_statistics"]["model_stats"]
    assert (stats["name"], stats["version"]) == (MODEL, "1")
    assert int(stats["inference_stats"]["success"]["count"]) >= 2
    assert int(stats["inference_count"]) >= 4
    assert int(stats["inference_stats"]["compute_infer"]["ns"]) > 0


def test_both_protocols_count_the_same(asked: dict[str, dict[str, Any]]) -> None:
    """Each client asked three to five times between its look and that of the one before it."""
    counts = [
        int(asked[client]["get_inference_statistics"]["model_stats"][0]["inference_stats"]["success"]["count"])
        for client in CLIENTS
    ]
    assert [after - before for before, after in pairwise(counts)] == [4, 5, 3]
