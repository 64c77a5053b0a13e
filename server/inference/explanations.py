"""The explaining side of a model that explains: the way of a prediction, with a queue and a thread of its own.

    bytes -> codec.v1.decode -> Batcher.put -> adapter.explain -> codec.explanations.encode -> bytes

An explanation takes tens to thousands of times as long as a prediction: in the same queue, predictions would wait for
it. One call at a time and a bounded number of rows a call keep it from taking the machine, or its memory.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from adapters.base import Adapter, Tensors
from server.codec import outputs
from server.codec.request import DecodedRequest
from server.errors import InvalidInput, ServingError
from server.inference.batching.batcher import Batcher
from server.inference.batching.queue import Limits
from server.inference.batching.threads import Executor
from server.inference.request import Exchange, IsDisconnected, Observer

#: contributions in one call, at most: 16 million numbers, which are 128 MiB and some 300 MB of JSON
MOST_NUMBERS = 1 << 24


class Explanations:
    """Explains the predictions of one loaded model."""

    def __init__(
        self,
        name: str,
        adapter: Adapter,
        executor: Executor,
        limits: Limits,
        observer: Observer,
        merges: bool,
        on_failure: Callable[[BaseException], None],
        on_call: Callable[[int, list[float]], None],
    ) -> None:
        self._name = name
        self._signature = adapter.signature
        self._observer = observer
        numbers = sum(abs(math.prod(spec.shape[1:])) for spec in adapter.signature.explanations)
        self._most_rows = max(1, MOST_NUMBERS // max(1, numbers))
        bounded = replace(limits, concurrency=1, max_rows=min(limits.max_rows, self._most_rows))
        batched = adapter.signature.batched
        self._batcher = Batcher(
            adapter.explain, executor, bounded, merges, batched, name, on_failure=on_failure, on_call=on_call
        )

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return self._batcher.waiting

    def start(
        self,
        size: int,
        decode: Callable[[], DecodedRequest],
        done: Callable[[bytes | ServingError], None],
        gone: IsDisconnected,
    ) -> Exchange[DecodedRequest, bytes]:
        """A V1 body of `size` bytes, decoded by `decode`, to a V1 body."""

        def checked() -> DecodedRequest:
            call = decode()
            if call.rows > self._most_rows:
                raise InvalidInput(
                    f"{call.rows} instances in one request: "
                    f"model {self._name!r} explains at most {self._most_rows} at a time, send fewer"
                )
            return call

        exchange: Exchange[DecodedRequest, bytes] = Exchange("v1", self._batcher, self._observer, self._encode, done)
        exchange.begin(size, checked, gone)
        return exchange

    def close(self, error: ServingError, when_idle: Callable[[], None]) -> None:
        """Answer what waits and what still comes with `error`; call `when_idle` once what runs has ended."""
        self._batcher.close(error, when_idle)

    def _encode(self, explained: Tensors, call: DecodedRequest) -> bytes:
        return outputs.encode(explained, self._signature)
