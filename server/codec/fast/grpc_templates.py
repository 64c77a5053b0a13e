"""The short way of the usual gRPC request, as `fast` has it for REST; apart from it, since this imports KServe.

The usual gRPC message without protobuf: a head that was seen before, and the values of its one tensor behind it.

    request   model, version, the tensor's name, datatype, shape  | its raw values
    response  model, version, the output's name, datatype, shape  | its raw values

Raw values are the last field of either message, and what stands before them is the same, byte by byte, in every request
of a client, and in every answer. Protobuf reads or writes it once; it is known again by its bytes. That is sound, as a
head ends with the length of the values: what begins alike, and is as long, differs in the values alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb

from adapters.base import Array, Signature, Tensors
from server.codec import grpc_messages
from server.codec.fast.json_rows import FLOATS, cast, matrix_of, merge_key
from server.codec.v2 import DecodedV2Request


def grpc_decoder(signature: Signature) -> Callable[[Any], DecodedV2Request]:
    """`grpc_.decode` for one signature."""
    spec = matrix_of(signature)
    if spec is None:
        return lambda request: grpc_messages.decode(request, signature)
    name, width, dtype, key = spec.name, spec.shape[1], spec.dtype, merge_key(spec)
    others = frozenset(signature.columns)

    def short(request: Any) -> DecodedV2Request | None:
        if len(request.inputs) != 1 or request.parameters or request.outputs:
            return None
        (tensor,) = request.inputs
        sent, shape, raws = FLOATS.get(tensor.datatype), tensor.shape, request.raw_input_contents
        named = tensor.name == name or (signature.any_name and tensor.name not in others)
        if sent is None or not named or tensor.parameters or len(shape) != 2 or shape[1] != width or shape[0] < 1:
            return None
        size = shape[0] * width
        if raws:
            if len(raws) != 1 or tensor.HasField("contents") or len(raws[0]) != size * sent.itemsize:
                return None
            values = np.frombuffer(raws[0], sent).copy()
        else:
            fields = tensor.contents.ListFields()
            if (
                len(fields) != 1
                or fields[0][0].name != grpc_messages.CONTENTS[tensor.datatype]
                or len(fields[0][1]) != size
            ):
                return None
            values = np.array(fields[0][1], sent)
        matrix = cast(values.reshape(shape[0], width), dtype)
        if matrix is None or (spec.finite and not np.isfinite(matrix).all()):
            return None
        return DecodedV2Request({name: matrix}, int(shape[0]), {}, request.id, {}, bool(raws), key=key)

    return lambda request: short(request) or grpc_messages.decode(request, signature)


#: heads that are remembered, and the bytes of one: clients that never repeat one must not fill the memory
MOST, LONGEST = 1024, 2048
#: bytes of values
MOST_VALUES = 64 * 1024


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

    def matrix(self, raw: bytes) -> Array:
        """The values of such a request, in memory of their own."""
        return np.frombuffer(raw, self.dtype, offset=self.start).reshape(self.rows, self.columns).copy()


class TemplateCache:
    """Heads of requests by their bytes."""

    def __init__(self) -> None:
        self._known: dict[bytes, RequestTemplate] = {}
        self._starts: dict[int, int] = {}  #: where the values began in the last message of that length

    def find(self, raw: bytes) -> RequestTemplate | None:
        """The head of a serialized request, where it is known."""
        start = self._starts.get(len(raw))
        return None if start is None else self._known.get(raw[:start])

    def learn(self, raw: bytes, request: Any) -> None:
        """Know the head of this request again, if it is one of the usual; `raw` is what it was read from."""
        head = _understand(raw, request)
        if head is not None:
            if len(self._known) >= MOST:
                self._known.clear()
                self._starts.clear()
            self._known[raw[: head.start]] = head
            self._starts[len(raw)] = head.start


def _understand(raw: bytes, request: Any) -> RequestTemplate | None:
    if len(request.inputs) != 1 or len(request.raw_input_contents) != 1 or request.id:
        return None  # an id is another with every request
    (tensor,), (values,) = request.inputs, request.raw_input_contents
    dtype, shape, start = FLOATS.get(tensor.datatype), tensor.shape, len(raw) - len(values)
    if dtype is None or len(shape) != 2 or min(shape) < 1 or shape[0] * shape[1] * dtype.itemsize != len(values):
        return None
    if start > LONGEST or len(values) > MOST_VALUES or raw[start:] != values:
        return None
    # what is not looked at here, or is in another order, shows in the bytes
    bare = pb.ModelInferRequest(model_name=request.model_name, model_version=request.model_version)
    bare.inputs.add(name=tensor.name, datatype=tensor.datatype, shape=shape)
    bare.raw_input_contents.append(values)
    if bare.SerializeToString() != raw:
        return None
    return RequestTemplate(
        request.model_name, request.model_version or None, tensor.name, dtype, shape[0], shape[1], start
    )


#: a request whose head is known to what it asks; the message is read where it is not as usual after all
KnownDecoder: TypeAlias = Callable[[RequestTemplate, bytes], DecodedV2Request]


def known_decoder(signature: Signature) -> KnownDecoder:
    """`grpc_.decode` of the whole message, for one signature."""
    spec = matrix_of(signature)

    def general(head: RequestTemplate, raw: bytes) -> DecodedV2Request:
        return grpc_messages.decode(pb.ModelInferRequest.FromString(raw), signature)

    if spec is None:
        return general
    name, width, dtype, key = spec.name, spec.shape[1], spec.dtype, merge_key(spec)
    others = frozenset(signature.columns)

    def decode(head: RequestTemplate, raw: bytes) -> DecodedV2Request:
        named = head.name == name or (signature.any_name and head.name not in others)
        if named and head.columns == width:
            matrix = cast(head.matrix(raw), dtype)
            if matrix is not None and (not spec.finite or np.isfinite(matrix).all()):
                return DecodedV2Request({name: matrix}, head.rows, {}, "", {}, binary=True, key=key)
        return general(head, raw)

    return decode


class AnswerTemplates:
    """Writes the serialized answers of one model to requests whose heads are known."""

    def __init__(self, model: str, version: str) -> None:
        self._model = model
        self._version = version
        self._heads: dict[tuple[str, np.dtype[Any], tuple[int, ...]], bytes] = {}  #: by the only output's form

    def encode(self, outputs: Tensors, call: DecodedV2Request) -> bytes:
        """`grpc_.encode`, serialized. These requests have no id and ask for no output by name."""
        if len(outputs) != 1:
            return self._general(outputs, call)
        ((name, array),) = outputs.items()
        head = self._heads.get((name, array.dtype, array.shape))
        if head is not None:
            return head + array.tobytes()
        answer, values = self._general(outputs, call), array.tobytes()
        if array.dtype.kind in "fiub" and array.dtype.isnative and values:
            if len(self._heads) >= MOST:
                self._heads.clear()
            self._heads[name, array.dtype, array.shape] = answer[: -len(values)]
        return answer

    def _general(self, outputs: Tensors, call: DecodedV2Request) -> bytes:
        answer: bytes = grpc_messages.encode(outputs, call, self._model, self._version).SerializeToString()
        return answer
