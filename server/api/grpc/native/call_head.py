"""The head of a call: its method, metadata and deadline, and how its messages are compressed.

What gRPC itself says in a head is taken out of the metadata, as grpc.aio does it. A head that is wrong is refused with
the status and in the words of grpc.aio, where it is that which clients have met so far.

Source: gRPC's PROTOCOL-HTTP2.md.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from server.api import request_ids
from server.api.http2.hpack import Field
from server.api.http2.request_head import RequestHead, request_head

#: gRPC's own, or HTTP's: no metadata
_OWN = frozenset(
    (
        *(b"te", b"content-type", b"grpc-timeout", b"grpc-encoding", b"grpc-accept-encoding"),
        *(b"grpc-tags-bin", b"grpc-trace-bin"),
    )
)
ENCODINGS = ("identity", "deflate", "gzip")
_GRPC = re.compile(rb"application/grpc(?:[+;].*)?", re.DOTALL)  #: but for gRPC-Web, which is another protocol
_TIMEOUT = re.compile(rb"([0-9]{1,9})([HMSmun])")
_SECONDS = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}


class Refusal(NamedTuple):
    """What a call is answered that goes nowhere."""

    status: str  #: the name of a `grpc.StatusCode`
    details: str
    http: int = 200


@dataclass(frozen=True, slots=True)
class CallHead:
    """A head as it was understood; one for all calls whose header block is the same."""

    method: str  #: its path
    metadata: tuple[tuple[str, str | bytes], ...] = ()
    timeout: float | None = None  #: seconds
    encoding: str = ""  #: of messages that are compressed; "": none may be
    accepts: frozenset[str] = frozenset()  #: how answers may be compressed
    has_id: bool = False  #: it has an `x-request-id`
    authority: str = ""  #: the server's name, as the client has it
    refusal: Refusal | None = None


def is_grpc(fields: Sequence[Field]) -> bool:
    """Whether a head is that of a call, as its content type says."""
    return any(name == b"content-type" and _GRPC.fullmatch(value) for name, value in fields)


def call_head(fields: Sequence[Field]) -> tuple[CallHead, int | None]:
    """A head, and how many bytes its body has, where it says so.

    Raises:
        MalformedHead: it is none of HTTP.
    """
    head = request_head(fields)
    method = str(head.path, "latin-1")
    if head.method != b"POST":
        return CallHead(method, refusal=Refusal("UNIMPLEMENTED", "gRPC is asked by POST", 405)), None
    try:
        return _of(method, head), head.length
    except _Wrong as error:
        return CallHead(method, refusal=Refusal("INTERNAL", str(error))), head.length


def too_large(most: int) -> tuple[CallHead, None]:
    """What stands for a head of more than `most` bytes."""
    why = f"the metadata of a call may come to {most} bytes, 32 counted with each: send less"
    return CallHead("", refusal=Refusal("RESOURCE_EXHAUSTED", why)), None


class _Wrong(Exception):
    """A field of gRPC's own is none."""


def _of(method: str, head: RequestHead) -> CallHead:
    timeout, encoding, accepts, metadata, has_id = None, "", frozenset[str](), [], False
    for name, value in head.fields:
        if name not in _OWN:
            key = str(name, "latin-1")
            metadata.append((key, _binary(key, value) if key.endswith("-bin") else str(value, "latin-1")))
            has_id = has_id or key == request_ids.NAME
        elif name == b"grpc-timeout":
            timeout = _timeout(value)
        elif name == b"grpc-encoding":
            encoding = _encoding(value)
        elif name == b"grpc-accept-encoding":
            accepts = frozenset(each.strip() for each in str(value, "latin-1").split(","))
    authority = str(head.authority, "latin-1")
    return CallHead(method, tuple(metadata), timeout, encoding, accepts, has_id, authority)


def _timeout(value: bytes) -> float:
    found = _TIMEOUT.fullmatch(value)
    if found is None:
        raise _Wrong("Error parsing 'grpc-timeout' metadata")
    return int(found[1]) * _SECONDS[found[2]]


def _encoding(value: bytes) -> str:
    encoding = str(value, "latin-1")
    if encoding not in ENCODINGS:
        raise _Wrong("Error parsing 'grpc-encoding' metadata")
    return "" if encoding == "identity" else encoding


def _binary(key: str, value: bytes) -> bytes:
    try:
        return base64.b64decode(value + b"=" * (-len(value) % 4), validate=True)
    except binascii.Error as error:
        raise _Wrong(f"Error parsing '{key}' metadata: illegal base64 encoding") from error
