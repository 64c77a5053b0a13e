"""Errors as OpenAI's clients read them: `{"error": {"message": ..., "type": ..., "param": ..., "code": ...}}`."""

from __future__ import annotations

from typing import Any

import orjson

from server import errors
from server.errors import InvalidInput, ServingError, message, respond
from server.inference.answer import Answer

#: an HTTP status -> what OpenAI calls such errors
_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error", 501: "not_supported_error"}
_CODES = {errors.QueueFull: "queue_full", errors.NotReady: "model_not_ready"}


class FieldRefused(InvalidInput):
    """A request's field is wrong, or is not served."""

    def __init__(self, text: str, param: str | None, code: str | None = None) -> None:
        super().__init__(text)
        self.param = param
        self.code = code


class ModelUnknown(errors.NotFound):
    """There is no such model, or it is none of language."""

    param = "model"
    code = "model_not_found"


def error_document(error: ServingError) -> dict[str, Any]:
    """The error as a body, or as an event of a stream."""
    code = getattr(error, "code", None) or _CODES.get(type(error))
    return _document(message(error), error.status, getattr(error, "param", None), code)


def error_answer(error: ServingError) -> Answer:
    """The answer to a request that ends in this error."""
    status, headers, _ = respond(error)
    return Answer(status, headers, orjson.dumps(error_document(error)))


def in_openai_shape(answer: Answer) -> Answer:
    """An answer with an error of KServe's shape, as OpenAI's; any other as it is."""
    if answer.status < 400:
        return answer
    try:
        told = orjson.loads(answer.body)["error"]
    except (ValueError, KeyError, TypeError):
        return answer
    if not isinstance(told, str):
        return answer
    return answer._replace(body=orjson.dumps(_document(told, answer.status, None, None)))


def _document(text: str, status: int, param: str | None, code: str | None) -> dict[str, Any]:
    kind = _TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
    return {"error": {"message": text, "type": kind, "param": param, "code": code}}
