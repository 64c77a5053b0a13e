"""What the head of a request asks for, understood once: a client repeats its head, byte by byte, with every request.

Only the plainest requests are recognised here: a POST to V1 predict or V2 infer with a body of a declared length, on a
connection that stays open. The same parser as uvicorn's reads them, so that both understand the same.
`codec/fast/grpc_templates.py` explains the idea, which it has for gRPC.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import httptools

from server.api import request_ids
from server.api.credentials import CARRIERS
from server.api.rest.answer_coding import ACCEPTED, OFFERED, accepted
from server.api.rest.charsets import CONTENT_TYPE, charset_of
from server.api.rest.named_host import one_host
from server.api.rest.paths import parse
from server.codec.v2 import HEADER_LENGTH
from server.errors import InvalidInput, UnsupportedMediaType

#: heads that are remembered, and the bytes of one: clients that never repeat one must not fill the memory
MAX_HEADS, MAX_HEAD = 1024, 2048
#: bytes of a body; and of one that is small
MAX_BODY, SMALL_BODY = 64 * 2**20, 64 * 1024
_DIGITS = len(str(MAX_BODY))

#: headers that are other ones with every request, and change nothing in how it is understood
_VARYING = re.compile(rb"\r\n(x-request-id|traceparent|tracestate):([^\r\n]*+)(?=\r\n)", re.IGNORECASE)
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
    headers: tuple[tuple[bytes, bytes], ...]  #: as the model is shown them
    path: bytes
    sent: tuple[tuple[bytes, bytes], ...] = ()  #: as they came
    coding: str = ""  #: that a large answer may be compressed in
    request_id: bytes = b""

    def identified(self, request_id: bytes) -> ParsedHead:
        """The same with an identifier of its own."""
        header = (request_ids.HEADER, request_id)
        return replace(self, request_id=request_id, headers=(*self.headers, header), sent=(*self.sent, header))


@dataclass(frozen=True, slots=True)
class HeadRules:
    """What a server was told about heads."""

    root: bytes = b""  #: what may stand before every path
    make_ids: bool = False  #: requests without an identifier get one
    hide_credentials: bool = False  #: what a client proves itself by is not for models


class HeadCache:
    """Heads by their bytes."""

    def __init__(self, max_head_bytes: int = 64 * 1024, max_headers: int = 256, rules: HeadRules | None = None) -> None:
        """Heads beyond these limits are no plain requests: who reads those refuses them."""
        self._max_bytes, self._max_headers = max_head_bytes, max_headers
        self._rules = rules or HeadRules()
        self._known: dict[bytes, ParsedHead | None] = {}

    def parse(self, head: bytes) -> ParsedHead | None:
        """What the head (its empty line included) asks for; None: not a plain request."""
        try:
            return self._known[head]
        except KeyError:
            if len(head) <= self._max_bytes and _VARYING.search(head) is not None:
                return self._varying(head)
            return self._read(head)

    def _varying(self, head: bytes) -> ParsedHead | None:
        """A head whose only difference from the last may be its identifier, or its place in a trace."""
        found = [(name.lower(), value.strip(b" \t")) for name, value in _VARYING.findall(head)]
        ids = [value for name, value in found if name == request_ids.HEADER]
        if len(ids) > 1 or (ids and not request_ids.is_valid(str(ids[0], "latin-1"))):
            return None
        alike = _VARYING.sub(b"", head)
        parsed = self._known[alike] if alike in self._known else self._read(alike)
        if parsed is None or len(parsed.sent) + len(found) > self._max_headers:
            return None
        extra = tuple(found)
        known = ids[0] if ids else b""
        return replace(parsed, request_id=known, headers=(*parsed.headers, *extra), sent=(*parsed.sent, *extra))

    def _read(self, head: bytes) -> ParsedHead | None:
        whole = len(head) <= self._max_bytes
        parsed = _understand(head, self._max_headers, self._rules) if whole else None
        if len(head) <= MAX_HEAD:
            if len(self._known) >= MAX_HEADS:
                self._known.clear()
            self._known[head] = parsed
        return parsed


class IdentifyingHeadCache(HeadCache):
    """Gives each request an identifier that has none."""

    def parse(self, head: bytes) -> ParsedHead | None:
        parsed = super().parse(head)
        if parsed is None or parsed.request_id:
            return parsed
        return parsed.identified(request_ids.made().encode())


def head_cache(max_head_bytes: int, max_headers: int, rules: HeadRules) -> HeadCache:
    """The one that keeps to the rules; what is not asked for costs nothing."""
    kind = IdentifyingHeadCache if rules.make_ids else HeadCache
    return kind(max_head_bytes, max_headers, rules)


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


def _understand(head: bytes, max_headers: int, rules: HeadRules) -> ParsedHead | None:
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
    try:
        one_host(found.url, parser.get_http_version(), found.headers)
    except InvalidInput:  # who reads it refuses it
        return None
    if _OTHERS & set(names) or names.count(b"content-length") != 1 or is_cloudevent(found.headers):
        return None
    length = dict(found.headers)[b"content-length"]
    if not length.isdigit() or len(length) > _DIGITS or not 0 < int(length) <= MAX_BODY:
        return None
    return _parsed(found, int(length), rules)


def _parsed(found: _Collector, length: int, rules: HeadRules) -> ParsedHead | None:
    path = found.url
    if not path.isascii() or b"%" in path or b"?" in path or b"#" in path:
        return None
    if rules.root and path.startswith(rules.root + b"/"):
        path = path[len(rules.root) :]
    asked = parse(path.decode())
    if asked is None or asked.verb != "predict" or not _is_utf8(found.headers):
        return None
    wanted = next((accepted(str(value, "latin-1")) for name, value in found.headers if name == ACCEPTED), None)
    if wanted is not None and wanted.coding and wanted.least < OFFERED:  # every answer is compressed
        return None
    sent = tuple(found.headers)
    shown = tuple(each for each in sent if each[0] not in CARRIERS) if rules.hide_credentials else sent
    json_length = next((value.decode("latin-1") for key, value in sent if key == HEADER_LENGTH), None)
    head = ParsedHead(asked.protocol, asked.model, asked.version, length, json_length, shown, path, sent)
    return replace(head, coding=wanted.coding) if wanted is not None else head


def _is_utf8(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether the body can be read as it is."""
    kind = next((str(value, "latin-1") for name, value in headers if name == CONTENT_TYPE), None)
    try:
        return not charset_of(kind)
    except UnsupportedMediaType:
        return False


def is_cloudevent(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """CloudEvents, binary (`ce-*` headers) or structured, are KServe's to decode."""
    return any(
        name.startswith(b"ce-") or (name == b"content-type" and value.lower().startswith(b"application/cloudevents"))
        for name, value in headers
    )
