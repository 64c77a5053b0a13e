"""The header blocks of answers: constant bytes, and metadata as literals, which mean the same on every connection."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from functools import cache

import grpc

from server.api.http2.hpack import indexed, literal

#: bytes that a block of ours may have: every client takes a frame of that size
_LARGEST = 16_384
#: of grpc-message: what is sent as it is
_PLAIN = frozenset(range(0x20, 0x7F)) - {0x25}

_STATUS_200, _CONTENT_TYPE = indexed(8), literal(b"content-type", b"application/grpc")
_ACCEPTED = literal(b"grpc-accept-encoding", b"identity, deflate, gzip")

#: the head of an answer that has no metadata
HEAD = _STATUS_200 + _CONTENT_TYPE + _ACCEPTED
#: the end of an answer, and all is well
OK_TRAILERS = literal(b"grpc-status", b"0") + literal(b"grpc-message", b"")


@cache
def head(encoding: str) -> bytes:
    """The head of an answer whose messages are compressed; "": they are not."""
    return HEAD + literal(b"grpc-encoding", encoding.encode()) if encoding else HEAD


def metadata(pairs: Iterable[tuple[str, str | bytes]]) -> bytes:
    """Metadata as it stands in a block."""
    return b"".join(literal(name.lower().encode("latin-1", "replace"), _value(name, value)) for name, value in pairs)


def trailers(status: str, details: str, pairs: Iterable[tuple[str, str | bytes]] = ()) -> bytes:
    """The end of an answer; `status` is the name of a `grpc.StatusCode`. Metadata that fits no frame is left out."""
    block = literal(b"grpc-status", b"%d" % grpc.StatusCode[status].value[0])
    block += literal(b"grpc-message", escaped(details))
    more = metadata(pairs)
    return block + more if len(block) + len(more) <= _LARGEST else block


def only_trailers(http: int, block: bytes) -> bytes:
    """An answer without a message: `block` is what `trailers` gave."""
    status = _STATUS_200 if http == 200 else literal(b":status", b"%d" % http)
    return status + _CONTENT_TYPE + block


def escaped(text: str) -> bytes:
    """A text as `grpc-message` has it: in UTF-8, and all that is no printable ASCII by percent signs; cut at 8 KiB."""
    encoded = text.encode("utf-8", "replace")
    return b"".join(b"%c" % byte if byte in _PLAIN else b"%%%02X" % byte for byte in encoded)[: _LARGEST // 2]


def _value(name: str, value: str | bytes) -> bytes:
    if name.endswith("-bin"):
        raw = value if isinstance(value, bytes) else value.encode()
        return base64.b64encode(raw).rstrip(b"=")
    return value if isinstance(value, bytes) else value.encode("latin-1", "replace")
