"""One call, from its head to its status, within bounds: calls at once, its deadline, its messages and answers.

begin     a head that is wrong, too many calls, no such method: a status at once
received  --> messages --> ModelInfer of a model that is in memory: `Inference.start`, in callbacks
                       --> anything else: the method's handler (`CallTask`)
cancelled, too late: the work is dropped
"""

from __future__ import annotations

import asyncio
from contextvars import copy_context

from server.api import request_ids
from server.api.grpc.missing_methods import missing
from server.api.grpc.native import answer_blocks
from server.api.grpc.native.call_context import CallContext, Pairs
from server.api.grpc.native.call_head import CallHead
from server.api.grpc.native.call_link import CallLink
from server.api.grpc.native.call_site import CallSite
from server.api.grpc.native.call_task import CallTask
from server.api.grpc.native.message_frames import FramedMessage, MessageReader, deflated, framed, inflated, only_message
from server.api.grpc.protos import INFER, SERVICE
from server.api.grpc.statuses import known_error
from server.api.http2.outbox import ENOUGH, Stream
from server.errors import NotReady, ServingError, TooLarge, TooSlow, message
from server.inference.answer import Answer, StreamedAnswer
from server.inference.request import InferenceRequest
from server.runtime import logs

_INFER = f"/{SERVICE.full_name}/{INFER}"
#: seconds; a deadline that is further away is none
_LONGEST = 366 * 24 * 3600.0
#: bytes of an answer in parts that may wait for the client before the next part is asked for
_AHEAD = 64 * 1024


class GrpcCall:
    """Its life is that of its stream."""

    __slots__ = (
        *("_begun", "_compresses", "_deferred", "_drained", "_head", "_id", "_link", "_loop", "_reader"),
        *("_request", "_site", "_stream", "_task", "_timer", "began_at", "finished"),
    )

    def __init__(self, site: CallSite, link: CallLink, stream: Stream, loop: asyncio.AbstractEventLoop) -> None:
        self._site = site
        self._link = link
        self._stream = stream
        self._loop = loop
        self._head: CallHead = stream.head
        self._reader: MessageReader | None = None
        self._request: InferenceRequest | None = None
        self._task: CallTask | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._drained: asyncio.Future[None] | None = None
        self._deferred = 0  #: bytes that came while others waited to be taken
        self._id = ""
        self._begun = False
        self._compresses = bool(site.encoding) and site.encoding in self._head.accepts
        self.began_at = loop.time()
        self.finished = False

    # what comes in

    def begin(self) -> None:
        """The head is there."""
        head, site = self._head, self._site
        if head.refusal is not None:
            self._end(head.refusal.http, answer_blocks.trailers(head.refusal.status, head.refusal.details))
            return
        if not site.admit(self):
            self.finish("RESOURCE_EXHAUSTED", "Concurrent RPC limit exceeded!")
            return
        if head.timeout is not None and head.timeout < _LONGEST:
            self._timer = self._loop.call_later(head.timeout, self._too_late)
        if head.method != _INFER or site.inference is None:
            self._hand_over()
        if self._stream.remote_closed:
            self._said_all()

    def _hand_over(self) -> None:
        handler = self._site.handler(self._head.method, self._head.metadata)
        if handler is None:
            self.finish("UNIMPLEMENTED", missing(self._head.method))
        else:
            self._task = CallTask(self, handler, self._site.tasks)

    def received(self, data: bytes) -> None:
        """Some of the body has come."""
        ended = self._stream.remote_closed
        if ended and self._reader is None and self._task is None:
            raw = only_message(data, self._site.most_received)
            if raw is not None:
                if not self._start(raw):
                    self._message(FramedMessage(False, raw))
                    self._said_all()
                return
        if self.finished:
            return
        try:
            self._read(data)
        except ServingError as error:
            self.fail(error)
            self._drop_work()
            return
        if ended:
            self._said_all()

    def _read(self, data: bytes) -> None:
        if self._reader is None:
            self._reader = MessageReader(self._site.limits.max_receive, self._site.bodies)
        for each in self._reader.feed(data):
            if self._task is None and self._request is None and not each.compressed:
                self._reader.release(len(each.raw))
                if self._start(each.raw):
                    continue
            self._message(each)
        if self._task is not None and self._task.lags:
            self._deferred += len(data)
        else:
            self._link.used(self._stream, len(data))

    def _message(self, received: FramedMessage) -> None:
        """One that a handler takes; what comes after the only one of a request is of nobody's interest."""
        if self.finished or self._request is not None:
            return
        if self._task is None:
            self._hand_over()
        if self._task is None or not self._task.takes_more:
            if self._reader is not None:
                self._reader.release(len(received.raw))
            return
        self._task.put(received)

    def _said_all(self) -> None:
        if self._task is not None:
            self._task.end()
        elif self._request is None:
            self.finish("INTERNAL", "the call has ended without a whole message")

    @property
    def waits(self) -> bool:
        """The client owes the message without which nothing is done."""
        is_open = not self.finished and not self._stream.remote_closed and self._request is None
        return is_open and (self._task is None or self._task.waits)

    @property
    def idle_since(self) -> float | None:
        """As `WaitingCall` has it."""
        if self._stream.remote_closed or self._request is not None:
            return None
        if self._task is None or self._task.waits:
            return self.began_at
        return self._task.idle_since

    def make_room(self) -> None:
        """As `WaitingCall` has it."""
        why = "this call has made room for others: it waited for its client for the longest"
        self.finish("RESOURCE_EXHAUSTED", why)
        self._drop_work()

    # ModelInfer, in callbacks

    def _start(self, raw: bytes) -> bool:
        """Begin to answer; False: the handler has to."""
        inference, metadata = self._site.inference, self._head.metadata
        if inference is None:
            return False
        try:
            if self._head.has_id or inference.callers.makes_ids:
                self._id, identified = inference.callers.identified(metadata)
                context = copy_context()
                context.run(logs.request_id.set, self._id)
                request = context.run(inference.start, raw, identified, self._answered)
            else:
                request = inference.start(raw, metadata, self._answered)
        except Exception as error:
            self.fail(known_error(error, INFER))
            return True
        if request is None:
            self._id = ""
            return False
        if not self.finished:
            self._request = request
        return True

    def _answered(self, outcome: Answer | StreamedAnswer | ServingError) -> None:
        if isinstance(outcome, Answer):
            if self._compresses:
                self._site.in_task(self.send_only(outcome.body, ()))
            else:
                self._reply(framed(outcome.body), len(outcome.body), answer_blocks.OK_TRAILERS)
        elif isinstance(outcome, ServingError):
            self.fail(outcome)
        else:  # the model was replaced, a moment ago, by one that answers in parts
            self._site.in_task(outcome.close())
            self.fail(NotReady("the model has been replaced by one of another kind: try again"))

    # a handler's side

    def context(self) -> CallContext:
        head = self._head
        return CallContext(head.metadata, self._link.peer, self._remaining, self._send_head, head.authority)

    def _remaining(self) -> float | None:
        timeout = self._head.timeout
        return None if timeout is None else max(0.0, self.began_at + timeout - self._loop.time())

    async def read(self, received: FramedMessage) -> bytes:
        if self._reader is not None:
            self._reader.release(len(received.raw))
        if self._deferred and not (self._task is not None and self._task.lags):
            self._link.used(self._stream, self._deferred)
            self._deferred = 0
        return await inflated(received, self._head.encoding, self._site.most_received)

    async def send(self, answer: bytes) -> None:
        self._site.check_size(len(answer))
        body = await self._framed(answer)
        if self.finished:
            return
        self._send_head(())
        self._link.send(self._stream, body)
        while self._stream.unsent > _AHEAD and not self.finished:
            self._drained = self._loop.create_future()
            await self._drained

    async def send_only(self, answer: bytes, trailing: Pairs) -> None:
        try:
            self._site.check_size(len(answer))
        except TooLarge as error:
            self.fail(error)
            return
        self._reply(await self._framed(answer), len(answer), answer_blocks.trailers("OK", "", trailing))

    async def _framed(self, answer: bytes) -> bytes:
        return framed(await deflated(answer, self._site.encoding), True) if self._compresses else framed(answer)

    def drained(self) -> None:
        """The client has read what was sent."""
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)

    # what goes out

    def _send_head(self, pairs: Pairs) -> None:
        if not self._begun and not self.finished:
            self._begun = True
            self._link.begin_answer(self._stream, self._answer_head() + answer_blocks.metadata(pairs))

    def _answer_head(self) -> bytes:
        head = answer_blocks.head(self._site.encoding if self._compresses else "")
        return head + answer_blocks.metadata(((request_ids.NAME, self._id),)) if self._id else head

    def _reply(self, body: bytes, size: int, trailers: bytes) -> None:
        """The answer and its end at once."""
        if self.finished:
            return
        try:
            self._site.check_size(size)
            unread = self._link.unread()
            if len(body) > self._stream.send_window or unread > ENOUGH:
                self._site.check_room(len(body), unread)
        except ServingError as error:
            self.fail(error)
            return
        self._conclude()
        if self._begun:
            self._link.send(self._stream, body)
            self._link.end(self._stream, trailers)
        else:
            self._link.answer(self._stream, self._answer_head(), body, trailers)

    def fail(self, error: ServingError) -> None:
        """It ends with an error."""
        self.finish(error.grpc, message(error))

    def finish(self, status: str, details: str, trailing: Pairs = ()) -> None:
        """It ends with a status, the name of a `grpc.StatusCode`; later ones change nothing."""
        if not self.finished:
            self._end(200, answer_blocks.trailers(status, details, trailing))

    def _end(self, http: int, trailers: bytes) -> None:
        if self._id:
            self._send_head(())
        self._conclude()
        self._link.end(self._stream, trailers if self._begun else answer_blocks.only_trailers(http, trailers))

    def _too_late(self) -> None:
        self.finish("DEADLINE_EXCEEDED", "Deadline Exceeded")
        self._drop_work()

    def too_slow(self, seconds: float, setting: str) -> None:
        """Its message has not come for so long."""
        self.fail(TooSlow(f"the message of the call has not come within {seconds:g} s ({setting})"))
        self._drop_work()

    def cancelled(self) -> None:
        """Nobody waits for the answer."""
        if not self.finished:
            self._conclude()
        self._drop_work()

    def _conclude(self) -> None:
        self.finished = True
        self._site.calls.discard(self)
        if self._timer is not None:
            self._timer.cancel()
        if self._reader is not None:
            self._reader.close()

    def _drop_work(self) -> None:
        if self._request is not None:
            self._request.pipeline.cancel(self._request)
        if self._task is not None:
            self._task.cancel()
        self.drained()
