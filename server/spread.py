"""A large call in parts, one a core, while nothing else runs.

Every framework works with one thread, which is fastest while many requests are under way. A request of thousands of
rows on an idle machine would leave the other cores idle, so its rows, which are independent, are dealt out.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np

from adapters.base import Tensors
from server.calls import Caller, Outcome
from server.codec.call import Call
from server.threads import Runs

#: rows of a call that are worth it
LARGE = 1000


class Spread:
    """One call of `parts` parts; `done` gets its outcome on the thread that ends last."""

    def __init__(self, caller: Caller, call: Call, parts: int, done: Callable[[Outcome], None]) -> None:
        ends = [call.rows * (i + 1) // parts for i in range(parts)]
        self._ranges = list(zip([0, *ends], ends, strict=False))
        self._caller = caller
        self._call = call
        self._done = done
        self._outputs: dict[int, Tensors] = {}
        self._left = parts
        self._lock = threading.Lock()

    def start(self, executor: Runs) -> None:
        """Run each part on a thread.

        Raises:
            RuntimeError: the executor is shut down.
        """
        for i in range(len(self._ranges)):
            executor.submit(self._part, i)

    def _part(self, i: int) -> None:
        start, end = self._ranges[i]
        call = self._call
        part = Call({name: array[start:end] for name, array in call.inputs.items()}, end - start, call.parameters)
        outputs = self._caller.attempt(part)
        with self._lock:
            if outputs is not None:
                self._outputs[i] = outputs
            self._left -= 1
            last = self._left == 0
        if last:
            self._done(self._whole())

    def _whole(self) -> Outcome:
        """The parts together; where one failed, the whole call again, whose error counts rows as the client does."""
        parts = [self._outputs[i] for i in sorted(self._outputs)]
        if len(parts) < len(self._ranges):
            return self._caller.run([self._call])[0]
        try:
            return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        except (ValueError, KeyError):  # parts of different shapes, as texts of different lengths give
            return self._caller.run([self._call])[0]
