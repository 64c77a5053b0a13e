"""Every model in one process, asked with the clients that users have: curl-like HTTP, kserve's and Triton's."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from typing import Any

import httpx
import numpy as np
import pytest
import tritonclient.http as triton_http
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest, InferResponse, RESTConfig

from adapters.datatypes import datatype_of
from tests.adapters.test_contract import json_value, rows_of
from tests.cases import CASES, plain
from tests.e2e.conftest import House

NAMES = [case.name for case in CASES]
KEYED = {"spacy-rules", "mlflow-spacy"}

pytestmark = pytest.mark.parametrize("name", NAMES)


@pytest.fixture(scope="module")
def triton_grpc(house: House) -> dict[str, Any]:
    """What Triton's gRPC client is told, by model name; see `triton_grpc_client`."""
    requests = {
        name: {
            tensor: {"datatype": datatype_of(array.dtype), "shape": array.shape, "data": array.tolist()}
            for tensor, array in expected.tensors.items()
        }
        for name, expected in house.expected.items()
    }
    client = subprocess.run(
        [sys.executable, "-m", "tests.e2e.triton_grpc_client"],
        input=json.dumps({"url": house.server.grpc, "requests": requests}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert client.returncode == 0, client.stderr
    answers: dict[str, Any] = json.loads(client.stdout)
    return answers


def request_of(house: House, name: str, binary: bool = False) -> InferRequest:
    inputs = []
    for tensor, array in house.expected[name].tensors.items():
        one = InferInput(tensor, list(array.shape), datatype_of(array.dtype))
        one.set_data_from_numpy(array, binary_data=binary)
        inputs.append(one)
    return InferRequest(name, inputs, request_id="42", parameters={"binary_data_output": True} if binary else None)


def check(response: InferResponse, house: House, name: str) -> None:
    assert rows_of(response, name in KEYED) == plain(house.expected[name].predictions)


def test_v1_as_curl_sends_it(house: House, name: str) -> None:
    expected = house.expected[name]
    body = httpx.Request("POST", house.server.url, json={"instances": expected.instances}).content
    for headers in ({"content-type": "application/json"}, {}, {"content-type": "application/x-www-form-urlencoded"}):
        answer = house.server.client.post(f"/v1/models/{name}:predict", content=body, headers=headers)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "application/json"
        assert answer.json() == {"predictions": plain(expected.predictions)}


def test_v1_with_the_kserve_client(house: House, name: str) -> None:
    async def ask() -> Any:
        async with InferenceRESTClient(RESTConfig(protocol="v1")) as client:
            assert await client.is_model_ready(house.server.url, name)
            return await client.infer(house.server.url, {"instances": house.expected[name].instances}, name)

    assert asyncio.run(ask()) == {"predictions": plain(house.expected[name].predictions)}


def test_v1_as_a_cloudevent_through_kserves_data_plane(house: House, name: str) -> None:
    headers = {"ce-id": "1", "ce-source": "test", "ce-type": "t", "ce-specversion": "1.0"}
    body = {"instances": house.expected[name].instances}
    answer = house.server.client.post(f"/v1/models/{name}:predict", json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.headers["ce-source"].endswith(name)
    assert answer.json() == {"predictions": plain(house.expected[name].predictions)}


@pytest.mark.parametrize("binary", [False, True], ids=["json", "binary"])
def test_v2_with_the_kserve_client(house: House, name: str, binary: bool) -> None:
    async def ask() -> InferResponse:
        async with InferenceRESTClient(RESTConfig(protocol="v2")) as client:
            assert await client.is_server_live(house.server.url)
            assert await client.is_server_ready(house.server.url)
            assert await client.is_model_ready(house.server.url, name)
            return await client.infer(house.server.url, request_of(house, name, binary), name)

    response = asyncio.run(ask())
    assert response.id == "42"
    check(response, house, name)


@pytest.mark.parametrize("binary", [False, True], ids=["typed", "raw"])
def test_grpc_with_the_kserve_client(house: House, name: str, binary: bool) -> None:
    async def ask() -> InferResponse:
        client = InferenceGRPCClient(url=house.server.grpc)
        assert await client.is_server_ready()
        assert await client.is_model_ready(name)
        return await client.infer(request_of(house, name, binary))

    response = asyncio.run(ask())
    assert response.id == "42"
    check(response, house, name)


@pytest.mark.parametrize("binary", [False, True], ids=["json", "binary"])
def test_v2_with_the_triton_client(house: House, name: str, binary: bool) -> None:
    with triton_http.InferenceServerClient(house.server.url.removeprefix("http://")) as client:
        assert client.is_model_ready(name)
        inputs = triton_inputs(triton_http, house, name, binary_data=binary)
        result = client.infer(name, inputs)
    check_triton(result, house, name, client_outputs(result.get_response()["outputs"]))


def test_grpc_with_the_triton_client(triton_grpc: dict[str, Any], house: House, name: str) -> None:
    outputs = triton_grpc[name]["outputs"]
    columns = {output: [json_value(v) if isinstance(v, str) else v for v in rows] for output, rows in outputs.items()}
    if len(columns) == 1 and name not in KEYED:
        rows = next(iter(columns.values()))
    else:
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    assert rows == plain(house.expected[name].predictions)


def triton_inputs(module: Any, house: House, name: str, **options: Any) -> list[Any]:
    inputs = []
    for tensor, array in house.expected[name].tensors.items():
        one = module.InferInput(tensor, list(array.shape), datatype_of(array.dtype))
        one.set_data_from_numpy(array, **options)
        inputs.append(one)
    return inputs


def client_outputs(outputs: list[dict[str, Any]]) -> list[str]:
    return [output["name"] for output in outputs]


def check_triton(result: Any, house: House, name: str, outputs: list[str]) -> None:
    """Numeric outputs are compared in full; the texts' decoding was covered by kserve's clients."""
    predictions = house.expected[name].predictions
    for output in outputs:
        array = result.as_numpy(output)
        assert len(array) == len(predictions)
        if array.dtype.kind in "fi":
            wanted = [row[output] if isinstance(row, dict) else row for row in predictions]
            assert np.array_equal(array.astype(np.float64), np.array(wanted))


def test_metadata_agrees_on_rest_and_grpc(triton_grpc: dict[str, Any], house: House, name: str) -> None:
    rest = house.server.client.get(f"/v2/models/{name}").json()
    grpc = triton_grpc[name]["metadata"]
    assert rest["platform"] == grpc["platform"] != ""
    for side in ("inputs", "outputs"):
        assert rest[side]
        assert [tensor["name"] for tensor in rest[side]] == [tensor["name"] for tensor in grpc[side]]
        assert [tensor["datatype"] for tensor in rest[side]] == [tensor["datatype"] for tensor in grpc[side]]
        assert [tensor["shape"] for tensor in rest[side]] == [[int(n) for n in t["shape"]] for t in grpc[side]]


def test_bad_instances_get_a_400_that_says_why(house: House, name: str) -> None:
    for bad in house.expected[name].bad:
        answer = house.server.predict(name, {"instances": bad})
        assert answer.status_code == 400, (bad, answer.text)
        assert answer.json().keys() == {"error"}
        assert answer.json()["error"]
