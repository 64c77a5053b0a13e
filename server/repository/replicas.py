"""Who else answers for the models of this process, and has to know when another one serves a name."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from server.loading.load_spec import LoadSpec
from server.telemetry.metrics import CounterSnapshot


class Replicas(Protocol):
    """Other processes with copies of models (`server.frontends`). Not for the event loop: all of this blocks."""

    def change(self, name: str, coming: LoadSpec | None = None) -> AbstractContextManager[None]:
        """Within, no copy answers for this name: whoever serves it may be replaced, by `coming` perhaps."""

    def settle(self, name: str) -> None:
        """Wait until copies that serve no more are closed."""

    def waiting(self, name: str) -> int:
        """Requests that wait for copies of a model."""

    def in_flight(self, name: str) -> int:
        """Requests that copies of a model are at."""

    def counts(self) -> Sequence[CounterSnapshot]:
        """What each of the processes has counted, by model."""


class NoReplicas:
    """There is one process."""

    @contextlib.contextmanager
    def change(self, name: str, coming: LoadSpec | None = None) -> Iterator[None]:
        yield

    def settle(self, name: str) -> None:
        """There is nothing to wait for."""

    def waiting(self, name: str) -> int:
        return 0

    def in_flight(self, name: str) -> int:
        return 0

    def counts(self) -> Sequence[CounterSnapshot]:
        return ()
