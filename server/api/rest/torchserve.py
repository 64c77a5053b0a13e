"""TorchServe's own routes, for its clients and probes.

    POST, PUT /predictions/{model}[/{version}]     one request of any content type -> one answer
    POST, PUT /explanations/{model}[/{version}]    the same, with the header that asks a handler to explain
    GET       /ping                                {"status": "Healthy"}

A model archive's handler gets the request as TorchServe would give it: the body, or a form's fields and the query's,
and the headers. For any other model the body is one instance: JSON, text, or bytes; the answer is its prediction.

Source: TorchServe's inference API.
"""

from __future__ import annotations

import base64
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, MutableMapping
from typing import Any, TypeAlias
from urllib.parse import parse_qsl

import orjson
from starlette.datastructures import Headers
from starlette.formparsers import MultiPartException, MultiPartParser

from adapters.base import Array, Signature, Tensors
from server.api.rest.asgi import sendable_headers
from server.codec import json_values, v1
from server.codec.outputs import dumps
from server.codec.request import DecodedRequest
from server.errors import JSON_HEADER, Header, InvalidInput, NotFound, NotSupported
from server.inference.passthrough_model import PassthroughModel
from server.inference.request import IsDisconnected
from server.inference.tensor_model import TensorModel
from server.repository.repository import Repository

Scope: TypeAlias = MutableMapping[str, Any]
Answer: TypeAlias = tuple[int, list[Header], bytes]
Handler: TypeAlias = Callable[[Scope, bytes, IsDisconnected], Awaitable[Answer]]

PREDICTIONS, EXPLANATIONS, PING = "/predictions/", "/explanations/", "/ping"
_PROTOCOL = "torchserve"  #: the metrics' word
_ENVELOPE, _HTTP = "envelope", "http"  #: the parameter of models that take whole requests as instances
_FORM, _MULTIPART = "application/x-www-form-urlencoded", "multipart/form-data"
_MOST_FIELDS = 1000


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

    async def _ping(self, scope: Scope, body: bytes, gone: IsDisconnected) -> Answer:
        if why := self._repository.why_not_ready():
            return 503, [JSON_HEADER], orjson.dumps({"status": "Unhealthy", "error": f"the server is not ready: {why}"})
        return 200, [JSON_HEADER], b'{"status":"Healthy"}'

    async def _predict(self, scope: Scope, body: bytes, gone: IsDisconnected) -> Answer:
        explain = scope["path"].startswith(EXPLANATIONS)
        name, named, version = scope["path"].split("/", 2)[2].partition("/")
        if not name:
            raise NotFound("the path names no model: /predictions/{model}")
        model = await self._repository.ready(name, version if named else None)
        headers = {str(key, "latin-1"): str(value, "latin-1") for key, value in scope["headers"]}
        parts = _query(scope) | await _parts(headers, body)
        if isinstance(model, TensorModel) and _takes_requests(model.signature):
            return await _by_handler(model, headers | ({"explain": "True"} if explain else {}), parts, len(body), gone)
        if explain:
            raise NotSupported(f"model {name!r} is no model archive: POST /v1/models/{name}:explain")
        instance = _instance(parts)
        if isinstance(model, PassthroughModel):
            return await _by_own_code(model, headers, instance, gone)
        return (
            200,
            [JSON_HEADER],
            await model.exchange(
                _PROTOCOL,
                len(body),
                lambda: v1.decode(_v1_body(instance), model.signature),
                _encoded(model, instance),
                gone,
            ),
        )


def _takes_requests(signature: Signature) -> bool:
    return any(known.name == _ENVELOPE and _HTTP in known.choices for known in signature.parameters)


async def _by_handler(
    model: TensorModel, headers: Mapping[str, str], parts: Mapping[str, Any], size: int, gone: IsDisconnected
) -> Answer:
    """The way of a model archive: the whole request as an instance, the whole answer as its prediction."""
    (spec,) = model.signature.inputs
    element = {"headers": dict(headers), "parts": dict(parts)}
    call = DecodedRequest({spec.name: json_values.array_of([element])}, 1, {_ENVELOPE: _HTTP})
    return await model.exchange(_PROTOCOL, size, lambda: call, lambda outputs, _: _answer(outputs), gone)


def _answer(outputs: Tensors) -> Answer:
    array: Array = next(iter(outputs.values()))
    told: dict[str, Any] = array[0]
    body, headers = told["body"], sendable_headers(told["headers"])
    kind = "application/json"
    if isinstance(body, bytes):
        kind = "application/octet-stream"
    elif isinstance(body, str):
        body, kind = body.encode(errors="replace"), "text/plain; charset=utf-8"
    else:
        body = dumps(body)
    if not any(name == b"content-type" for name, _ in headers):
        headers.append((b"content-type", kind.encode()))
    status = told["status"]
    return status if 200 <= status < 600 else 500, headers, body


async def _by_own_code(model: PassthroughModel, headers: dict[str, str], instance: Any, gone: IsDisconnected) -> Answer:
    """The way of a custom model: it gets V1, and what it answers beside one prediction stays as it is."""
    sent = {name: value for name, value in headers.items() if name not in ("content-type", "content-length")}
    body = orjson.dumps(_v1_body(instance))
    reply = await model.answer("predict", "v1", body, {**sent, "content-type": "application/json"}, gone)
    status = reply.status if 200 <= reply.status < 600 else 500
    return status, sendable_headers(reply.headers), reply.body if _is_v1(instance) else _only(reply.body)


def _encoded(model: TensorModel, instance: Any) -> Callable[[Tensors, DecodedRequest], bytes]:
    def encode(outputs: Tensors, call: DecodedRequest) -> bytes:
        body = v1.encode(outputs, model.signature, call)
        return body if _is_v1(instance) else _only(body)

    return encode


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
            return _urlencoded(body)
    return {"body": _value(body, kind)}


def _value(data: bytes, kind: str) -> Any:
    """JSON and text as such, where they are what they say; bytes otherwise."""
    try:
        if kind == "application/json":
            return orjson.loads(data)
        return data.decode() if kind.startswith("text/") else data
    except (orjson.JSONDecodeError, UnicodeDecodeError):
        return data


def _urlencoded(body: bytes) -> dict[str, Any]:
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError as error:
        raise InvalidInput(f"the body is no form: {error}; name its content type if it is something else") from error
    return {name: value.encode() for name, value in pairs}


async def _multipart(content_type: str, body: bytes) -> dict[str, Any]:
    async def stream() -> AsyncGenerator[bytes, None]:
        yield body
        yield b""

    parser = MultiPartParser(
        Headers({"content-type": content_type}), stream(), max_fields=_MOST_FIELDS, max_part_size=len(body) + 1
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
    for read in (orjson.loads, bytes.decode):
        try:
            return read(value)
        except ValueError:
            continue
    return {"b64": base64.b64encode(value).decode()}
