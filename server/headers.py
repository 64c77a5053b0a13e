"""Headers of answers: those that V2 asks for, and those that a model's own code wants sent."""

from __future__ import annotations

import re
from collections.abc import Mapping

from server.codec.v2 import HEADER_LENGTH
from server.errors import JSON_HEADER, Header

_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_OURS = frozenset({"content-length", "transfer-encoding", "connection", "keep-alive", "upgrade", "date", "server"})


def v2_headers(json_length: int | None) -> list[Header]:
    """Of a V2 answer: JSON, or JSON of that length with raw tensors behind it."""
    if json_length is None:
        return [JSON_HEADER]
    return [(b"content-type", b"application/octet-stream"), (HEADER_LENGTH, b"%d" % json_length)]


def sendable_headers(headers: Mapping[str, str]) -> list[Header]:
    """All but those that are the server's to say, as one line each."""
    texts = [(name.lower(), " ".join(value.split())) for name, value in headers.items() if _NAME.fullmatch(name)]
    return [(name.encode(), value.encode("latin-1", "replace")) for name, value in texts if name not in _OURS]
