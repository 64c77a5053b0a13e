"""The short way of a small request: from the socket's bytes to the model and back, without ASGI.

    data_received --> Heads.plan (a head seen before costs one look-up) --> ServedModel.start_v1 or start_v2
                                                                    --> head and body of the answer in one write

Whatever is no plain request (`heads`) for a model that is ready, or comes while something else is under way on its
connection, goes through uvicorn's parser and the ASGI application (`http`), which answers the same: a test compares
status, headers and body of a corpus of requests sent both ways.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from server.api.lookup import Models
from server.api.rest.asgi import v2_headers
from server.api.rest.head_cache import HeadCache, ParsedHead
from server.api.rest.transport import OneWriteProtocol
from server.errors import JSON_HEADER, Header, ServingError, as_serving_error, respond
from server.inference.tensor_model import V2Body
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

    def __init__(self, shared: ServerContext, **uvicorns: Any) -> None:
        super().__init__(**uvicorns)
        self._shared = shared
        self._general = self.access_log  #: uvicorn's parser is within a request (or sees, and logs, every one)
        self._plan: ParsedHead | None = None  #: of the request in flight, or of the one whose body is still coming
        self._running = False  #: the request in flight has reached the model
        self._body = bytearray()
        self._early = bytearray()  #: what came behind a request in flight
        self._stopping = False
        self._gone = False
        self._waking: asyncio.Task[None] | None = None  #: kept from being collected
        self._idle_since = 0.0

    # what comes in

    def data_received(self, data: bytes) -> None:
        if self._general or not (self.cycle is None or self.cycle.response_complete):
            super().data_received(data)
        elif self._plan is None and not self._early and not self.flow.write_paused:
            self._begin(data)
        elif self._plan is not None and not self._running:
            self._body += data
            self._complete(self._plan)
        else:
            self._early += data
            if len(self._early) > MOST_EARLY:
                self.transport.pause_reading()

    def _begin(self, data: bytes) -> None:
        """The first bytes after a whole request."""
        end = data.find(b"\r\n\r\n") + 4
        plan = self._shared.heads.plan(data[:end]) if end > 3 else None
        if plan is None or plan.length > self._shared.max_body or not self._is_served(plan):
            super().data_received(data)
            return
        self._plan = plan
        if len(data) - end == plan.length:
            self._start(plan, data[end:])
        else:
            self._body += data[end:]
            self._complete(plan)

    def _is_served(self, plan: ParsedHead) -> bool:
        return self._shared.models.takes_tensors(plan.model, plan.version)

    def _complete(self, plan: ParsedHead) -> None:
        """Start once the body is whole; what follows it waits."""
        if len(self._body) >= plan.length:
            body, self._early = bytes(self._body[: plan.length]), self._body[plan.length :]
            self._body = bytearray()
            self._start(plan, body)

    def _take_early(self) -> None:
        early, self._early = bytes(self._early), bytearray()
        if early and not self._gone:
            self.transport.resume_reading()
            self.data_received(early)

    def on_message_begin(self) -> None:
        self._general = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        if self.cycle is not None and self._shared.closing:
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

    def _start(self, plan: ParsedHead, body: bytes) -> None:
        self._running = True
        self._ask(plan, body)

    async def _wake(self, plan: ParsedHead, body: bytes) -> None:
        """The model made room for others while the body was coming, or another of its versions is in memory."""
        try:
            await self._shared.models.ready(plan.model, plan.version)
        except Exception as error:
            self._fail(plan, error)
        else:
            self._ask(plan, body)

    def _ask(self, plan: ParsedHead, body: bytes) -> None:
        try:
            model = self._shared.models.tensor_model(plan.model, plan.version)
            if plan.protocol == "v1":
                model.start_v1(body, self._answer_v1, self._is_gone)
            else:
                model.start_v2(body, plan.json_length, self._answer_v2, self._is_gone)
        except NotLoaded:
            self._waking = asyncio.create_task(self._wake(plan, body))
        except Exception as error:
            self._fail(plan, error)

    def _fail(self, plan: ParsedHead, error: Exception) -> None:
        if not isinstance(error, ServingError):
            log.error("%s of model %s failed", plan.protocol, plan.model, exc_info=error)
        self._write(*respond(as_serving_error(error)))

    def _is_gone(self) -> bool:
        return self._gone

    def _answer_v1(self, answer: bytes | ServingError) -> None:
        if isinstance(answer, ServingError):
            self._write(*respond(answer))
        else:
            self._write(200, [JSON_HEADER], answer)

    def _answer_v2(self, answer: V2Body | ServingError) -> None:
        if isinstance(answer, ServingError):
            self._write(*respond(answer))
        else:
            self._write(200, v2_headers(answer[1]), answer[0])

    def _write(self, status: int, headers: list[Header], body: bytes) -> None:
        self._plan, self._running = None, False
        self.server_state.total_requests += 1
        if self._gone:
            return
        head = self._shared.head(status, headers, self.server_state.default_headers, len(body))
        if self._stopping or self._shared.closing:
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
        if self._plan is None:
            self._take_early()

    # the connection

    def connection_lost(self, exc: Exception | None) -> None:
        self._gone = True
        super().connection_lost(exc)
        self._unset_keepalive_if_required()

    def shutdown(self) -> None:
        """Called by the server when it stops: what is in flight is answered first."""
        self._stopping = True
        if self._plan is None:
            super().shutdown()

    def timeout_keep_alive_handler(self) -> None:
        """One timer a connection, not one a request: when it fires, it looks how long nothing has come."""
        self.timeout_keep_alive_task = None
        left = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if self._plan is not None or left > 0:
            self._arm(max(left, 1.0))
        else:
            super().timeout_keep_alive_handler()

    def _arm(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(seconds, self.timeout_keep_alive_handler)


def _lines(headers: list[Header]) -> bytes:
    return b"".join([b"%b: %b\r\n" % header for header in headers])
