"""A whole request through KServe's own data plane, as KServe's routes and its gRPC service take it there.

    bytes -> DataPlane.decode -> infer (the user's preprocess, predict, postprocess) -> encode -> bytes

Hooks that yield answer in parts (`streams`): what `predict` returns, a generator too, is what `postprocess` is given,
and what that returns is the answer, as in KServe. Headers are those that the hooks have set when they return: the body
of a generator runs later.

Kinder than KServe in three ways: what cannot be decoded is the client's fault (KServe answers 500 to some of it),
`curl -d` may leave out the content type of JSON, and a V2 answer that is a dict may leave out its id and model name.
"""

from __future__ import annotations

import inspect
import json
import uuid
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import orjson

from adapters.base import InvalidInput, Reply, ReplyStream, Request, StreamFailed
from adapters.custom_.generate import Form
from adapters.custom_.predictor import absence
from adapters.custom_.streams import END, EncodedParts, Items, items_of, only_item

LENGTH = "inference-header-content-length"
_JSON = "application/json"
_CURL = "application/x-www-form-urlencoded"  #: what `curl -d` calls everything
_DUMP = orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY

#: KServe's errors that are not a 500, by their names: each release may move them
_STATUS = {"ModelNotFound": 404, "UnsupportedProtocol": 501, "ModelNotReady": 503, "ServerNotReady": 503}


class Answers:
    """One model's answers. `dataplane` is a `kserve` DataPlane that has the model registered under its name."""

    def __init__(self, dataplane: Any, form: Form, hosts: tuple[str, ...] = ()) -> None:
        """`hosts` are the servers that KServe's own hooks call for the model (`predictor.hosts_of`)."""
        self._dataplane = dataplane
        self._hosts = hosts
        self._form = form
        self._name = form.model

    async def to(self, request: Request) -> Reply | ReplyStream:
        """The reply to a request; errors that name a status of their own are replies, too.

        Raises:
            InvalidInput: the client's fault.
            Exception: what the user's code raised.
        """
        try:
            await self._check_ready()
            if request.protocol == "grpc":
                return await self._grpc(request)
            if request.verb.startswith("generate"):
                return await self._generate(request)
            return await (self._v2(request) if request.protocol == "v2" else self._v1(request))
        except InvalidInput:
            raise
        except (Exception, SystemExit, KeyboardInterrupt) as error:
            if away := absence(error, self._hosts):
                status, text = away
                return _error(status, {"error": text}, text, request.protocol)
            return refusal(error, request.protocol)

    async def _check_ready(self) -> None:
        from kserve.errors import ModelNotReady

        ready = self._dataplane.model_registry.is_model_ready(self._name)
        if not (await ready if inspect.isawaitable(ready) else ready):
            raise ModelNotReady(self._name)

    async def _v1(self, request: Request) -> Reply | ReplyStream:
        headers = dict(request.headers)
        with _Decoding(request.body):
            payload, attributes = self._dataplane.decode(body=request.body, headers=_readable(request))
        result, extra = await self._call(request.verb, payload, headers)
        if (items := items_of(result)) is not None:
            return await _stream(items, _document, extra)
        body, more = self._dataplane.encode(self._name, result, headers, attributes)
        reply_headers = _headers({**extra, **more})
        if isinstance(body, bytes | str):
            return Reply(body if isinstance(body, bytes) else body.encode(), reply_headers)
        return Reply(orjson.dumps(body, option=_DUMP), {"content-type": _JSON, **reply_headers})

    async def _v2(self, request: Request) -> Reply:
        headers = dict(request.headers)
        with _Decoding(request.body):
            payload = _infer_request(request.body, headers.get(LENGTH), self._name)
        result, extra = await self._call(request.verb, payload, headers)
        if (items := items_of(result)) is not None:
            return await self._refused(items, "HTTP end point", f"/v2/models/{self._name}/generate_stream", "v2")
        answer, more = self._dataplane.encode(self._name, result, headers, {})
        reply_headers = _headers({**extra, **more})
        if isinstance(answer, bytes):
            return Reply(answer, {**reply_headers, "content-type": "application/octet-stream"})
        body = orjson.dumps(self._inference_response(answer, payload), option=_DUMP)
        return Reply(body, {**reply_headers, "content-type": _JSON})

    async def _generate(self, request: Request) -> Reply | ReplyStream:
        payload = self._form.request(request.body)
        result, extra = await self._call(request.verb, payload, dict(request.headers))
        items, encode = items_of(result), partial(self._form.document, request=payload)
        if items is not None and request.verb == "generate_stream":
            return await _stream(items, encode, extra)
        if items is not None and (result := await only_item(items)) is END:
            raise InvalidInput(
                "generate expects model to produce exactly 1 response, use generate_stream for a model that generates"
                " various numbers of responses"
            )
        return Reply(encode(result), {**_headers(extra), "content-type": _JSON})

    async def _refused(self, items: Items, what: str, instead: str, protocol: str) -> Reply:
        """A stream where the client takes one answer."""
        await items.close()
        text = f"{what} doesn't support models with decoupled transaction policy: {self._name!r} answers in parts;"
        return _error(501, {"error": f"{text} ask {instead}"}, f"{text} ask {instead}", protocol)

    async def _grpc(self, request: Request) -> Reply | ReplyStream:
        from kserve import InferRequest, InferResponse
        from kserve.protocol.grpc.grpc_predict_v2_pb2 import ModelInferRequest, ModelInferResponse
        from kserve.protocol.grpc.servicer import InferenceServicer

        with _Decoding(request.body):
            message = ModelInferRequest.FromString(request.body)
            InferenceServicer.validate_grpc_request(message)
            payload = InferRequest.from_grpc(message)
        result, _ = await self._call(request.verb, payload, dict(request.headers))
        message_of = partial(self._form.message, request=payload, raw=bool(message.raw_input_contents))
        if (items := items_of(result)) is not None:
            if request.verb != "stream":
                return await self._refused(items, "ModelInfer RPC", "ModelStreamInfer", "grpc")
            return await _stream(items, message_of, {})
        if request.verb == "stream":
            return Reply(message_of(result), {})
        if isinstance(result, InferResponse):
            result = result.to_grpc()
        elif not isinstance(result, ModelInferResponse):
            fields = self._named(result, payload)
            result = ModelInferResponse(**{key: fields[key] for key in ("id", "model_name", "outputs")})
        return Reply(result.SerializeToString(), {})

    async def _call(self, verb: str, payload: Any, headers: dict[str, str]) -> tuple[Any, Mapping[str, str]]:
        """What the user's hooks return, and the headers that they want sent."""
        ask = self._dataplane.explain if verb == "explain" else self._dataplane.infer
        try:
            result, extra = await ask(self._name, payload, dict(headers))
        except NotImplementedError as error:
            if "explainer_host" not in str(error):
                raise
            # KServe's own `explain`, which looks for a server that nobody asked for
            text = f"model {self._name!r} does not explain its predictions: its class has no explain()"
            raise NotImplementedError(text) from error
        if headers.items() <= extra.items():  # some of KServe's methods send all of them back
            extra = {key: value for key, value in extra.items() if headers.get(key) != value}
        return result, extra

    def _inference_response(self, answer: Any, payload: Any) -> dict[str, Any]:
        """A V2 answer with all its fields, checked as KServe checks it."""
        from kserve.protocol.rest.v2_datamodels import InferenceResponse

        checked: dict[str, Any] = InferenceResponse.model_validate(self._named(answer, payload)).model_dump()
        return checked

    def _named(self, answer: Any, payload: Any) -> dict[str, Any]:
        if not isinstance(answer, dict) or "outputs" not in answer:
            held = (
                f"an object of {', '.join(map(str, answer)) or 'nothing'}" if isinstance(answer, dict) else "no object"
            )
            raise TypeError(f"the model answered a V2 request with {held}: V2 needs an InferResponse, or its 'outputs'")
        named = {"model_name": self._name, **answer}
        named["id"] = named.get("id") or payload.id or str(uuid.uuid4())
        return named


async def _stream(items: Items, encode: Callable[[Any], bytes], headers: Mapping[str, Any]) -> ReplyStream:
    """The stream, once its first part is made."""
    parts = await EncodedParts(items, encode, _midway).begin()
    return ReplyStream(parts, {**_headers(headers), "content-type": _JSON})


def _document(item: Any) -> bytes:
    """One item of a V1 stream; bytes are a document that the model has encoded itself."""
    from kserve import InferResponse

    if isinstance(item, bytes):
        return item
    return orjson.dumps(item.to_rest()[0] if isinstance(item, InferResponse) else item, _of_pydantic, _DUMP)


def _of_pydantic(value: Any) -> Any:
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    raise TypeError(f"Type is not JSON serializable: {type(value).__name__}")


def _midway(error: BaseException) -> Exception:
    """What to raise for an error after the first part, when a reply of its own can no longer be sent."""
    try:
        reply = refusal(error, "grpc")
    except Exception as raised:
        return raised
    text = reply.body.decode()
    return InvalidInput(text) if reply.status < 500 else StreamFailed(text)


def refusal(error: BaseException, protocol: str) -> Reply:
    """The reply that an error asks for itself.

    Raises:
        InvalidInput: KServe's error of that name.
        Exception: the error itself, when it asks for none.
    """
    from kserve import errors
    from starlette.exceptions import HTTPException

    if isinstance(error, errors.InvalidInput):
        raise InvalidInput(str(error)) from error
    if isinstance(error, HTTPException):
        text = error.detail if isinstance(error.detail, str) else orjson.dumps(error.detail, default=str).decode()
        return _error(error.status_code, {"detail": error.detail}, text, protocol, error.headers)
    status = 501 if isinstance(error, NotImplementedError) else _STATUS.get(type(error).__name__, 500)
    if status != 500:
        text = str(error) or "the model does not implement this"
        return _error(status, {"error": text}, text, protocol)
    if isinstance(error, SystemExit):  # it would end the worker, and every request in it
        raise RuntimeError(f"the model's code called sys.exit({error.code})") from error  # noqa: TRY004
    if isinstance(error, KeyboardInterrupt):
        raise RuntimeError("the model's code raised KeyboardInterrupt") from error  # noqa: TRY004
    raise error


def _error(status: int, content: Any, text: str, protocol: str, headers: Mapping[str, str] | None = None) -> Reply:
    if protocol == "grpc":
        return Reply(text.encode(), {}, status)
    return Reply(orjson.dumps(content, default=str), {**_headers(headers or {}), "content-type": _JSON}, status)


class _Decoding:
    """Whatever KServe trips over while it reads a request is the client's fault."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: Any, error: BaseException | None, __: Any) -> None:
        if not isinstance(error, Exception):
            return
        missing = f"the field {error} is missing" if isinstance(error, KeyError) else str(error)
        if (hint := _beyond_json(self._body)) or not isinstance(error, InvalidInput):
            raise InvalidInput(missing + hint) from error


def _beyond_json(body: bytes) -> str:
    """What to say of a body that is JSON but for a number that JSON has not, as Python writes it."""
    if b"NaN" not in body and b"Infinity" not in body:
        return ""
    found: list[str] = []
    try:
        json.loads(body, parse_constant=found.append)
    except (ValueError, RecursionError):
        return ""
    return f"; {found[0]} is not JSON: send null for a missing value" if found else ""


def _infer_request(body: bytes, json_length: str | None, name: str) -> Any:
    """A V2 request, checked as KServe's routes check it."""
    from kserve import InferInput, InferRequest
    from kserve.protocol.rest.v2_datamodels import InferenceRequest
    from pydantic import ValidationError

    if json_length is not None:
        return InferRequest.from_bytes(body, int(json_length), name)
    try:
        request = InferenceRequest.model_validate(orjson.loads(body))
    except orjson.JSONDecodeError as error:
        raise InvalidInput(f"Unrecognized request format: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the body"
        raise InvalidInput(f"{where}: {first['msg']}") from error
    if hasattr(InferRequest, "from_inference_request"):
        return InferRequest.from_inference_request(request, name)
    inputs = [  # before KServe 0.14
        InferInput(each.name, each.shape, each.datatype, each.data, each.parameters or {}) for each in request.inputs
    ]
    return InferRequest(name, inputs, request.id, parameters=request.parameters)


def _readable(request: Request) -> dict[str, str]:
    """The headers as KServe's decoder should see them: it knows `application/json`, without parameters, only."""
    headers = dict(request.headers)
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == _CURL and request.body.lstrip()[:1] == b"{":
        kind = _JSON
    if kind:
        headers["content-type"] = kind
    return headers


def _headers(headers: Mapping[str, Any]) -> dict[str, str]:
    """Names in lower case; the length is the server's to say."""
    sent = {str(key).lower(): str(value) for key, value in headers.items()}
    return {
        key: value for key, value in sent.items() if key not in ("content-length", "transfer-encoding", "connection")
    }
