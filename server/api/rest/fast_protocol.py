"""The short way of a small request: from the socket's bytes to the model and back, without ASGI.

    data_received --> HeadCache.parse (a head seen before costs one look-up) --> ServedModel.start
                                                                         --> head and body of the answer in one write

Whatever is no plain request (`head_cache`) for a model that is ready, or comes while something else is under way on its
connection, goes through uvicorn's parser and the ASGI application (`routes`), which answers the same: a test compares
status, headers and body of a corpus of requests sent both ways.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from server.api.lookup import Models
from server.api.rest.head_cache import HeadCache, ParsedHead
from server.api.rest.transport import OneWriteProtocol
from server.errors import JSON_HEADER, Header, NotReady, ServingError, as_serving_error, respond
from server.inference.answer import Answer, StreamedAnswer
from server.inference.request import InferenceRequest
from server.repository.on_demand import NotLoaded

log = logging.getLogger("kserve")

#: bytes that may wait behind a request in flight before the socket is no longer read
MOST_EARLY = 64 * 1024

#: headers that announce a body
_FRAMING = {b"content-length", b"transfer-encoding"}


@dataclass
class ServerContext:
    """What the connections of one server share."""

    models: Models
    max_body: int
    closing: bool = False  #: every answer is the last on its connection
    heads: HeadCache = field(default_factory=HeadCache)
    _defaults: list[Header] = field(default_factory=list)
    _ok: bytes = b""

    def head(self, status: int, headers: list[Header], defaults: list[Header], length: int) -> bytes:
        """An answer's head, but for its last line end; `defaults` is uvicorn's list, a new one every second."""
        if defaults is not self._defaults:
            self._defaults, self._ok = defaults, STATUS_LINE[200] + _lines([*defaults, JSON_HEADER])
        if status == 200 and len(headers) == 1 and headers[0] is JSON_HEADER:
            return b"%bcontent-length: %d\r\n" % (self._ok, length)
        return b"%b%bcontent-length: %d\r\n" % (STATUS_LINE[status], _lines([*defaults, *headers]), length)


class FastProtocol(OneWriteProtocol):
    """uvicorn's HTTP protocol with a short way in front."""

    def __init__(self, context: ServerContext, **uvicorns: Any) -> None:
        super().__init__(**uvicorns)
        self._context = context
        self._general = self.access_log  #: uvicorn's parser is within a request (or sees, and logs, every one)
        self._head: ParsedHead | None = None  #: of the request in flight, or of the one whose body is still coming
        self._running = False  #: the request in flight has reached the model
        self._body = bytearray()
        self._early = bytearray()  #: what came behind a request in flight
        self._stopping = False
        self._disconnected = False
        self._background: asyncio.Future[None] | None = None  #: kept from being collected
        self._idle_since = 0.0

    # what comes in

    def data_received(self, data: bytes) -> None:
        if self._general or not (self.cycle is None or self.cycle.response_complete):
            super().data_received(data)
        elif self._head is None and not self._early and not self.flow.write_paused:
            self._begin(data)
        elif self._head is not None and not self._running:
            self._body += data
            self._complete(self._head)
        else:
            self._early += data
            if len(self._early) > MOST_EARLY:
                self.transport.pause_reading()

    def _begin(self, data: bytes) -> None:
        """The first bytes after a whole request."""
        end = data.find(b"\r\n\r\n") + 4
        head = self._context.heads.parse(data[:end]) if end > 3 else None
        if head is None or head.length > self._context.max_body or not self._is_served(head):
            super().data_received(data)
            return
        self._head = head
        if len(data) - end == head.length:
            self._start(head, data[end:])
        else:
            self._body += data[end:]
            self._complete(head)

    def _is_served(self, head: ParsedHead) -> bool:
        return self._context.models.answers_whole(head.model, head.version)

    def _complete(self, head: ParsedHead) -> None:
        """Start once the body is whole; what follows it waits."""
        if len(self._body) >= head.length:
            body, self._early = bytes(self._body[: head.length]), self._body[head.length :]
            self._body = bytearray()
            self._start(head, body)

    def _take_early(self) -> None:
        early, self._early = bytes(self._early), bytearray()
        if early and not self._disconnected:
            self.transport.resume_reading()
            self.data_received(early)

    def on_message_begin(self) -> None:
        self._general = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        if self.cycle is not None and self._context.closing:
            self.cycle.keep_alive = False
        if self.cycle is not None and self.parser.should_upgrade():
            self._leave_body()

    def _leave_body(self) -> None:
        """The parser takes what follows for bytes of the protocol that the client would like to have, and drops it.

        So the request has no body, and no other is read behind it.
        """
        self.headers[:] = [header for header in self.headers if header[0] not in _FRAMING]
        self.cycle.keep_alive = False

    def _should_upgrade(self) -> bool:
        """Never: no route speaks WebSocket, and uvicorn cannot be stopped within half of its handshake."""
        return False

    def on_message_complete(self) -> None:
        self._general = self.access_log
        super().on_message_complete()

    # the model, and what goes out

    def _start(self, head: ParsedHead, body: bytes) -> None:
        self._running = True
        self._ask(head, body)

    async def _wake(self, head: ParsedHead, body: bytes) -> None:
        """The model made room for others while the body was coming, or another of its versions is in memory."""
        try:
            await self._context.models.ready(head.model, head.version)
        except Exception as error:
            self._fail(head, error)
        else:
            self._ask(head, body)

    def _ask(self, head: ParsedHead, body: bytes) -> None:
        try:
            model = self._context.models.ready_model(head.model, head.version)
            request = InferenceRequest(
                *(head.protocol, "predict", head.model, head.version, head.headers, body),
                self._is_disconnected,
                head.json_length,
            )
            model.start(request, self._answer)
        except NotLoaded:
            self._background = asyncio.create_task(self._wake(head, body))
        except Exception as error:
            self._fail(head, error)

    def _fail(self, head: ParsedHead, error: Exception) -> None:
        if not isinstance(error, ServingError):
            log.error("%s of model %s failed", head.protocol, head.model, exc_info=error)
        self._write(*respond(as_serving_error(error)))

    def _is_disconnected(self) -> bool:
        return self._disconnected

    def _answer(self, answer: Answer | StreamedAnswer | ServingError) -> None:
        if isinstance(answer, Answer):
            self._write(*answer)
        elif isinstance(answer, ServingError):
            self._write(*respond(answer))
        else:  # the model was replaced, while the body was coming, by one that answers in parts
            self._background = asyncio.ensure_future(answer.close())
            self._write(*respond(NotReady("the model has been replaced by one of another kind: try again")))

    def _write(self, status: int, headers: list[Header], body: bytes) -> None:
        self._head, self._running = None, False
        self.server_state.total_requests += 1
        if self._disconnected:
            return
        head = self._context.head(status, headers, self.server_state.default_headers, len(body))
        if self._stopping or self._context.closing:
            self.transport.write_now(b"%bconnection: close\r\n\r\n%b" % (head, body))
            self.transport.close()
            return
        self.transport.write_now(b"%b\r\n%b" % (head, body))
        self._idle_since = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._arm(self.timeout_keep_alive)
        if self._early and not self.flow.write_paused:
            self.loop.call_soon(self._take_early)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._head is None:
            self._take_early()

    # the connection

    def connection_lost(self, exc: Exception | None) -> None:
        self._disconnected = True
        super().connection_lost(exc)
        self._unset_keepalive_if_required()

    def shutdown(self) -> None:
        """Called by the server when it stops: what is in flight is answered first."""
        self._stopping = True
        if self._head is None:
            super().shutdown()

    def timeout_keep_alive_handler(self) -> None:
        """One timer a connection, not one a request: when it fires, it looks how long nothing has come."""
        self.timeout_keep_alive_task = None
        left = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if self._head is not None or left > 0:
            self._arm(max(left, 1.0))
        else:
            super().timeout_keep_alive_handler()

    def _arm(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(seconds, self.timeout_keep_alive_handler)


def _lines(headers: list[Header]) -> bytes:
    return b"".join([b"%b: %b\r\n" % header for header in headers])
