"""Why a request for a text is refused, in words and in OpenAI's fields."""

from __future__ import annotations

from typing import Any

import orjson

from adapters.base import InvalidInput, Reply

JSON_HEADERS = {"content-type": "application/json"}
TOO_LONG = "context_length_exceeded"

#: an HTTP status -> what OpenAI calls such errors
_TYPES = {429: "rate_limit_error", 500: "server_error", 501: "not_supported_error", 503: "server_error"}


class Refused(InvalidInput):
    """A request that is not carried out. The message names the field, the limit and the way out."""

    def __init__(self, message: str, param: str | None = None, code: str | None = None, status: int = 400) -> None:
        """`param` is the field, `code` OpenAI's word for the reason where clients look for it."""
        super().__init__(message)
        self.param = param
        self.code = code
        self.status = status


def refusal(error: InvalidInput, protocol: str) -> Reply:
    """The reply in the protocol: OpenAI's error object, KServe's, or the message of a status."""
    status = error.status if isinstance(error, Refused) else 400
    if protocol == "grpc":
        return Reply(str(error).encode(), {}, status)
    shown: Any = _openai(error, status) if protocol == "generation" else str(error)
    headers = JSON_HEADERS | {"retry-after": "1"} if status == 429 else JSON_HEADERS
    return Reply(orjson.dumps({"error": shown}), headers, status)


def _openai(error: InvalidInput, status: int) -> dict[str, str | None]:
    param, code = (error.param, error.code) if isinstance(error, Refused) else (None, None)
    kind = _TYPES.get(status, "invalid_request_error")
    return {"message": str(error), "type": kind, "param": param, "code": code}
