"""What a model answers: a whole body, or parts as they come."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from adapters.base import Parts
from server.codec.v2 import HEADER_LENGTH
from server.errors import JSON_HEADER, Header

#: headers that are the server's to say
_OURS = frozenset({"content-length", "transfer-encoding", "connection", "keep-alive", "upgrade", "date", "server"})
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")

#: of an answer in JSON; one list for all, which nobody may change
JSON_HEADERS: list[Header] = [JSON_HEADER]


class Answer(NamedTuple):
    """A whole answer. Over gRPC the body is the serialized message, and neither status nor headers count."""

    status: int
    headers: list[Header]
    body: bytes


@dataclass(frozen=True, slots=True)
class StreamedAnswer:
    """An answer in parts: JSON documents, or serialized messages, which the protocol's shell frames.

    Whoever takes it closes it in the end, which ends the model's work within one part. What the iterator raises is a
    `ServingError`.
    """

    headers: list[Header]
    parts: Parts

    async def close(self) -> None:
        """End the model's work, unless it has come to its end."""
        await self.parts.aclose()


def v2_headers(json_length: int | None) -> list[Header]:
    """Of a V2 answer: JSON, or JSON of that length with raw tensors behind it."""
    if json_length is None:
        return JSON_HEADERS
    return [(b"content-type", b"application/octet-stream"), (HEADER_LENGTH, b"%d" % json_length)]


def sendable_headers(headers: Mapping[str, str]) -> list[Header]:
    """Headers that a model's own code wants sent: all but those that are the server's to say, as one line each."""
    texts = [(name.lower(), " ".join(value.split())) for name, value in headers.items() if _NAME.fullmatch(name)]
    return [(name.encode(), value.encode("latin-1", "replace")) for name, value in texts if name not in _OURS]


def sendable_status(status: int) -> int:
    """The status that a model's own code wants sent, where it is one of an answer."""
    return status if 200 <= status < 600 else 500
