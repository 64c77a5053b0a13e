"""The short way of a plain request: from the socket's bytes to the model and back, without ASGI.

    data_received --> HeadCache.parse (a head seen before costs one look-up) --> ServedModel.start
                                                                         --> head and body of the answer in one write

Whatever is no plain request (`head_cache`) for a model that is ready, or comes while something else is under way on its
connection, goes through uvicorn's parser and the ASGI application (`routes`), which answers the same: a test compares
status, headers and body of a corpus of requests sent both ways.

A large body (`SMALL_BODY`) is gathered here in one buffer, in a turn of the event loop for what the socket holds. The
general way takes it in parts of 64 KiB, each of which is copied four times: a fifth of the processor time of a request
of 1,024 x 100 floats (2 MB, or 0.7 MB of fewer digits).
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from server.api import request_ids
from server.api.connections import Wait
from server.api.credentials import KeyGuard
from server.api.lookup import Models
from server.api.rest.answer_coding import OFFERED, compressed
from server.api.rest.bounded_protocol import BoundedProtocol, Bounds
from server.api.rest.head_cache import SMALL_BODY, HeadRules, ParsedHead, head_cache
from server.config.settings import Settings
from server.errors import JSON_HEADER, Header, NotReady, ServingError, as_serving_error, respond
from server.inference.answer import Answer, StreamedAnswer
from server.inference.request import InferenceRequest
from server.repository.on_demand import NotLoaded
from server.runtime.busy_poll import BusyPoll

log = logging.getLogger("kserve")


@dataclass
class ServerContext:
    """What the connections of one server share."""

    models: Models
    max_body: int
    closing: bool = False  #: every answer is the last on its connection
    bounds: Bounds = field(default_factory=Bounds)
    rules: HeadRules = field(default_factory=HeadRules)
    guard: KeyGuard | None = None
    busy_poll: BusyPoll = field(default_factory=BusyPoll)
    _defaults: list[Header] = field(default_factory=list)
    _ok: bytes = b""

    def __post_init__(self) -> None:
        self.heads = head_cache(self.bounds.limits.max_head_bytes, self.bounds.limits.max_headers, self.rules)

    def head(self, status: int, headers: list[Header], defaults: list[Header], length: int) -> bytes:
        """An answer's head, but for its last line end; `defaults` is uvicorn's list, a new one every second."""
        if defaults is not self._defaults:
            self._defaults, self._ok = defaults, STATUS_LINE[200] + _lines([*defaults, JSON_HEADER])
        if status == 200 and len(headers) == 1 and headers[0] is JSON_HEADER:
            return b"%bcontent-length: %d\r\n" % (self._ok, length)
        return b"%b%bcontent-length: %d\r\n" % (STATUS_LINE[status], _lines([*defaults, *headers]), length)


def head_rules(settings: Settings) -> HeadRules:
    """What the settings say of heads."""
    return HeadRules(settings.root_path.encode(), settings.request_ids, settings.api_keys_file is not None)


class FastProtocol(BoundedProtocol):
    """The general protocol with a short way in front."""

    def __init__(self, context: ServerContext, **uvicorns: Any) -> None:
        super().__init__(context.bounds, **uvicorns)
        self._context = context
        self._logs = self.access_log  #: uvicorn sees, and logs, every request
        self._head: ParsedHead | None = None  #: of the request in flight, or of the one whose body is still coming
        self._running = False  #: the request in flight has reached the model
        self._body = BytesIO()  #: of the request whose body is still coming; it becomes `bytes` without another copy
        self._held = 0  #: bytes of the body, as `Bodies` counts them: until it has come; of a large one, is answered
        self._stopping = False
        self._disconnected = False
        self._background: asyncio.Future[None] | None = None  #: kept from being collected

    # what comes in

    def data_received(self, data: bytes) -> None:
        if self._in_message:
            self.parse(data)
        elif (
            self._head is None
            and not self._early
            and not self.flow.write_paused
            and (self.cycle is None or self.cycle.response_complete)
        ):
            self.begin(data, 0)
        elif self._head is not None and not self._running:
            self._add(self._head, data)
        else:
            self.hold(data)

    def begin(self, data: bytes, at: int) -> None:
        """The first bytes after a whole request."""
        end = data.find(b"\r\n\r\n", at) + 4
        head = self._context.heads.parse(data[at:end]) if end > 3 and not self._logs else None
        if head is None or head.length > self._context.max_body or not self._is_served(head):
            self.parse(data, at)
            return
        self._head = head
        if len(data) - end == head.length <= SMALL_BODY:
            self._ask(head, data[end:])
        else:
            self._wait_for_body(head, data[end:])

    def _is_served(self, head: ParsedHead) -> bool:
        guard = self._context.guard
        if guard is not None and not guard.admits(head.sent, head.model):  # it is refused in the general way
            return False
        return self._context.models.answers_whole(head.model, head.version)

    def _wait_for_body(self, head: ParsedHead, begun: bytes) -> None:
        self._since = self.loop.time()
        if head.length > SMALL_BODY or self._take(head.length):
            self._add(head, begun)

    def _take(self, size: int) -> bool:
        """Count bytes of the body; False: there is no room for them, and the client was told."""
        bodies = self._bounds.bodies
        if bodies.held + size > bodies.most:
            self._head, self._body = None, BytesIO()
            self._let_go()
            self.refuse(bodies.refusal(size))
            return False
        self._held += size
        bodies.held += size
        return True

    def _add(self, head: ParsedHead, part: bytes) -> None:
        """One more part of the body. Of a large one what has come is counted: to announce it takes no room."""
        if head.length <= SMALL_BODY or self._take(len(part)):
            self._body.write(part)
            self._complete(head)

    def _complete(self, head: ParsedHead) -> None:
        """Start once the body is whole; what follows it waits."""
        if self._body.tell() >= head.length:
            if head.length <= SMALL_BODY:
                self._let_go()
            received, self._body = self._body.getvalue(), BytesIO()
            if len(received) > head.length:
                self.hold(received[head.length :])
                received = received[: head.length]
            self._ask(head, received)

    def _let_go(self) -> None:
        self._bounds.bodies.held -= self._held
        self._held = 0

    def take_early(self) -> None:
        if self._head is None and not self.flow.write_paused:
            super().take_early()

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        if self.cycle is not None and self._context.closing:
            self.cycle.keep_alive = False

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._context.busy_poll.answered(self.loop)

    def _waits(self) -> tuple[Wait, float] | None:
        if self._head is None:
            return super()._waits()
        return None if self._running else (Wait.BODY, self._since)

    # the model, and what goes out

    async def _wake(self, head: ParsedHead, body: bytes) -> None:
        """The model made room for others while the body was coming, or another of its versions is in memory."""
        try:
            await self._context.models.ready(head.model, head.version)
        except Exception as error:
            self._fail(head, error)
        else:
            self._ask(head, body)

    def _ask(self, head: ParsedHead, body: bytes) -> None:
        self._running = True
        try:
            model = self._context.models.ready_model(head.model, head.version)
            request = InferenceRequest(
                head.protocol,
                "predict",
                head.model,
                head.version,
                head.headers,
                body,
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
            whose = f" [{request_ids.NAME} {head.request_id.decode()}]" if head.request_id else ""
            log.error("%s of model %s failed%s", head.protocol, head.model, whose, exc_info=error)
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
        if (asked := self._head) is not None:
            if asked.request_id:
                others = [each for each in headers if each[0] != request_ids.HEADER]
                headers = [*others, (request_ids.HEADER, asked.request_id)]
            if asked.coding and len(body) >= OFFERED:
                answer = Answer(status, headers, body)
                self._background = asyncio.create_task(self._write_compressed(asked.coding, answer))
                return
        self._write_whole(status, headers, body)

    async def _write_compressed(self, coding: str, answer: Answer) -> None:
        self._write_whole(*await compressed(answer, coding, OFFERED))

    def _write_whole(self, status: int, headers: list[Header], body: bytes) -> None:
        if self._held:
            self._let_go()
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
        self._begun, self._since = True, self.loop.time()
        self._context.busy_poll.answered(self.loop)
        if self._early:
            self.loop.call_soon(self.take_early)

    def resume_writing(self) -> None:
        super().resume_writing()
        self.take_early()

    # the connection

    def connection_lost(self, exc: Exception | None) -> None:
        self._disconnected = True
        if not self._running:  # else the model still has it
            self._let_go()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """Called by the server when it stops: what is in flight is answered first."""
        self._stopping = True
        if self._head is None:
            super().shutdown()


def _lines(headers: list[Header]) -> bytes:
    return b"".join([b"%b: %b\r\n" % header for header in headers])
