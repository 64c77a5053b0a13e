"""What the head of a request asks for, understood once: a client repeats its head, byte by byte, with every request.

Only the plainest requests are recognised here: a POST to V1 predict or V2 infer with a short body of a declared
length, on a connection that stays open. The same parser as uvicorn's reads them, so that both understand the same.
`codec/fast/grpc_templates.py` explains the idea, which it has for gRPC.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import httptools

from server.api.rest.content_coding import asks_for
from server.api.rest.paths import parse
from server.codec.v2 import HEADER_LENGTH

#: heads that are remembered, and the bytes of one: clients that never repeat one must not fill the memory
MAX_HEADS, MAX_HEAD = 1024, 2048
#: bytes of a body
MAX_BODY = 64 * 1024

#: headers that make a request another's: of CloudEvents, of pages in browsers, and all that changes how a body comes
_OTHERS = {b"expect", b"transfer-encoding", b"upgrade", b"content-encoding", b"origin"}


@dataclass(frozen=True, slots=True)
class ParsedHead:
    """A request whose body is all that is left to be read."""

    protocol: str  #: "v1" or "v2"
    model: str
    version: str | None  #: as the path names it; None where it names none
    length: int  #: bytes of the body
    json_length: str | None  #: V2's header for raw tensors
    headers: tuple[tuple[bytes, bytes], ...]
    path: bytes


class HeadCache:
    """Heads by their bytes."""

    def __init__(self, max_head_bytes: int = 64 * 1024, max_headers: int = 256) -> None:
        """Heads beyond these limits are no plain requests: who reads those refuses them."""
        self._max_bytes, self._max_headers = max_head_bytes, max_headers
        self._known: dict[bytes, ParsedHead | None] = {}

    def parse(self, head: bytes) -> ParsedHead | None:
        """What the head (its empty line included) asks for; None: not a plain request."""
        try:
            return self._known[head]
        except KeyError:
            parsed = _understand(head, self._max_headers) if len(head) <= self._max_bytes else None
        if len(head) <= MAX_HEAD:
            if len(self._known) >= MAX_HEADS:
                self._known.clear()
            self._known[head] = parsed
        return parsed


class _Collector:
    """Takes what the parser finds."""

    def __init__(self) -> None:
        self.url = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.complete = False

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self.complete = True


def _understand(head: bytes, max_headers: int) -> ParsedHead | None:
    found = _Collector()
    parser: Any = httptools.HttpRequestParser(found)
    try:
        parser.feed_data(head)
    except (httptools.HttpParserError, httptools.HttpParserUpgrade):
        return None
    if len(found.headers) > max_headers:
        return None
    plain = found.complete and parser.get_method() == b"POST" and parser.get_http_version() == "1.1"
    if not plain or not parser.should_keep_alive() or parser.should_upgrade():
        return None
    names = [name for name, _ in found.headers]
    if any(name == b"accept-encoding" and asks_for(value) for name, value in found.headers):
        return None
    if _OTHERS & set(names) or names.count(b"content-length") != 1 or is_cloudevent(found.headers):
        return None
    length = dict(found.headers)[b"content-length"]
    if not length.isdigit() or len(length) > 6 or not 0 < int(length) <= MAX_BODY:
        return None
    return _parsed(found, int(length))


def _parsed(found: _Collector, length: int) -> ParsedHead | None:
    path = found.url
    if not path.isascii() or b"%" in path or b"?" in path or b"#" in path:
        return None
    asked = parse(path.decode())
    if asked is None or asked.verb != "predict":
        return None
    headers = tuple(found.headers)
    json_length = next((value.decode("latin-1") for key, value in headers if key == HEADER_LENGTH), None)
    return ParsedHead(asked.protocol, asked.model, asked.version, length, json_length, headers, path)


def is_cloudevent(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """CloudEvents, binary (`ce-*` headers) or structured, are KServe's to decode."""
    return any(
        name.startswith(b"ce-") or (name == b"content-type" and value.lower().startswith(b"application/cloudevents"))
        for name, value in headers
    )
