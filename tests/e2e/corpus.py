"""The corpus (tests/corpus/README.md): its folders and files, and one V1 request as every protocol carries it."""

from __future__ import annotations

import importlib.util
import json
import math
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import GRPCInferenceServiceStub

from adapters.datatypes import NUMPY_OF
from server.codec.grpc_messages import CONTENTS
from server.codec.raw_tensors import to_bytes
from tests.e2e.process import Server

ROOT = Path(__file__).parents[1] / "corpus"
PROTOCOLS = ("v1", "v2", "binary", "grpc")


@dataclass(frozen=True)
class Exchange:
    """One request's file."""

    case: str
    name: str
    content: dict[str, Any]

    @property
    def protocols(self) -> Sequence[str]:
        return self.content.get("only", PROTOCOLS)


@dataclass(frozen=True)
class Answered:
    """What the server said, whatever the protocol: predictions as V1 has them, or an error."""

    predictions: Any = None
    status: int = 200
    error: str = ""


def cases() -> list[str]:
    return sorted(path.parent.name for path in ROOT.glob("*/make.py"))


def exchanges() -> list[Exchange]:
    files = [path for case in cases() for path in sorted((ROOT / case).glob("*.json")) if path.name != "index.json"]
    return [Exchange(path.parent.name, path.stem, json.loads(path.read_text())) for path in files]


def make(case: str, folder: Path) -> dict[str, Any]:
    """Make a case's model; returns the answers that its `make` gives, by the request's name."""
    ignored = shutil.ignore_patterns("*.py", "*.json", "__pycache__")
    shutil.copytree(ROOT / case, folder, ignore=ignored, dirs_exist_ok=True)
    spec = importlib.util.spec_from_file_location(f"corpus_{case}", ROOT / case / "make.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.make(folder) or {}


def ask(server: Server, exchange: Exchange, protocol: str) -> Answered | None:
    """Send a request; None where the protocol cannot carry it."""
    request = exchange.content["request"]
    if protocol == "v1":
        response = server.predict(exchange.case, request)
        if response.status_code != 200:
            return Answered(status=response.status_code, error=response.json()["error"])
        return Answered(response.json()["predictions"])
    parameters = request.get("parameters", {})
    if "v2" in exchange.content:
        tensors = [_given(tensor) for tensor in exchange.content["v2"]["inputs"]]
        parameters = exchange.content["v2"].get("parameters", parameters)
    else:
        metadata = server.client.get(f"/v2/models/{exchange.case}").json()["inputs"]
        found = _tensors(request["instances"], metadata)
        if found is None or (protocol != "v2" and any(None in values for *_, values in found)):
            return None
        tensors = found
    if protocol == "grpc":
        return _ask_grpc(server, exchange.case, tensors, parameters)
    return _ask_rest(server, exchange.case, tensors, parameters, binary=protocol == "binary")


#: name, datatype, shape, values
Tensor = tuple[str, str, list[int], list[Any]]


def _given(tensor: dict[str, Any]) -> Tensor:
    return tensor["name"], tensor["datatype"], tensor["shape"], tensor["data"]


def _tensors(rows: list[Any], metadata: list[dict[str, Any]]) -> list[Tensor] | None:
    names = [tensor["name"] for tensor in metadata]
    if all(isinstance(row, dict) and row.keys() <= set(names) and row.keys() == rows[0].keys() for row in rows):
        columns = {name: [row[name] for row in rows] for name in rows[0]}
    elif len(names) > 1 and all(isinstance(row, list) and len(row) == len(names) for row in rows):
        columns = {name: [row[index] for row in rows] for index, name in enumerate(names)}
    elif len(names) == 1 and not any(isinstance(row, dict) for row in rows):
        columns = {names[0]: rows}
    else:
        return None
    tensors = [_tensor(name, values) for name, values in columns.items()]
    return None if None in tensors else tensors  # type: ignore[return-value]


def _tensor(name: str, rows: list[Any]) -> Tensor | None:
    """Values in the datatype that they have in JSON; None for what no tensor holds."""
    array = np.array(rows, dtype=object)
    values = array.ravel().tolist()
    kinds = {type(value) for value in values} - {type(None)}
    if kinds == {str}:
        return name, "BYTES", list(array.shape), values
    if kinds == {bool} and None not in values:
        return name, "BOOL", list(array.shape), values
    if kinds == {int} and None not in values:
        return name, "INT64", list(array.shape), values
    if kinds and kinds <= {int, float}:
        floats = [math.nan if value is None else float(value) for value in values]
        exact = all(value is None or number == value for number, value in zip(floats, values, strict=True))
        return (name, "FP64", list(array.shape), floats) if exact else None
    return None


def _ask_rest(server: Server, model: str, tensors: list[Tensor], parameters: Any, *, binary: bool) -> Answered:
    inputs: list[dict[str, Any]] = []
    tail = b""
    for name, datatype, shape, values in tensors:
        entry: dict[str, Any] = {"name": name, "datatype": datatype, "shape": shape}
        if binary:
            raw = _raw(datatype, values)
            entry["parameters"] = {"binary_data_size": len(raw)}
            tail += raw
        else:
            entry["data"] = [None if isinstance(value, float) and math.isnan(value) else value for value in values]
        inputs.append(entry)
    head = json.dumps({"inputs": inputs, "parameters": parameters}).encode()
    headers = {"Inference-Header-Content-Length": str(len(head))} if binary else {}
    response = server.client.post(f"/v2/models/{model}/infer", content=head + tail, headers=headers)
    if response.status_code != 200:
        return Answered(status=response.status_code, error=response.json()["error"])
    outputs = response.json()["outputs"]
    return Answered(_rows({tensor["name"]: (tensor["shape"], tensor["data"]) for tensor in outputs}))


def _raw(datatype: str, values: list[Any]) -> bytes:
    return to_bytes(np.array(values, NUMPY_OF[datatype]), datatype)


def _ask_grpc(server: Server, model: str, tensors: list[Tensor], parameters: dict[str, Any]) -> Answered:
    request = pb.ModelInferRequest(model_name=model)
    for name, value in parameters.items():
        kind = {bool: "bool_param", int: "int64_param", str: "string_param"}[type(value)]
        setattr(request.parameters[name], kind, value)
    for name, datatype, shape, values in tensors:
        tensor = request.inputs.add(name=name, datatype=datatype, shape=shape)
        sent = [value.encode() for value in values] if datatype == "BYTES" else values
        getattr(tensor.contents, CONTENTS[datatype]).extend(sent)
    with grpc.insecure_channel(server.grpc) as channel:
        try:
            response = GRPCInferenceServiceStub(channel).ModelInfer(request, timeout=60)
        except grpc.RpcError as error:
            status = 400 if error.code() is grpc.StatusCode.INVALID_ARGUMENT else 500
            return Answered(status=status, error=error.details())
    found: dict[str, tuple[list[int], list[Any]]] = {}
    for tensor in response.outputs:
        values = list(getattr(tensor.contents, CONTENTS[tensor.datatype]))
        texts = [value.decode() for value in values] if tensor.datatype == "BYTES" else values
        found[tensor.name] = list(tensor.shape), texts
    return Answered(_rows(found))


def _rows(outputs: dict[str, tuple[list[int], list[Any]]]) -> list[Any]:
    """V2's outputs as V1's predictions."""
    columns = {}
    for name, (shape, values) in outputs.items():
        array = np.empty(len(values), dtype=object)
        array[:] = values
        columns[name] = array.reshape(shape).tolist()
    if len(columns) == 1:
        return next(iter(columns.values()))
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def same(expected: Any, got: Any, tolerance: float) -> bool:
    """Whether an answer is the right one; V2 has numbers among texts as JSON, and NaN where V1 has null."""
    if isinstance(expected, list):
        return (
            isinstance(got, list)
            and len(expected) == len(got)
            and all(same(*pair, tolerance) for pair in zip(expected, got, strict=True))
        )
    if isinstance(expected, dict):
        return (
            isinstance(got, dict)
            and expected.keys() == got.keys()
            and all(same(expected[key], got[key], tolerance) for key in expected)
        )
    if isinstance(expected, int | float) and not isinstance(expected, bool) and isinstance(got, int | float):
        if isinstance(expected, int) and isinstance(got, int):
            return expected == got
        return math.isclose(expected, got, rel_tol=tolerance, abs_tol=tolerance)
    if expected is None:
        return got is None or (isinstance(got, float) and math.isnan(got))
    return type(expected) is type(got) and expected == got


def from_texts(expected: Any, got: Any) -> Any:
    """An answer of V2 with the numbers read that went as texts, because others in the tensor are texts."""
    if isinstance(expected, list) and isinstance(got, list) and len(expected) == len(got):
        return [from_texts(*pair) for pair in zip(expected, got, strict=True)]
    if isinstance(expected, dict) and isinstance(got, dict) and expected.keys() == got.keys():
        return {key: from_texts(expected[key], got[key]) for key in expected}
    if isinstance(got, str) and not isinstance(expected, str):
        return json.loads(got)
    return got
