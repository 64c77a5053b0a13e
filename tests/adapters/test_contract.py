"""The contract, over every adapter: what any of them promises, proved on a real model of each framework."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kserve import InferInput, InferRequest, InferResponse

from adapters import registry
from adapters.base import Adapter, ModelDir
from adapters.datatypes import datatype_of
from server.codec import grpc_messages, v1, v2
from server.errors import InvalidInput
from server.inference.batching.batcher import Batcher
from server.inference.batching.queue import Limits
from server.loading import trust
from tests.asking import submit
from tests.cases import CASES, Case, Expected, plain
from tests.shared import Shared

FRAMEWORKS = (
    *("sklearn", "xgboost", "lightgbm", "onnxruntime", "spacy", "transformers", "torch", "pandas", "scipy"),
    *("tensorflow", "keras", "h5py"),
)


class Served:
    """A case's adapter behind the codec, without a server."""

    def __init__(self, case: Case, folder: Path, expected: Expected) -> None:
        self.case = case
        self.folder = folder
        self.expected = expected
        directory = ModelDir.of(folder)
        choice = registry.choose(directory)
        assert choice.adapter.name == case.adapter
        assert trust.needed(choice) is case.trust
        self.adapter: Adapter = choice.adapter.load(choice.directory or directory, choice.match.file, {})

    def v1(self, body: Any) -> Any:
        call = v1.decode(orjson.dumps(body), self.adapter.signature)
        outputs = self.adapter.predict(call.inputs, call.parameters)
        return orjson.loads(v1.encode(outputs, self.adapter.signature))["predictions"]

    def request(self, binary: bool) -> InferRequest:
        inputs = []
        for name, array in self.expected.tensors.items():
            tensor = InferInput(name, list(array.shape), datatype_of(array.dtype))
            tensor.set_data_from_numpy(array, binary_data=binary)
            inputs.append(tensor)
        parameters = {"binary_data_output": True} if binary else None
        return InferRequest("m", inputs, parameters=parameters)


def cost(case: Case) -> Any:
    """TensorFlow's cases take longer than all others together."""
    return pytest.param(case, marks=pytest.mark.slow if case.adapter == "tensorflow" else (), id=case.name)


@pytest.fixture(scope="module", params=map(cost, CASES))
def served(request: pytest.FixtureRequest, shared: Shared) -> Iterator[Served]:
    served = Served(request.param, *shared.case(request.param))
    yield served
    served.adapter.close()


def rows_of(response: InferResponse, keyed: bool) -> list[Any]:
    """A V2 response as V1 predictions: rows, or objects by output name; BYTES may hold JSON."""
    columns = {}
    for output in response.outputs:
        values = (
            output.as_numpy().astype(np.float64).tolist() if output.datatype.startswith("FP") else output.as_numpy()
        )
        columns[output.name] = [json_value(v) for v in values] if output.datatype == "BYTES" else list(values)
    if len(columns) == 1 and not keyed:
        return next(iter(columns.values()))
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def json_value(item: Any) -> Any:
    text = item.decode() if isinstance(item, bytes) else item
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


def test_v1_equals_the_framework(served: Served) -> None:
    assert served.v1({"instances": served.expected.instances}) == plain(served.expected.predictions)


def test_each_row_alone_equals_the_framework(served: Served) -> None:
    for instance, prediction in zip(served.expected.instances, served.expected.predictions, strict=True):
        assert served.v1({"instances": [instance]}) == [plain(prediction)]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_merged_requests_get_what_each_would_get_alone(served: Served, data: st.DataObject) -> None:
    """Requests of random sizes and protocols' orders, bad ones among them, through one real queue."""
    expected = served.expected
    row = st.integers(0, len(expected.instances) - 1)
    requests = data.draw(
        st.lists(st.one_of(st.lists(row, min_size=1, max_size=4), st.just(None)), min_size=2, max_size=12)
    )

    async def ask(batcher: Batcher, rows: list[int] | None) -> Any:
        instances = expected.bad[0] if rows is None else [expected.instances[i] for i in rows]
        try:
            call = v1.decode(orjson.dumps({"instances": instances}), served.adapter.signature)
            return orjson.loads(v1.encode(await submit(batcher, call), served.adapter.signature))["predictions"]
        except ValueError:
            return None

    async def all_at_once() -> list[Any]:
        with ThreadPoolExecutor(2) as pool:
            batcher = Batcher(served.adapter.predict, pool, Limits(max_rows=16), merges=served.adapter.traits.batchable)
            return await asyncio.gather(*(ask(batcher, rows) for rows in requests))

    wanted = [None if rows is None else [plain(expected.predictions[i]) for i in rows] for rows in requests]
    assert asyncio.run(all_at_once()) == wanted


def test_calls_of_several_threads_get_what_each_would_get_alone(served: Served) -> None:
    if not served.adapter.traits.thread_safe:
        pytest.skip("one call at a time")
    expected = served.expected
    pairs = list(zip(expected.instances, expected.predictions, strict=True)) * 4

    def ask(pair: tuple[Any, Any]) -> bool:
        return bool(served.v1({"instances": [pair[0]]}) == [plain(pair[1])])

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(ask, pairs))


@pytest.mark.parametrize("binary", [False, True], ids=["json", "binary"])
def test_v2_equals_the_framework(served: Served, binary: bool) -> None:
    body, json_length = served.request(binary).to_rest()
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    call = v2.decode(raw, str(json_length) if json_length else None, served.adapter.signature)
    outputs = served.adapter.predict(call.inputs, call.parameters)
    answer, length = v2.encode(outputs, call, "m")
    response = InferResponse.from_bytes(answer, length) if length else InferResponse.from_rest(orjson.loads(answer))
    assert rows_of(response, served.adapter.signature.keyed) == plain(served.expected.predictions)


@pytest.mark.parametrize("raw", [False, True], ids=["typed", "raw"])
def test_grpc_equals_the_framework(served: Served, raw: bool) -> None:
    call = grpc_messages.decode(served.request(binary=raw).to_grpc(), served.adapter.signature)
    outputs = served.adapter.predict(call.inputs, call.parameters)
    response = InferResponse.from_grpc(grpc_messages.encode(outputs, call, "m"))
    assert rows_of(response, served.adapter.signature.keyed) == plain(served.expected.predictions)


def test_the_signature_describes_what_comes_out(served: Served) -> None:
    signature = served.adapter.signature
    call = v1.decode(orjson.dumps({"instances": served.expected.instances}), signature)
    outputs = served.adapter.predict(call.inputs, call.parameters)
    specs = {spec.name: spec for spec in signature.outputs}
    assert outputs.keys() <= specs.keys()
    for name, array in outputs.items():
        assert datatype_of(array.dtype) == specs[name].datatype
        assert len(array.shape) == len(specs[name].shape)
        assert all(want in (-1, got) for want, got in zip(specs[name].shape, array.shape, strict=True))


def test_the_example_is_valid_and_predicts(served: Served) -> None:
    example = served.adapter.example()
    assert example.keys() <= {spec.name for spec in served.adapter.signature.inputs}
    assert len(next(iter(example.values()))) == 2
    outputs = served.adapter.predict(example, {})
    assert all(len(array) == 2 for array in outputs.values())


def test_bad_instances_are_the_clients_fault(served: Served) -> None:
    assert served.expected.bad
    for bad in served.expected.bad:
        with pytest.raises(ValueError) as error:
            served.v1({"instances": bad})
        assert str(error.value), bad
        assert "Traceback" not in str(error.value)


NEVER_VALID: list[Any] = [
    {}, {"instances": []}, {"instances": None}, {"instances": 3}, {"instances": {}}, {"instances": "text"},
    {"instance": [1]}, [], 3, None, "text", {"instances": [[[[[1]]]]]}, {"instances": [[]]}, {"instances": [{}]},
    {"instances": [[1], [1, 2]]}, {"inputs": {}}, {"inputs": {"nobody": [1]}}, {"instances": [None]},
    {"instances": [1], "parameters": 3},
]  # fmt: skip


@pytest.mark.parametrize("body", NEVER_VALID, ids=orjson.dumps)
def test_malformed_bodies_are_the_clients_fault(served: Served, body: Any) -> None:
    with pytest.raises(InvalidInput):
        served.v1(body)


def test_an_unknown_tensor_is_named(served: Served) -> None:
    if served.adapter.signature.ignores_unknown:
        pytest.skip("it leaves out what it does not know")
    tensors = [
        {"name": spec.name, "shape": [1] * len(spec.shape), "datatype": "FP32", "data": [1.0]}
        for spec in served.adapter.signature.inputs
    ]
    tensors.append({"name": "nobody", "shape": [1], "datatype": "FP32", "data": [1.0]})
    with pytest.raises(InvalidInput, match="nobody"):
        v2.decode(orjson.dumps({"inputs": tensors}), None, served.adapter.signature)


@pytest.mark.parametrize("slow", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_matching_imports_no_framework(shared: Shared, slow: bool) -> None:
    """In one process for all of them, which stays without from the first to the last."""
    cases = [case for case in CASES if (case.adapter == "tensorflow") == slow]
    code = (
        "import sys; from adapters import registry; from adapters.base import ModelDir\n"
        f"for folder, adapter in {[(str(shared.case(case)[0]), case.adapter) for case in cases]!r}:\n"
        "    assert registry.choose(ModelDir.of(folder)).adapter.name == adapter\n"
        f"    print(adapter, [name for name in {FRAMEWORKS!r} if name in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.splitlines() == [f"{case.adapter} []" for case in cases]
