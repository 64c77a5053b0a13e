"""The usual gRPC request and its answer without protobuf: a head that was seen before, and raw values behind it.

    request   model, version, the tensor's name, datatype, shape  | its raw values
    response  model, version, the output's name, datatype, shape  | its raw values

A client repeats the head of its requests byte by byte; only the values differ. So a head is understood once, by the
library that reads every message, and is known again by its bytes: what is kept is a template, all of a message but its
values. `api/rest/head_cache.py` does the same with the heads of HTTP requests. Here it is sound as raw values are the
last field of either message, and a head ends with their length: what begins alike, and is as long, differs in the
values alone. Heads that are long, and requests with an id, which are never the same twice, are not remembered.

What is known by no template is read by protobuf. `grpc_decoder` then still saves the general codec for the one matrix
of floats that most models take.

Processor time of decoding a request of 1 x 4 floats and encoding its answer (`python -m bench.decoding`), in µs: by
templates 3.0; by protobuf and `grpc_decoder` 15; by protobuf and the general codec 22, and 26 where the values are
typed. Asked for requests with an id, a whole server took 1.25 times the processor time without `grpc_decoder`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb

from adapters.base import Array, Signature, Tensors
from server.codec import grpc_messages
from server.codec.fast.json_rows import FLOATS, cast, is_finite, matrix_of, merge_key
from server.codec.v2 import DecodedV2Request

#: templates that are remembered, and the bytes of a head: clients that never repeat one must not fill the memory
MAX_TEMPLATES, MAX_HEAD = 1024, 2048
#: bytes of values
MAX_VALUES = 64 * 1024


@dataclass(frozen=True, slots=True)
class RequestTemplate:
    """A request for one matrix of floats, all but the values."""

    model: str
    version: str | None  #: None where it names none
    name: str
    dtype: np.dtype[Any]
    rows: int
    columns: int
    start: int  #: where the values begin
    length: int  #: bytes of the whole message: one that begins alike and is longer or shorter is another

    def matrix(self, raw: bytes) -> Array:
        """The values of such a request, in memory of their own."""
        return np.ndarray((self.rows, self.columns), self.dtype, bytearray(raw[self.start :]))


class TemplateCache:
    """Templates of requests by the bytes of their heads."""

    def __init__(self) -> None:
        self._templates: dict[bytes, RequestTemplate] = {}
        self._starts: dict[int, int] = {}  #: where the values began in the last message of that length

    def find(self, raw: bytes) -> RequestTemplate | None:
        """The template of a serialized request, where its head is known."""
        start = self._starts.get(len(raw))
        template = None if start is None else self._templates.get(raw[:start])
        return template if template is not None and template.length == len(raw) else None

    def learn(self, raw: bytes, request: Any) -> None:
        """Know the head of this request again, if it is one of the usual; `raw` is what it was read from."""
        template = _template_of(raw, request)
        if template is not None:
            if len(self._templates) >= MAX_TEMPLATES:
                self._templates.clear()
                self._starts.clear()
            self._templates[raw[: template.start]] = template
            self._starts[len(raw)] = template.start


def _template_of(raw: bytes, request: Any) -> RequestTemplate | None:
    if len(request.inputs) != 1 or len(request.raw_input_contents) != 1 or request.id:
        return None  # an id is another with every request
    (tensor,), (values,) = request.inputs, request.raw_input_contents
    dtype, shape, start = FLOATS.get(tensor.datatype), tensor.shape, len(raw) - len(values)
    if dtype is None or len(shape) != 2 or min(shape) < 1 or shape[0] * shape[1] * dtype.itemsize != len(values):
        return None
    if start > MAX_HEAD or len(values) > MAX_VALUES or raw[start:] != values:
        return None
    # what is not looked at here, or is in another order, shows in the bytes
    bare = pb.ModelInferRequest(model_name=request.model_name, model_version=request.model_version)
    bare.inputs.add(name=tensor.name, datatype=tensor.datatype, shape=shape)
    bare.raw_input_contents.append(values)
    if bare.SerializeToString() != raw:
        return None
    version = request.model_version or None
    return RequestTemplate(request.model_name, version, tensor.name, dtype, shape[0], shape[1], start, len(raw))


#: a serialized request and its template to what it asks; the message is read where it is not as usual after all
KnownDecoder: TypeAlias = Callable[[RequestTemplate, bytes], DecodedV2Request]


def known_decoder(signature: Signature) -> KnownDecoder:
    """`grpc_messages.decode` of a serialized message whose template is known, for one signature."""
    spec = matrix_of(signature)

    def general(template: RequestTemplate, raw: bytes) -> DecodedV2Request:
        return grpc_messages.decode(pb.ModelInferRequest.FromString(raw), signature)

    if spec is None:
        return general
    name, width, dtype, key = spec.name, spec.shape[1], spec.dtype, merge_key(spec)
    columns = frozenset(signature.columns)

    def decode(template: RequestTemplate, raw: bytes) -> DecodedV2Request:
        is_input = template.name == name or (signature.any_name and template.name not in columns)
        if is_input and template.columns == width:
            matrix = cast(template.matrix(raw), dtype)
            if matrix is not None and (not spec.finite or is_finite(matrix)):
                return DecodedV2Request({name: matrix}, template.rows, {}, "", {}, binary=True, key=key)
        return general(template, raw)

    return decode


def grpc_decoder(signature: Signature) -> Callable[[Any], DecodedV2Request]:
    """`grpc_messages.decode` for one signature."""
    spec = matrix_of(signature)
    if spec is None:
        return lambda request: grpc_messages.decode(request, signature)
    name, width, dtype, key = spec.name, spec.shape[1], spec.dtype, merge_key(spec)
    columns = frozenset(signature.columns)

    def decode_matrix(request: Any) -> DecodedV2Request | None:
        if len(request.inputs) != 1 or request.parameters or request.outputs:
            return None
        (tensor,) = request.inputs
        shape = tensor.shape
        is_input = tensor.name == name or (signature.any_name and tensor.name not in columns)
        if not is_input or tensor.parameters or len(shape) != 2 or shape[1] != width or shape[0] < 1:
            return None
        values = _values(tensor, request.raw_input_contents, shape[0] * width)
        matrix = None if values is None else cast(values.reshape(shape[0], width), dtype)
        if matrix is None or (spec.finite and not is_finite(matrix)):
            return None
        raw = bool(request.raw_input_contents)
        return DecodedV2Request({name: matrix}, int(shape[0]), {}, request.id, {}, raw, key=key)

    return lambda request: decode_matrix(request) or grpc_messages.decode(request, signature)


def _values(tensor: Any, raws: Any, size: int) -> Array | None:
    """The floats of a tensor, raw or typed, in memory of their own; None where they are not `size` floats."""
    dtype = FLOATS.get(tensor.datatype)
    if dtype is None:
        return None
    if raws:
        if len(raws) != 1 or tensor.HasField("contents") or len(raws[0]) != size * dtype.itemsize:
            return None
        return np.frombuffer(raws[0], dtype).copy()
    contents = tensor.contents.ListFields()
    if len(contents) != 1:
        return None
    ((field, values),) = contents
    if field.name != grpc_messages.CONTENTS[tensor.datatype] or len(values) != size:
        return None
    return np.array(values, dtype)


class AnswerTemplates:
    """Writes the serialized answers of one model to requests that have a template."""

    def __init__(self, model: str, version: str) -> None:
        self._model = model
        self._version = version
        self._heads: dict[tuple[str, np.dtype[Any], tuple[int, ...]], bytes] = {}  #: by the only output's form

    def encode(self, outputs: Tensors, call: DecodedV2Request) -> bytes:
        """`grpc_messages.encode`, serialized. These requests have no id and ask for no output by name."""
        if len(outputs) != 1:
            return self._general(outputs, call)
        ((name, array),) = outputs.items()
        head = self._heads.get((name, array.dtype, array.shape))
        if head is not None:
            return head + array.tobytes()
        answer, values = self._general(outputs, call), array.tobytes()
        if array.dtype.kind in "fiub" and array.dtype.isnative and values:
            if len(self._heads) >= MAX_TEMPLATES:
                self._heads.clear()
            self._heads[name, array.dtype, array.shape] = answer[: -len(values)]
        return answer

    def _general(self, outputs: Tensors, call: DecodedV2Request) -> bytes:
        answer: bytes = grpc_messages.encode(outputs, call, self._model, self._version).SerializeToString()
        return answer
