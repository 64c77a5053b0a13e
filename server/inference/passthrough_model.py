"""A served model that reads whole requests itself: the sibling of `ServedModel` for user code in its own process.

    bytes and headers -> a turn in the queue -> adapter.answer (the worker) -> a Reply in the request's protocol

Nothing is decoded here: what a request means is the model's business. What is bounded is how many requests wait, and
for how long; how many are with the model at the same time depends on whether it gains from that.
"""

from __future__ import annotations

import asyncio
import codecs
import time
from collections.abc import Callable
from typing import Any

from adapters.base import Adapter, Reply, ReplyStream, Request
from server import errors
from server.errors import as_serving_error, nearest_error
from server.inference.answer import Answer, StreamedAnswer, sendable_headers, sendable_status
from server.inference.batching.queue import BoundedQueue, Limits
from server.inference.batching.turn import Turn
from server.inference.body_readers import read_aside
from server.inference.failure_log import log_failure
from server.inference.in_flight import InFlight
from server.inference.request import AnswerHandler, InferenceRequest, IsDisconnected
from server.inference.stream_parts import CountedParts, SinglePart
from server.inference.tensor_model import tensor_metadata
from server.telemetry.counters import ModelMetrics, now
from server.workers.adapter import pool_of

#: requests with a model that takes them one by one: the next is at hand when one is answered
_AHEAD = 2
#: protocols whose bodies are JSON
_JSON = frozenset({"v1", "v2"})


class PassthroughModel:
    """One loaded model under its name."""

    answers_whole = False
    reads_events = True
    decodes = False  #: bodies are read before they are handed on
    max_rows = 0
    merges = False
    refuses_example = False
    made_by = ""

    def __init__(
        self,
        name: str,
        adapter: Adapter,
        limits: Limits,
        metrics: ModelMetrics,
        most: int | None = None,
        version: str = "",
        workers: int = 1,
    ) -> None:
        """`most`: requests that may be with the model at the same time, where its folder says so."""
        self.name = name
        self.adapter = adapter
        self.pool = pool_of(adapter)
        self.signature = adapter.signature
        self.version = version
        self.ready = True
        self._metrics = metrics
        self._most = most or (limits.max_queue if self.signature.overlaps else _AHEAD * workers)
        self.in_flight = InFlight()
        self.born = time.monotonic()
        self._then: Callable[[], None] = lambda: None
        self._running = 0
        self._started: set[asyncio.Future[Answer | StreamedAnswer]] = set()
        self._queue: BoundedQueue[Turn] = BoundedQueue(name, limits)

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return len(self._queue)

    def start(self, request: InferenceRequest, done: AnswerHandler) -> None:
        """`handle`, for those who cannot wait."""
        task = asyncio.ensure_future(self.handle(request))
        self._started.add(task)  # kept from being collected

        def handled(task: asyncio.Future[Answer | StreamedAnswer]) -> None:
            self._started.discard(task)
            if not task.cancelled():
                error = task.exception()
                done(task.result() if error is None else as_serving_error(error))

        task.add_done_callback(handled)

    async def handle(self, request: InferenceRequest) -> Answer | StreamedAnswer:
        """The model's answer, which over HTTP may be an error of its own choice (`status`).

        Raises:
            QueueFull, DeadlineExceeded, ClientGone, NotReady, ModelFailed, InvalidInput
            ServingError: the nearest to an error of its own choice, over gRPC.
        """
        self.in_flight.begin()
        try:
            await self._turn(request.is_disconnected)
            request.decoded_at = now()
            try:
                reply = await self.adapter.answer(await self._read(request))
            except BaseException:
                self._give_back()
                raise
        except Exception as error:
            known = as_serving_error(error)
            self._ended(request, known.status)
            if known.status == 500:
                log_failure(self.name, error, request.log_fields)
            if known is error:
                raise
            raise known from error
        except BaseException:
            self._ended(request, errors.ClientGone.status)
            raise
        if isinstance(reply, ReplyStream):
            return self._streamed(request, reply)
        self._give_back()
        self._ended(request, reply.status)
        return _answer(request, reply)

    async def _read(self, request: InferenceRequest) -> Request:
        """`_asked`; off the event loop, where that decodes a large body."""
        return await read_aside(len(request.body) if self.decodes else 0, self._asked, request)

    def _asked(self, request: InferenceRequest) -> Request:
        """The request as the adapter gets it; raises what it is refused for."""
        body = request.body
        if request.protocol in _JSON:
            body = body.removeprefix(codecs.BOM_UTF8)  # which the model's own reader does not know
        return Request(request.verb, request.protocol, body, request.header_map())

    def _streamed(self, request: InferenceRequest, reply: ReplyStream) -> StreamedAnswer:
        """A stream, which counts as one request until it is closed."""

        def ended(status: int) -> None:
            self._give_back()
            self._ended(request, status)

        return StreamedAnswer(sendable_headers(reply.headers), CountedParts(reply.parts, ended))

    def _ended(self, request: InferenceRequest, status: int) -> None:
        end = self.in_flight.last = now()
        if status < 400:
            self._metrics.answered(request.protocol, request.received_at, request.decoded_at, end, end)
        else:
            self._metrics.failed(request.protocol, status, end - request.received_at)
        self.in_flight.end()

    def get_input_types(self) -> list[dict[str, Any]]:
        """What the user's class says of its inputs."""
        return [tensor_metadata(spec) for spec in self.signature.inputs]

    def get_output_types(self) -> list[dict[str, Any]]:
        return [tensor_metadata(spec) for spec in self.signature.outputs]

    def retire(self, then: Callable[[], None] = lambda: None) -> None:
        """On the event loop: let go of the model once all who reached it are answered; call `then` after that."""
        self._then = then
        self.in_flight.when_none(self.stop)

    def stop(self) -> None:
        """Refuse new requests and let go of the model; what runs runs to its end. From any thread."""
        self.ready = False
        error = errors.NotReady(f"model {self.name!r} is being unloaded")
        self._queue.close(error, self._let_go_once_idle)

    # the queue, on the event loop

    def _give_back(self) -> None:
        """The turn that `_turn` gave."""
        self._running -= 1
        self._wake()

    async def _turn(self, is_disconnected: IsDisconnected) -> None:
        """Wait for a turn, which `_give_back` ends."""
        self._queue.check_open()
        if self._running < self._most and not self._queue:
            self._running += 1
            return
        turn = Turn(is_disconnected)
        try:
            await turn.wait_in(self._queue)
        except asyncio.CancelledError:
            if turn.granted:
                self._give_back()
            raise

    def _wake(self) -> None:
        """Give the turns that are free to those who wait longest."""
        now = self._queue.loop.time()
        while self._running < self._most and (turn := self._queue.pop_wanted(now)) is not None:
            turn.resolve(None)
            if turn.granted:
                self._running += 1
        if self._queue.closed is not None:
            self._let_go_once_idle()

    def _let_go_once_idle(self) -> None:
        if not self._running:
            self._let_go()

    def _let_go(self) -> None:
        self.adapter.close()
        self._then()


def _answer(request: InferenceRequest, reply: Reply) -> Answer | StreamedAnswer:
    """A whole reply as the answer that was asked for."""
    if request.protocol == "grpc" and reply.status >= 400:
        raise nearest_error(reply.status)(reply.body.decode(errors="replace"))
    if request.verb == "generate_stream" and reply.status < 400:
        return StreamedAnswer(sendable_headers(reply.headers), SinglePart(reply.body))
    return Answer(sendable_status(reply.status), sendable_headers(reply.headers), reply.body)
