"""A request's head over HTTP/2 in HTTP/1.1's form, and an answer's the other way round.

What a field of one connection alone says (`Connection`, `Transfer-Encoding`, ...) stays behind. A head that HTTP/1.1
could read as another one is none: HTTP/2 lets a path hold spaces, which end it there.

Source: RFC 9113, 8.2.2, 8.2.3, 8.3; RFC 9112, 3.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from server.api.http2.hpack import Field, literal
from server.api.http2.request_head import HOP_BY_HOP, MalformedHead, RequestHead

_METHOD = re.compile(rb"[A-Z][A-Z-]{0,31}")
#: a path of the server's own, or `*`: visible letters, as HTTP/1.1 has it
_TARGET = re.compile(rb"/[\x21-\x7e\x80-\xff]*|\*")
_HOST = re.compile(rb"[^\x00-\x20\x7f/]+")
_CONTROLS = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
#: in words of HTTP/1.1's own: what is sent of the body says them
_FRAMING = frozenset((b"content-length", b"host", b"te", b"cookie"))


@dataclass(frozen=True, slots=True)
class Http1Head:
    """Of all requests whose header block is the same."""

    lines: bytes  #: but for the last one, and what says how long the body is
    length: int | None  #: bytes of the body, where it says so
    is_head: bool  #: the answer has no body, whatever its length says

    def bytes(self, ended: bool) -> bytes:
        """The head; `ended`: there is no body."""
        if self.length is not None:
            return b"%bcontent-length: %d\r\n\r\n" % (self.lines, self.length)
        return self.lines + (b"\r\n" if ended else b"transfer-encoding: chunked\r\n\r\n")


def http1_head(head: RequestHead) -> Http1Head:
    """
    Raises:
        MalformedHead: HTTP/1.1 has no words for it.
    """
    if not _METHOD.fullmatch(head.method) or head.method == b"CONNECT":
        raise MalformedHead("the method is none of HTTP/1.1's, or asks for a tunnel")
    if not _TARGET.fullmatch(head.path):
        raise MalformedHead("the path does not begin with a slash, or holds white space")
    named = [value for name, value in head.fields if name == b"host"]
    host = head.authority or b"".join(named[:1])  # where both are there, whoever is on the way may believe the other
    if len(named) > 1 or any(each.lower() != host.lower() for each in named) or not _HOST.fullmatch(host):
        raise MalformedHead("a request names one host")
    lines = [b"%b %b HTTP/1.1\r\nhost: %b\r\n" % (head.method, head.path, host)]
    for name, value in head.fields:
        if _CONTROLS.search(value):
            raise MalformedHead(f"the value of {name!r} holds what HTTP/1.1 has no words for")
        if name not in _FRAMING:
            lines.append(b"%b: %b\r\n" % (name, value))
    if crumbs := [value for name, value in head.fields if name == b"cookie"]:
        lines.append(b"cookie: %b\r\n" % b"; ".join(crumbs))
    return Http1Head(b"".join(lines), head.length, head.method == b"HEAD")


def answer_block(status: int, fields: Iterable[Field]) -> bytes:
    """The header block of an answer."""
    block = literal(b":status", b"%d" % status)
    return block + b"".join(literal(name, value) for name, value in _lowered(fields) if name not in HOP_BY_HOP)


def _lowered(fields: Iterable[Field]) -> Iterable[Field]:
    return ((name.lower(), value) for name, value in fields)
