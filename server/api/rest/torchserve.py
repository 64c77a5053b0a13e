"""TorchServe's own routes, for its clients and probes.

    POST, PUT /predictions/{model}[/{version}]     one request of any content type -> one answer
    POST, PUT /explanations/{model}[/{version}]    the same, with the header that asks a handler to explain
    GET       /ping                                {"status": "Healthy"}

A model archive's handler gets the request as TorchServe would give it: the body, or a form's fields and the query's,
and the headers. For any other model the body is one instance: JSON, text, or bytes; the answer is its prediction.

Source: TorchServe's inference API.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncGenerator, Mapping
from typing import Any
from urllib.parse import parse_qsl

import orjson
from python_multipart.multipart import parse_options_header
from starlette.datastructures import Headers
from starlette.formparsers import MultiPartException, MultiPartParser

from adapters.base import Array, Signature, Tensors
from adapters.shared.arrays import array_of
from server.api.rest.asgi import Handler, Scope
from server.codec import v1
from server.codec.decoded_request import DecodedRequest
from server.codec.error_text import quoted
from server.codec.json_bodies import check_size
from server.codec.outputs import dumps
from server.errors import InvalidInput, NotFound, NotSupported
from server.inference.answer import JSON_HEADERS, Answer, StreamedAnswer, sendable_headers, sendable_status
from server.inference.body_readers import read_aside
from server.inference.model import ServedModel
from server.inference.request import Codec, InferenceRequest, IsDisconnected
from server.repository.repository import Repository

PREDICTIONS, EXPLANATIONS, PING = "/predictions/", "/explanations/", "/ping"
_PROTOCOL = "torchserve"  #: the metrics' word
_ENVELOPE, _HTTP = "envelope", "http"  #: the parameter of models that take whole requests as instances
_FORM, _MULTIPART = "application/x-www-form-urlencoded", "multipart/form-data"
_MOST_FIELDS = 1000
_MOST_ESCAPES = 1_000_000
_SLICE = 64 * 1024  #: bytes of a form that are read before others have a turn


class Predictions:
    """TorchServe's routes over the repository."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository

    def handler(self, scope: Scope) -> Handler | None:
        """What answers the request, or None where the path or the method is not TorchServe's."""
        path: str = scope["path"]
        if path == PING and scope["method"] == "GET":
            return self._ping
        if path.startswith((PREDICTIONS, EXPLANATIONS)) and scope["method"] in ("POST", "PUT"):
            return self._predict
        return None

    def model_of(self, scope: Scope) -> tuple[str | None, str | None]:
        """The model and the version that a request is for; None where it is no prediction."""
        if not scope["path"].startswith((PREDICTIONS, EXPLANATIONS)) or scope["method"] not in ("POST", "PUT"):
            return None, None
        name, named, version = scope["path"].split("/", 2)[2].partition("/")
        return name or None, version if named else None

    async def _ping(self, scope: Scope, body: bytes, is_disconnected: IsDisconnected) -> Answer:
        if why := self._repository.why_not_ready():
            told = {"status": "Unhealthy", "error": f"the server is not ready: {why}"}
            return Answer(503, JSON_HEADERS, orjson.dumps(told))
        return Answer(200, JSON_HEADERS, b'{"status":"Healthy"}')

    async def _predict(self, scope: Scope, body: bytes, is_disconnected: IsDisconnected) -> Answer | StreamedAnswer:
        explain = scope["path"].startswith(EXPLANATIONS)
        name, named, version = scope["path"].split("/", 2)[2].partition("/")
        if not name:
            raise NotFound("the path names no model: /predictions/{model}")
        model = await self._repository.ready(name, version if named else None)
        request = InferenceRequest(
            _PROTOCOL, "predict", name, version if named else None, scope["headers"], body, is_disconnected
        )
        headers = request.header_map()
        size = len(body)
        parts = _query(scope) | await _parts(headers, body)
        if _takes_requests(model.signature):
            request.codec = _handler_codec(model.signature, headers | ({"explain": "True"} if explain else {}), parts)
        elif explain:
            raise NotSupported(f"model {name!r} is no model archive: POST /v1/models/{name}:explain")
        elif model.signature.whole:
            return await _by_own_code(model, request, headers, await read_aside(size, _instance, parts))
        else:
            request.codec = _instance_codec(model.signature, await read_aside(size, _instance, parts))
        return await model.handle(request)


def _takes_requests(signature: Signature) -> bool:
    return any(known.name == _ENVELOPE and _HTTP in known.choices for known in signature.parameters)


def _handler_codec(signature: Signature, headers: Mapping[str, str], parts: Mapping[str, Any]) -> Codec:
    """The way of a model archive: the whole request as an instance, the whole answer as its prediction."""
    (spec,) = signature.inputs
    element = {"headers": dict(headers), "parts": dict(parts)}
    decoded = DecodedRequest({spec.name: array_of([element])}, 1, {_ENVELOPE: _HTTP})
    return Codec(lambda request: decoded, lambda outputs, decoded: _answer(outputs))


def _answer(outputs: Tensors) -> Answer:
    array: Array = next(iter(outputs.values()))
    envelope: dict[str, Any] = array[0]
    body, headers = envelope["body"], sendable_headers(envelope["headers"])
    kind = "application/json"
    if isinstance(body, bytes):
        kind = "application/octet-stream"
    elif isinstance(body, str):
        body, kind = body.encode(errors="replace"), "text/plain; charset=utf-8"
    else:
        body = dumps(body)
    if not any(name == b"content-type" for name, _ in headers):
        headers.append((b"content-type", kind.encode()))
    return Answer(sendable_status(envelope["status"]), headers, body)


async def _by_own_code(
    model: ServedModel, request: InferenceRequest, headers: Mapping[str, str], instance: Any
) -> Answer | StreamedAnswer:
    """The way of a custom model: it gets V1, and what it answers beside one prediction stays as it is."""
    sent = [(name, value) for name, value in headers.items() if name not in ("content-type", "content-length")]
    v1_request = InferenceRequest(
        *("v1", "predict", request.model, request.version, [*sent, ("content-type", "application/json")]),
        orjson.dumps(_v1_body(instance)),
        request.is_disconnected,
    )
    answer = await model.handle(v1_request)
    if isinstance(answer, StreamedAnswer) or _is_v1(instance):
        return answer
    return answer._replace(body=_only(answer.body))


def _instance_codec(signature: Signature, instance: Any) -> Codec:
    """The way of any other model: the body is one instance, the answer its prediction."""

    def encode(outputs: Tensors, decoded: DecodedRequest) -> Answer:
        body = v1.encode(outputs, signature, decoded)
        return Answer(200, JSON_HEADERS, body if _is_v1(instance) else _only(body))

    return Codec(lambda request: v1.decode(_v1_body(instance), signature), encode)


def _only(body: bytes) -> bytes:
    """The single prediction of a V1 answer; anything else as it is."""
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        return body
    predictions = answer.get("predictions") if isinstance(answer, dict) else None
    return orjson.dumps(predictions[0]) if isinstance(predictions, list) and len(predictions) == 1 else body


def _is_v1(instance: Any) -> bool:
    return isinstance(instance, dict) and ("instances" in instance or "inputs" in instance)


def _v1_body(instance: Any) -> dict[str, Any]:
    return instance if _is_v1(instance) else {"instances": [instance]}


# what was sent


def _query(scope: Scope) -> dict[str, Any]:
    pairs = parse_qsl(str(scope.get("query_string", b""), "latin-1"), keep_blank_values=True)
    return {name: value.encode() for name, value in pairs[:_MOST_FIELDS]}


async def _parts(headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
    """The parts of a request by name: a form's fields, or its "body"."""
    content_type = headers.get("content-type", "")
    kind = content_type.partition(";")[0].strip().lower()
    if kind == _MULTIPART:
        return await _multipart(content_type, body)
    if kind == _FORM:
        if body.lstrip()[:1] in (b"{", b"["):  # curl -d calls everything a form
            kind = "application/json"
        else:
            return await read_aside(len(body), _urlencoded, body)
    return {"body": await read_aside(len(body), _value, body, kind)}


def _value(data: bytes, kind: str) -> Any:
    """JSON and text as such, where they are what they say; bytes otherwise."""
    try:
        if kind == "application/json":
            check_size(data)
            return orjson.loads(data)
        return data.decode() if kind.startswith("text/") else data
    except (orjson.JSONDecodeError, UnicodeDecodeError):
        return data


def _urlencoded(body: bytes) -> dict[str, Any]:
    if body.count(b"%") > _MOST_ESCAPES:  # each of them takes twenty times its length while it is read
        raise InvalidInput(
            f"the form has more than {_MOST_ESCAPES} escapes (%XX): send {_MULTIPART}, or the data alone"
        )
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError as error:
        raise InvalidInput(f"the body is no form: {error}; name its content type if it is something else") from error
    return {name: value.encode() for name, value in pairs}


async def _multipart(content_type: str, body: bytes) -> dict[str, Any]:
    async def stream() -> AsyncGenerator[bytes, None]:
        for at in range(0, len(body), _SLICE):
            yield body[at : at + _SLICE]
            await asyncio.sleep(0)  # boundaries that are none make the parser slow
        yield b""

    parser = MultiPartParser(
        Headers({"content-type": _with_boundary_alone(content_type)}),
        stream(),
        max_fields=_MOST_FIELDS,
        max_part_size=len(body) + 1,
    )
    try:
        form = await parser.parse()
    except (MultiPartException, KeyError, ValueError) as error:
        raise InvalidInput(f"the form cannot be read: {getattr(error, 'message', error)}") from error
    parts: dict[str, Any] = {}
    try:
        for name, field in form.multi_items():
            if isinstance(field, str):
                parts[name] = field.encode()
            else:
                parts[name] = _value(await field.read(), (field.content_type or "").partition(";")[0].lower())
    finally:
        await form.close()
    return parts


def _with_boundary_alone(content_type: str) -> str:
    """The content type of a form without a charset: Python has some that take the square of a text's length.

    Raises:
        InvalidInput: it has no boundary, or one that no form can have.
    """
    boundary = str(parse_options_header(content_type)[1].get(b"boundary", b""), "latin-1")
    if not boundary or '"' in boundary or "\\" in boundary:
        raise InvalidInput(f"the form cannot be read: its content type is {quoted(content_type)}, without a boundary")
    return f'{_MULTIPART}; boundary="{boundary}"'


def _instance(parts: Mapping[str, Any]) -> Any:
    """The parts as an instance for a model that knows no requests."""
    known = {name: _jsonable(value) for name, value in parts.items()}
    for name in ("body", "data"):
        if name in known:
            return known[name]
    if not known:
        raise InvalidInput("the request is empty: send one instance as JSON")
    return known


def _jsonable(value: Any) -> Any:
    """Bytes as the JSON or the text that they hold, else in base64."""
    if not isinstance(value, bytes):
        return value
    check_size(value)
    for read in (orjson.loads, bytes.decode):
        try:
            return read(value)
        except ValueError:
            continue
    return {"b64": base64.b64encode(value).decode()}
