"""Triton's generate extension, and single items as messages of V2's gRPC.

    {"id": "1", "text_input": "a", "n": [1, 2], "parameters": {...}}  ->  InferRequest: BYTES [1], INT64 [2]
    an item that was yielded  ->  {"id": "1", "model_name": ..., "model_version": ..., "text_output": ...}
    an item that was yielded  ->  ModelInferResponse

Source: Triton Inference Server, docs/protocol/extension_generate.md.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from adapters.base import Array, InvalidInput, TensorSpec
from adapters.datatypes import NUMPY_OF, datatype_of

#: the name of an output that has none
TEXT_OUTPUT = "text_output"
_DUMP = orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY
#: the first that holds all of a field's values: JSON types, datatype
_DATATYPES: tuple[tuple[set[type], str], ...] = (({str}, "BYTES"), ({bool}, "BOOL"), ({int}, "INT64"))
_NUMBERS: set[type] = {int, float}
#: kind of a numpy dtype -> JSON types
_JSON_TYPES: dict[str, set[type]] = {"O": {str}, "b": {bool}, "f": _NUMBERS, "i": {int}, "u": {int}}


@dataclass(frozen=True)
class Form:
    """What is known of the model: names, and the tensors that its class declares."""

    model: str
    version: str
    inputs: Sequence[TensorSpec] = ()
    outputs: Sequence[TensorSpec] = ()

    def request(self, body: bytes) -> Any:
        """The `InferRequest` that a body of the extension stands for.

        Raises:
            InvalidInput: it is none; the message names the field.
        """
        from kserve import InferRequest

        try:
            fields = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise InvalidInput(f"Unrecognized request format: {error}") from error
        if not isinstance(fields, dict):
            raise InvalidInput("the body must be a JSON object, a field an input tensor")
        number, parameters = fields.pop("id", None), fields.pop("parameters", None)
        if not isinstance(number, str | None):
            raise InvalidInput("id must be text")
        if not isinstance(parameters, dict | None):
            raise InvalidInput("parameters must be an object")
        declared = {spec.name: spec for spec in self.inputs}
        inputs = [_input(name, value, declared.get(name)) for name, value in fields.items()]
        return InferRequest(self.model, inputs, number, parameters=parameters or {})

    def document(self, item: Any, request: Any) -> bytes:
        """One item as the extension's flat JSON object; of tensors, one element is a scalar."""
        item = _plain(item)
        number = request.id or getattr(item, "id", None)
        head = {"id": number} if number else {}
        version = getattr(item, "model_version", None) or self.version
        return orjson.dumps(
            {**head, "model_name": self.model, "model_version": version, **self._fields(item)}, option=_DUMP
        )

    def message(self, item: Any, request: Any, raw: bool = False) -> bytes:
        """One item as a serialized `ModelInferResponse`; a client that sent `raw` tensors gets raw ones."""
        from kserve import InferResponse
        from kserve.protocol.grpc.grpc_predict_v2_pb2 import ModelInferResponse

        item = _plain(item)
        if not isinstance(item, InferResponse | ModelInferResponse):
            item = InferResponse(request.id or "", self.model, self._outputs(item), use_binary_outputs=raw)
        message = item.to_grpc() if isinstance(item, InferResponse) else item
        message.id = request.id or message.id
        message.model_name = message.model_name or self.model
        sent: bytes = message.SerializeToString()
        return sent

    @property
    def _output(self) -> str:
        """What a value without a name is called."""
        return self.outputs[0].name if len(self.outputs) == 1 else TEXT_OUTPUT

    def _fields(self, item: Any) -> dict[str, Any]:
        from kserve import InferResponse
        from kserve.protocol.grpc.grpc_predict_v2_pb2 import ModelInferResponse

        if isinstance(item, ModelInferResponse):
            item = InferResponse.from_grpc(item)
        if isinstance(item, InferResponse):
            return {**_parameters(item), **{output.name: _scalar(output.as_numpy()) for output in item.outputs}}
        if not isinstance(item, dict):
            return {self._output: item}
        if "outputs" not in item:
            return item
        return {output.name: _scalar(output.as_numpy()) for output in _outputs_of(item)}

    def _outputs(self, item: Any) -> list[Any]:
        """An item that is no message of KServe's, as `InferOutput`s."""
        if isinstance(item, dict) and "outputs" in item:
            return _outputs_of(item)
        declared = {spec.name: spec for spec in self.outputs}
        fields = item if isinstance(item, dict) else {self._output: item}
        return [_output(str(name), value, declared.get(str(name))) for name, value in fields.items()]


def _input(name: str, value: Any, spec: TensorSpec | None) -> Any:
    from kserve import InferInput

    shape, values = _flat(name, value)
    if spec is None:
        return InferInput(name, shape, _datatype(name, values), values)
    _check(name, values, spec.datatype)
    return InferInput(name, _fitted(name, shape, spec.shape), spec.datatype, values)


def _flat(name: str, value: Any) -> tuple[list[int], list[Any]]:
    """A field's shape and its elements; a scalar is a tensor of one."""
    if not isinstance(value, list):
        return [1], [value]
    if not any(isinstance(each, list) for each in value):
        return [len(value)], value
    inner = [_flat(name, each) for each in value if isinstance(each, list)]
    if len(inner) < len(value) or any(shape != inner[0][0] for shape, _ in inner):
        raise InvalidInput(f"{name}: its lists are not of one length")
    return [len(value), *inner[0][0]], [each for _, values in inner for each in values]


def _datatype(name: str, values: Sequence[Any]) -> str:
    kinds = {type(value) for value in values}
    for held, datatype in (*_DATATYPES, (_NUMBERS, "FP64")):
        if kinds and kinds <= held:
            _check(name, values, datatype)
            return datatype
    raise InvalidInput(f"{name} must be a text, a boolean, a number, or a list of one of these")


def _check(name: str, values: Sequence[Any], datatype: str) -> None:
    """
    Raises:
        InvalidInput: the values are not what the datatype says.
    """
    kind = NUMPY_OF[datatype].kind
    if any(type(value) not in _JSON_TYPES[kind] for value in values):
        raise InvalidInput(f"{name}: the model declares {datatype}, which these values are not")
    if kind in "iu":
        bounds = np.iinfo(NUMPY_OF[datatype])
        if any(not bounds.min <= value <= bounds.max for value in values):
            raise InvalidInput(f"{name}: a number is out of the range of {datatype}")


def _fitted(name: str, shape: list[int], declared: Sequence[int]) -> list[int]:
    """The shape that a field takes on: its own where that fits, or else the declared one, its last free size filled."""
    if len(shape) == len(declared) and all(size in (-1, own) for size, own in zip(declared, shape, strict=True)):
        return shape
    count = math.prod(shape)
    fitted = [1 if size == -1 else size for size in declared]
    free = [axis for axis, size in enumerate(declared) if size == -1]
    if free:
        fitted[free[-1]] = count // max(math.prod(fitted), 1)
    if math.prod(fitted) != count:
        raise InvalidInput(f"{name}: {count} values do not fit the shape {list(declared)} that the model declares")
    return fitted


def _plain(item: Any) -> Any:
    """An item of pydantic's as a dict, bytes as text, and what is written as a message of gRPC's as one."""
    from kserve.protocol.grpc.grpc_predict_v2_pb2 import ModelInferResponse

    if isinstance(item, bytes):
        return item.decode(errors="replace")
    if isinstance(item, dict) and any("contents" in each for each in item.get("outputs", ())):
        return ModelInferResponse(**item)
    return item.model_dump(mode="json") if hasattr(item, "model_dump") else item


def _scalar(array: Array) -> Any:
    """A tensor's elements as JSON values: a scalar if there is one, else a flat list."""
    values = [value.decode(errors="replace") if isinstance(value, bytes) else value for value in array.ravel().tolist()]
    return values[0] if len(values) == 1 else values


def _parameters(response: Any) -> dict[str, Any]:
    from kserve.protocol.infer_type import to_http_parameters

    found: dict[str, Any] = to_http_parameters(response.parameters) if response.parameters else {}
    return found


def _outputs_of(item: Mapping[str, Any]) -> list[Any]:
    """The tensors of a V2 response that is a dict, as a REST client would get it."""
    from kserve import InferOutput

    return [
        InferOutput(each["name"], list(each["shape"]), each["datatype"], np.ravel(each["data"]).tolist())
        for each in item["outputs"]
    ]


def _output(name: str, value: Any, spec: TensorSpec | None) -> Any:
    """A value as a tensor of what it holds, or of what the model declares; what is no tensor is JSON text."""
    from kserve import InferOutput

    array = np.atleast_1d(np.asarray(value, NUMPY_OF[spec.datatype] if spec else None))
    datatype = datatype_of(array.dtype)
    values = [_text(each) for each in array.ravel().tolist()] if datatype == "BYTES" else array.ravel().tolist()
    return InferOutput(name, list(array.shape), datatype, values)


def _text(value: Any) -> str | bytes:
    return value if isinstance(value, str | bytes) else orjson.dumps(value, option=_DUMP).decode()
