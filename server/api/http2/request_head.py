"""The head of a request, checked as HTTP has it: pseudo-fields first and once, names in lower case, nothing of HTTP/1.

Source: RFC 9113, 8.2 and 8.3.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from server.api.http2.hpack import Field


class MalformedHead(Exception):
    """It is no head of a request."""


_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")
#: what a value may not hold: it would end a line, or be cut, elsewhere (white space around one is let through, as
#: clients of gRPC send it)
_BAD_VALUE = re.compile(rb"[\x00\r\n]")
_PSEUDO = frozenset((b":method", b":scheme", b":path", b":authority"))
#: of one connection of HTTP/1, whichever way they go
HOP_BY_HOP = frozenset((b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"))


@dataclass(frozen=True, slots=True)
class RequestHead:
    """A head as it came."""

    method: bytes
    path: bytes
    authority: bytes  #: b"": none
    fields: tuple[Field, ...]  #: but for pseudo-fields
    length: int | None  #: bytes of the body, where it says so


def request_head(fields: Sequence[Field]) -> RequestHead:
    """
    Raises:
        MalformedHead
    """
    pseudo: dict[bytes, bytes] = {}
    regular: list[Field] = []
    length = None
    for name, value in fields:
        if name.startswith(b":"):
            if regular or name in pseudo or name not in _PSEUDO:
                raise MalformedHead(f"{name!r} is no pseudo-field of a request, is there twice, or comes too late")
            pseudo[name] = value
        else:
            _check(name, value)
            if name == b"content-length":
                length = _length(length, value)
            regular.append((name, value))
    if not (pseudo.get(b":method") and pseudo.get(b":path") and pseudo.get(b":scheme")):
        raise MalformedHead("a request has :method, :scheme and :path")
    if any(_BAD_VALUE.search(value) for value in pseudo.values()):
        raise MalformedHead("a pseudo-field holds what no field may")
    return RequestHead(pseudo[b":method"], pseudo[b":path"], pseudo.get(b":authority", b""), tuple(regular), length)


def check_trailers(fields: Sequence[Field]) -> None:
    """
    Raises:
        MalformedHead: a pseudo-field is among them, or what may stand nowhere.
    """
    for name, value in fields:
        _check(name, value)


def _check(name: bytes, value: bytes) -> None:
    if not _NAME.fullmatch(name):
        raise MalformedHead(f"{name!r} is no name of a field")
    if _BAD_VALUE.search(value):
        raise MalformedHead(f"the value of {name!r} holds what no field may")
    if name in HOP_BY_HOP or (name == b"te" and value != b"trailers"):
        raise MalformedHead(f"{name!r} is HTTP/1's")


def _length(known: int | None, value: bytes) -> int:
    if not value.isdigit() or len(value) > 18 or known not in (None, int(value)):
        raise MalformedHead("content-length is no number, or two")
    return int(value)
