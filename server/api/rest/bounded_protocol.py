"""The general way of bytes: uvicorn's parser, fed one request at a time, with bounds on all that a client may send.

uvicorn bounds none of it: it takes heads of any size, and all requests that come in one piece. Here the parser gets no
more than belongs to the request that is being read, or a little; what comes behind waits for the answer, and beyond
`MOST_EARLY` bytes in the socket. A slice is never taken for the end of anything: the parser alone says where that is.

An offer to change the protocol (`Upgrade: h2c`, `websocket`) is ignored (RFC 9110, 7.8): the parser would take the body
for bytes of that protocol. So it is given the head once more, without the offer.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import httptools
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from server.api.bodies import Bodies
from server.api.connections import Connections, Wait
from server.api.rest.framing import FRAMING, body_length, unreadable
from server.api.rest.limits import MOST_DROPPED, HttpLimits
from server.api.rest.named_host import one_host
from server.api.rest.transport import LingeringTransport, OneWriteProtocol
from server.errors import Header, HeadTooLarge, Overloaded, ServingError, TooSlow, respond

log = logging.getLogger("kserve")

#: bytes that may wait behind a request in flight before the socket is no longer read
MOST_EARLY = 64 * 1024
#: connections without room that are closed in peace: only so many, as each takes a descriptor
MOST_REFUSED = 64

_HEAD_END = b"\r\n\r\n"
#: bytes that the parser gets at once of a body whose length is not known: other requests may begin among them
_SLICE = 1024


class Bounds:
    """What the connections of one server share: limits, and what is taken of them."""

    def __init__(self, limits: HttpLimits | None = None, bodies: Bodies | None = None) -> None:
        self.limits = limits or HttpLimits()
        self.connections = Connections(self.limits)
        self.bodies = bodies or Bodies(self.limits.max_bodies_bytes)
        self.refused = 0  #: connections for which there was no room, while they are being told


class HeldFlow(FlowControl):
    """uvicorn's, which goes on reading whenever a request behind others has been answered."""

    _held = False

    def hold(self) -> None:
        """Read nothing, whoever asks, until `let_go`."""
        self._held = True
        self.pause_reading()

    def let_go(self) -> None:
        self._held = False
        self.resume_reading()

    def resume_reading(self) -> None:
        if not self._held:
            super().resume_reading()


class BoundedProtocol(OneWriteProtocol):
    """uvicorn's HTTP protocol within bounds."""

    flow: HeldFlow
    transport: LingeringTransport
    transport_class = LingeringTransport
    names_host = True  #: every request of HTTP/1.1 has to

    def __init__(self, bounds: Bounds, **uvicorns: Any) -> None:
        super().__init__(**uvicorns)
        self._bounds = bounds
        self._in_message = False  #: the parser is within a request
        self._in_body = False  #: and has its head
        self._offered = False  #: which offers another protocol
        self._left: int | None = 0  #: bytes that its body still has; None: nobody knows
        self._unseen = 0  #: bytes that the parser was given and has made nothing of yet: a head, or trailers
        self._dropped = 0  #: bytes of a body that was answered before its end
        self._early = b""  #: what came behind a request in flight
        self._early_at = 0  #: and where what is left of it begins
        self._ended = False  #: nothing that comes is read any more
        self._problem: ServingError | None = None  #: the parser was stopped for
        self._since = 0.0  #: when it began to wait for what it waits for
        self._unread = (0, 0.0)  #: bytes that the client had not read at the last look, and since when that is so
        self._begun = False  #: a request has begun
        self._refused = False  #: there was no room for the connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        super().connection_made(transport)
        self.flow = HeldFlow(self.transport)  # type: ignore[arg-type]  # a transport for all that it needs
        self.transport.still_sending = lambda: self._in_message
        self._since = self.loop.time()
        if not self._bounds.connections.add(self):
            self._refuse_connection()

    def _refuse_connection(self) -> None:
        self._refused = True
        self._bounds.refused += 1
        most = self._bounds.limits.max_connections
        self.refuse(Overloaded(f"all {most} connections that there may be (max_connections) are busy; try again"))
        if self._bounds.refused > MOST_REFUSED:
            self.transport.close_now()

    def connection_lost(self, exc: Exception | None) -> None:
        self._bounds.connections.discard(self)
        self._bounds.refused -= self._refused
        super().connection_lost(exc)

    # what comes in

    def parse(self, data: bytes, at: int = 0) -> None:
        """Give the parser what is behind `at`, as far as it belongs to the request that is being read."""
        self._unset_keepalive_if_required()
        while at < len(data) and not self._ended and not self.transport.is_closing():
            if self._is_answering():
                self.hold(data, at)
                return
            at += self._feed(data[at : self._part(data, at)])

    def _is_answering(self) -> bool:
        """A request has come whole, and its answer has not been sent."""
        return not self._in_message and self.cycle is not None and not self.cycle.response_complete

    def _part(self, data: bytes, at: int) -> int:
        """The end of what the parser gets next."""
        if self._in_body:
            return at + (_SLICE if self._left is None else max(self._left, 1))
        end = data.find(_HEAD_END, at)
        return len(data) if end < 0 else end + len(_HEAD_END)

    def _feed(self, part: bytes) -> int:
        """Give it to the parser; the bytes of it that were read."""
        if self._in_body and self._left is not None:
            self._left -= len(part)
        else:
            self._unseen += len(part)
            if self._unseen > self._bounds.limits.max_head_bytes + (_SLICE if self._in_body else 0):
                self._refuse_head()
                return len(part)
        try:
            self.parser.feed_data(part)
        except httptools.HttpParserUpgrade as offer:
            self._read_again()
            return int(offer.args[0])
        except httptools.HttpParserError as error:
            self._refuse_bytes(error)
        return len(part)

    def _refuse_bytes(self, error: httptools.HttpParserError) -> None:
        in_head = self._in_message and not self._in_body
        self.refuse(self._problem or unreadable(error, self.headers if in_head else []))

    def _refuse_head(self) -> None:
        what = "the trailers of the body hold" if self._in_body else "the head of the request holds"
        most = self._bounds.limits.max_head_bytes
        self.refuse(HeadTooLarge(f"{what} more than {most} bytes (max_head_bytes)"))

    def _read_again(self) -> None:
        """Give a new parser the head of a request that offers another protocol, without the offer."""
        if not self._offered:  # CONNECT: what follows is no request's
            self._ended = True
            return
        method, version, url = self.parser.get_method(), self.parser.get_http_version(), self.url
        kept = [b"%b: %b\r\n" % header for header in self.headers if header[0] != b"upgrade"]
        self._offered = False
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's
        try:
            self.parser.feed_data(b"%b %b HTTP/%b\r\n%b\r\n" % (method, url, version.encode(), b"".join(kept)))
        except httptools.HttpParserError as error:
            self._refuse_bytes(error)

    def hold(self, data: bytes, at: int = 0) -> None:
        """Keep what is behind `at` until the request in flight is answered."""
        if self._ended:
            return
        held = self._early[self._early_at :]
        self._early, self._early_at = (held + data[at:], 0) if held else (data, at)
        if len(self._early) - self._early_at > MOST_EARLY:
            self.flow.hold()

    def take_early(self) -> None:
        """Go on with what has been held."""
        if self._is_answering() or self._in_message:
            return
        early, at = self._early, self._early_at
        self._early, self._early_at = b"", 0
        if early and not self._ended and not self.transport.is_closing():
            self.begin(early, at)
            if len(self._early) - self._early_at <= MOST_EARLY:
                self.flow.let_go()

    def begin(self, data: bytes, at: int) -> None:
        """Read a request that begins at `at`, and what follows it."""
        self.parse(data, at)

    # of the parser

    def on_message_begin(self) -> None:
        self._in_message = self._begun = True
        self._in_body = False
        self._dropped = 0
        self._since = self.loop.time()
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_body:  # a trailer, which is no header (RFC 9110, 6.5.1)
            return
        if len(self.headers) >= (most := self._bounds.limits.max_headers):
            self._problem = HeadTooLarge(f"the request has more than {most} headers (max_headers)")
            raise self._problem
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._unseen = 0
        upgrades = self.parser.should_upgrade()
        self._offered = upgrades and self.parser.get_method() != b"CONNECT"
        if self._offered:
            return
        self._check_head()
        super().on_headers_complete()
        self._in_body = True
        self._since = self.loop.time()
        if upgrades:  # CONNECT: no body, and no other request behind it
            self.headers[:] = [header for header in self.headers if header[0] not in FRAMING]
            self.cycle.keep_alive = False

    def _check_head(self) -> None:
        try:
            self._left = body_length(self.headers)
            if self.names_host:
                one_host(self.url, self.parser.get_http_version(), self.headers)
        except ServingError as problem:
            self._problem = problem
            raise

    def _should_upgrade(self) -> bool:
        """Never: no route speaks WebSocket, and uvicorn cannot be stopped within half of its handshake."""
        return False

    def on_body(self, body: bytes) -> None:
        self._unseen = 0
        if self.cycle.response_complete:
            self._dropped += len(body)
            if self._dropped > MOST_DROPPED:
                self._ended = True
                self.transport.close()
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self._offered:
            return
        self._in_message = self._in_body = False
        self._unseen = 0
        self._since = self.loop.time()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._unset_keepalive_if_required()  # `Connections` looks after it
        self._since = self.loop.time()
        if self._early:
            self.loop.call_soon(self.take_early)

    # how long it takes, and what is refused

    def waits(self, now: float) -> tuple[Wait, float] | None:
        """As `connections.Client` has it."""
        if (size := self.transport.get_write_buffer_size()) > 0:
            if size != self._unread[0]:
                self._unread = (size, now)
            return Wait.READING, self._unread[1]
        self._unread = (0, 0.0)
        return self._waits()

    def _waits(self) -> tuple[Wait, float] | None:
        if self._in_message:
            return (Wait.BODY if self._in_body else Wait.HEAD), self._since
        if self._is_answering() or self.pipeline:
            return None
        return (Wait.NEXT if self._begun else Wait.FIRST_BYTE), self._since

    def expire(self, wait: Wait, seconds: float) -> None:
        """As `connections.Client` has it."""
        if self._ended or wait is Wait.READING:
            self.transport.abort()
        elif wait in (Wait.HEAD, Wait.BODY):
            what = f"the {wait.name.lower()} of the request"
            self.refuse(TooSlow(f"{what} has not come within {seconds:g} s ({wait.value})"))
        else:
            self.transport.close()

    def make_room(self, wait: Wait) -> None:
        """As `connections.Client` has it."""
        if wait in (Wait.HEAD, Wait.BODY) and not self._ended:
            most = self._bounds.limits.max_connections
            taken = f"all {most} connections that there may be (max_connections) are taken"
            self.refuse(Overloaded(f"{taken}, and the {wait.name.lower()} of this request took longest; try again"))
        self._ended = True
        if wait is Wait.READING:
            self.transport.abort()
        else:
            self.transport.close_now()

    def refuse(self, error: ServingError) -> None:
        """Answer what is being read with an error, and read nothing more."""
        self._ended = True
        self._early = b""
        if self.transport.is_closing():
            return
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            if self.cycle.response_started:  # an answer within another would be taken for a part of it
                self.transport.abort()
                return
        elif self._in_body:  # it has been answered
            self.transport.abort()
            return
        self._in_message = True  # the client may be sending
        status, headers, body = respond(error)
        self.transport.write_now(answer_head(status, [*self.server_state.default_headers, *headers], len(body)) + body)
        self.transport.close()


def answer_head(status: int, headers: list[Header], length: int) -> bytes:
    """The head of an answer that is the last of its connection."""
    lines = b"".join([b"%b: %b\r\n" % header for header in headers])
    return b"%b%bcontent-length: %d\r\nconnection: close\r\n\r\n" % (STATUS_LINE[status], lines, length)
