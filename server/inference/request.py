"""One request on its way through a model, in callbacks: a small request costs less than the coroutines it would take.

    begin: decode --> Batcher.put --> (the model is called) --> predicted: encode --> done

Everything runs on the event loop, but for large bodies and answers, which are decoded and encoded in threads.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

from adapters.base import Tensors
from server.codec.request import DecodedRequest
from server.errors import ClientGone, ServingError, as_serving_error
from server.inference.batching.batcher import Batcher
from server.inference.batching.merging import Outcome
from server.inference.batching.queue import IsDisconnected, QueuedRequest, never_disconnected
from server.telemetry.counters import now

__all__ = ["Exchange", "IsDisconnected", "Observer", "never_disconnected"]

C = TypeVar("C", bound=DecodedRequest)
T = TypeVar("T")

#: bodies and outputs above this many bytes are decoded and encoded in a thread, off the event loop
INLINE_BYTES = 64 * 1024
#: as many at a time as there are cores: Python does one at a time anyway, and each takes several times its body
_CODERS = ThreadPoolExecutor(max(2, os.cpu_count() or 1), "codec")


class Observer(Protocol):
    """Is told of every request that it began, and once how it ended; times are marks of `now()`, in seconds."""

    def began(self) -> None: ...

    def answered(self, protocol: str, start: float, decoded: float, predicted: float, end: float) -> None: ...

    def failed(self, protocol: str, status: int, seconds: float) -> None: ...


class Exchange(Generic[C, T]):
    """`done` gets the encoded answer, or the error, exactly once; after `cancel`, not at all."""

    __slots__ = ("_batcher", "_call", "_decoded", "_done", "_encode", "_job", "_observer", "_protocol", "_start")

    def __init__(
        self,
        protocol: str,
        batcher: Batcher,
        observer: Observer,
        encode: Callable[[Tensors, C], T],
        done: Callable[[T | ServingError], None],
    ) -> None:
        self._start = now()
        self._protocol = protocol
        self._batcher = batcher
        self._observer = observer
        self._encode = encode
        self._done: Callable[[T | ServingError], None] | None = done
        self._job: QueuedRequest | None = None
        observer.began()

    def begin(self, size: int, decode: Callable[[], C], gone: IsDisconnected) -> None:
        """Decode a body of `size` bytes and queue what it holds."""
        if size > INLINE_BYTES:
            self._in_thread(decode, lambda call: self._queue(call, gone))
        else:
            self._batcher.read(size, partial(self._read, decode, gone))

    def _read(self, decode: Callable[[], C], gone: IsDisconnected) -> None:
        if self._done is None:  # the caller has gone while it waited to be read
            return
        try:
            call = decode()
        except Exception as error:
            self._fail(error)
        else:
            self._queue(call, gone)

    def cancel(self) -> None:
        """The caller has gone."""
        if self._job is not None:
            self._batcher.drop(self._job)
            self._job = None
        if self._done is not None:
            self._done = None
            self._observer.failed(self._protocol, ClientGone.status, now() - self._start)

    def _queue(self, call: C, gone: IsDisconnected) -> None:
        self._call = call
        self._decoded = now()
        try:
            job = QueuedRequest(call, self._predicted, gone)
            self._batcher.put(job)
        except ServingError as error:
            self._fail(error)
        else:
            self._job = None if job.finished else job

    def _predicted(self, outputs: Outcome) -> None:
        self._job = None  # it knows us, too: the tensors would stay until a collection found the two
        if isinstance(outputs, ServingError):
            self._fail(outputs)
            return
        predicted = now()
        if _size(outputs) > INLINE_BYTES:
            self._in_thread(lambda: self._encode(outputs, self._call), lambda answer: self._succeed(answer, predicted))
            return
        try:
            answer = self._encode(outputs, self._call)
        except Exception as error:
            self._fail(error)
        else:
            self._succeed(answer, predicted)

    def _succeed(self, answer: T, predicted: float) -> None:
        if (done := self._done) is not None:
            self._done = None
            self._observer.answered(self._protocol, self._start, self._decoded, predicted, now())
            done(answer)

    def _fail(self, error: BaseException) -> None:
        known = as_serving_error(error)
        if known is not error:
            known.__cause__ = error
        if (done := self._done) is not None:
            self._done = None
            self._observer.failed(self._protocol, known.status, now() - self._start)
            done(known)

    def _in_thread(self, work: Callable[[], Any], then: Callable[[Any], None]) -> None:
        def worked(future: asyncio.Future[Any]) -> None:
            if future.cancelled():
                self._fail(asyncio.CancelledError())
            elif error := future.exception():
                self._fail(error)
            else:
                then(future.result())

        asyncio.get_running_loop().run_in_executor(_CODERS, work).add_done_callback(worked)


def _size(outputs: Tensors) -> int:
    """A fair guess of how many bytes the outputs take on the wire; objects count as 256."""
    size = 0
    for array in outputs.values():
        size += array.size * 256 if array.dtype.kind == "O" else array.nbytes * 2
    return size
