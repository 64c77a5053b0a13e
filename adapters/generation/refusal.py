"""Why a request for a text is refused, in words and in OpenAI's fields."""

from __future__ import annotations

import orjson

from adapters.base import InvalidInput, Reply

JSON_HEADERS = {"content-type": "application/json"}
TOO_LONG = "context_length_exceeded"

#: an HTTP status -> what OpenAI calls such errors
_TYPES = {429: "rate_limit_error", 503: "server_error"}


class RefusedJob(InvalidInput):
    """A request that is not carried out. The message names the field, the limit and the way out."""

    def __init__(self, message: str, param: str | None = None, code: str | None = None, status: int = 400) -> None:
        """`param` is the field, `code` OpenAI's word for the reason where clients look for it."""
        super().__init__(message)
        self.param = param
        self.code = code
        self.status = status


def refusal(error: InvalidInput) -> Reply:
    """The reply that refuses a job: OpenAI's error object."""
    refused = error if isinstance(error, RefusedJob) else RefusedJob(str(error))
    kind = _TYPES.get(refused.status, "invalid_request_error")
    told = {"message": str(refused), "type": kind, "param": refused.param, "code": refused.code}
    headers = JSON_HEADERS | {"retry-after": "1"} if refused.status == 429 else JSON_HEADERS
    return Reply(orjson.dumps({"error": told}), headers, refused.status)
