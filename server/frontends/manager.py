"""The front processes together: which copies they should hold, and that none answers while models change places."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, wait
from pathlib import Path
from typing import Any

from server.frontends.frontend import Frontend
from server.frontends.frontend_copies import FrontendCopies
from server.loading.load_spec import LoadSpec
from server.runtime import logs
from server.telemetry.metrics import CounterSnapshot, MetricsByModel

log = logging.getLogger("kserve")

#: seconds that a process has to say that a copy no longer answers; then it is killed, and answers nothing
WITHDRAWAL_TIMEOUT = 30.0
#: seconds that a scrape waits for the counts of other processes; then it gets those of a second ago
SCRAPE_TIMEOUT = 2.0
#: seconds beyond the grace period in which a process may end
_SLACK = 5.0


class FrontendManager:
    """`server.repository.replicas.Replicas`, and their beginning and end."""

    def __init__(
        self,
        count: int,
        names: Callable[[], Iterable[str]],
        specs: Callable[[str], Mapping[str | None, LoadSpec]],
        load_timeout: float,
        request_timeout: float,
    ) -> None:
        """`specs` tells who answers for a name and its versions now, of those that can be copied.

        Raises:
            OSError: there is no directory for temporary files.
        """
        self.names = names
        self.lock = threading.RLock()
        self.stopping = threading.Event()
        #: where the main process listens for what it is handed
        self.directory = Path(tempfile.mkdtemp(prefix="polyserve-"))
        self._count = count
        self._specs = specs
        self._load_timeout = load_timeout
        self._request_timeout = request_timeout
        self._withdrawn: Counter[str] = Counter()
        self._incoming: set[int] = set()
        self._frontends: list[Frontend] = []
        self._ended_counts = MetricsByModel()  #: of processes that have ended

    def start(self, start: Mapping[str, Any]) -> None:
        """Start the processes; each is sent `start` first. Returns at once."""
        with self.lock:
            if self.stopping.is_set():
                return
            for number in range(2, self._count + 2):  # the main process is number 1
                frontend = Frontend(number, {**start, "directory": str(self.directory)}, self)
                self._frontends.append(frontend)
                threading.Thread(target=frontend.keep, name=f"front-{number}", daemon=True).start()

    def stop(self, grace: float) -> None:
        """Have all of them answer what they have, within `grace` seconds, and end; blocks."""
        with self.lock:
            self.stopping.set()
            for frontend in self._frontends:
                frontend.stop(grace)
        end = time.monotonic() + grace + _SLACK
        for frontend in self._frontends:
            if not frontend.ended.wait(max(0.0, end - time.monotonic())):
                log.warning("process %d of the server does not end, and is killed", frontend.number)
                frontend.kill()

    def remove_directory(self) -> None:
        """Remove what lies on the disk."""
        shutil.rmtree(self.directory, ignore_errors=True)

    def log_from(self, level: int) -> None:
        """Log from this level on, here and in the other processes; one that comes later begins as the server did."""
        logs.set_level(level)
        with self.lock:
            for frontend in self._frontends:
                frontend.log_from(level)

    # who answers

    @contextlib.contextmanager
    def change(self, name: str, coming: LoadSpec | None = None) -> Iterator[None]:
        """Have `coming` loaded where others answer for its name, then withdraw those while it takes over."""
        with self.lock:
            self._incoming.update({coming.number} if coming is not None else ())
            loading = [each.load(coming) for each in self._copies() if coming is not None and each.answers_for(name)]
        try:
            _wait(loading, self._load_timeout)
            self._withdraw(name)
            try:
                yield
            finally:
                self._withdrawn[name] -= 1
        finally:
            with self.lock:
                self._incoming.difference_update({coming.number} if coming is not None else ())
                for each in self._copies():
                    each.reconcile(name)

    def _withdraw(self, name: str) -> None:
        """From here on the main process alone answers for a name; a process that does not say so is ended."""
        with self.lock:
            self._withdrawn[name] += 1
            routed = {frontend: frontend.copies.reconcile(name) for frontend in self._frontends if frontend.copies}
        for frontend, answer in routed.items():
            if not _wait([answer], WITHDRAWAL_TIMEOUT):
                log.error("process %d of the server does not answer, and is killed", frontend.number)
                frontend.kill()
                _wait([answer], WITHDRAWAL_TIMEOUT)

    def _copies(self) -> list[FrontendCopies]:
        return [frontend.copies for frontend in self._frontends if frontend.copies is not None]

    def is_withdrawn(self, name: str) -> bool:
        return self._withdrawn[name] > 0

    def is_incoming(self, number: int) -> bool:
        """Whether the copy with this number may take over its name any moment."""
        return number in self._incoming

    def wanted(self, name: str) -> Mapping[str | None, LoadSpec]:
        """What a process should answer for now, by version; None is the name alone."""
        return {} if self.is_withdrawn(name) else self._specs(name)

    def settle(self, name: str) -> None:
        """Wait until copies that serve no more have answered who reached them, and are closed."""
        with self.lock:
            closing = [answer for each in self._copies() for answer in each.closing(name)]
        if not _wait(closing, self._request_timeout + WITHDRAWAL_TIMEOUT):
            log.warning("model %s: copies in other processes are still being closed", name)

    # what they have counted

    def keep_counts(self, counts: CounterSnapshot) -> None:
        """The counts of a process that has ended."""
        self._ended_counts.merge(counts)

    def counts(self) -> Sequence[CounterSnapshot]:
        """Of all processes, as far as they are known."""
        with self.lock:
            return [self._ended_counts.snapshot(), *(frontend.counts for frontend in self._frontends)]

    async def refresh(self) -> None:
        """Ask every process for its counts."""
        await asyncio.to_thread(lambda: _wait([frontend.count() for frontend in self._frontends], SCRAPE_TIMEOUT))

    def waiting(self, name: str) -> int:
        return sum(frontend.waiting.get(name, 0) for frontend in self._frontends)

    def in_flight(self, name: str) -> int:
        return sum(frontend.in_flight.get(name, 0) for frontend in self._frontends)


def _wait(answers: Iterable[Future[Any] | None], seconds: float) -> bool:
    """Whether all answers, or the ends of those who were asked, came in time."""
    return not wait([answer for answer in answers if answer is not None], seconds).not_done
