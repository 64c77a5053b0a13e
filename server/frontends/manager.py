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

from server.frontends.frontend import Frontend, FrontendCopies
from server.loading.load_spec import LoadSpec
from server.telemetry.counters import ModelMetrics
from server.telemetry.metrics import CounterSnapshot

log = logging.getLogger("kserve")

#: seconds that a process has to say that a copy no longer answers; then it is killed, and answers nothing
WITHDRAWAL = 30.0
#: seconds that a scrape waits for the counts of other processes; then it gets those of a second ago
SCRAPE = 2.0
#: seconds beyond the grace period in which a process may end
_SLACK = 5.0


class FrontendManager:
    """`server.repository.replicas.Followers`, and their beginning and end."""

    def __init__(
        self,
        count: int,
        names: Callable[[], Iterable[str]],
        recipes: Callable[[str], Mapping[str | None, LoadSpec]],
        load_timeout: float,
        request_timeout: float,
    ) -> None:
        """`recipes` tells who answers for a name and its versions now, of those that can be copied.

        Raises:
            OSError: there is no directory for temporary files.
        """
        self.names = names
        self.lock = threading.RLock()
        self.stopping = threading.Event()
        #: where the main process listens for what it is handed
        self.directory = Path(tempfile.mkdtemp(prefix="polyserve-"))
        self._count = count
        self._recipes = recipes
        self._load_timeout = load_timeout
        self._request_timeout = request_timeout
        self._withdrawn: Counter[str] = Counter()
        self._coming: set[int] = set()
        self._fronts: list[Frontend] = []
        self._kept: dict[str, ModelMetrics] = {}

    def start(self, start: Mapping[str, Any]) -> None:
        """Start the processes; each is told `start` first. Returns at once."""
        with self.lock:
            if self.stopping.is_set():
                return
            for number in range(2, self._count + 2):  # the main process is number 1
                front = Frontend(number, {**start, "directory": str(self.directory)}, self)
                self._fronts.append(front)
                threading.Thread(target=front.keep, name=f"front-{number}", daemon=True).start()

    def stop(self, grace: float) -> None:
        """Have all of them answer what they have, within `grace` seconds, and end; blocks."""
        with self.lock:
            self.stopping.set()
            for front in self._fronts:
                front.stop(grace)
        end = time.monotonic() + grace + _SLACK
        for front in self._fronts:
            if not front.ended.wait(max(0.0, end - time.monotonic())):
                log.warning("process %d of the server does not end, and is killed", front.number)
                front.kill()

    def tidy(self) -> None:
        """Remove what lies on the disk."""
        shutil.rmtree(self.directory, ignore_errors=True)

    # who answers

    @contextlib.contextmanager
    def change(self, name: str, coming: LoadSpec | None = None) -> Iterator[None]:
        """Have `coming` loaded where others answer for its name, then withdraw those while it takes over."""
        with self.lock:
            self._coming.update({coming.number} if coming is not None else ())
            loading = [each.load(coming) for each in self._holdings() if coming is not None and each.answers_for(name)]
        try:
            _wait(loading, self._load_timeout)
            self._withdraw(name)
            try:
                yield
            finally:
                self._withdrawn[name] -= 1
        finally:
            with self.lock:
                self._coming.difference_update({coming.number} if coming is not None else ())
                for each in self._holdings():
                    each.follow(name)

    def _withdraw(self, name: str) -> None:
        """From here on the main process alone answers for a name; a process that does not say so is ended."""
        with self.lock:
            self._withdrawn[name] += 1
            told = {front: front.holdings.follow(name) for front in self._fronts if front.holdings}
        for front, answer in told.items():
            if not _wait([answer], WITHDRAWAL):
                log.error("process %d of the server does not answer, and is killed", front.number)
                front.kill()
                _wait([answer], WITHDRAWAL)

    def _holdings(self) -> list[FrontendCopies]:
        return [front.holdings for front in self._fronts if front.holdings is not None]

    def is_withdrawn(self, name: str) -> bool:
        return self._withdrawn[name] > 0

    def is_coming(self, number: int) -> bool:
        """Whether the recipe with this number may take over its name any moment."""
        return number in self._coming

    def wanted(self, name: str) -> Mapping[str | None, LoadSpec]:
        """What a process should answer for now, by version; None is the name alone."""
        return {} if self.is_withdrawn(name) else self._recipes(name)

    def settle(self, name: str) -> None:
        """Wait until copies that serve no more have answered who reached them, and are closed."""
        with self.lock:
            leaving = [answer for each in self._holdings() for answer in each.leaving(name)]
        if not _wait(leaving, self._request_timeout + WITHDRAWAL):
            log.warning("model %s: copies in other processes are still being closed", name)

    # what they have counted

    def keep_counts(self, told: CounterSnapshot) -> None:
        """The counts of a process that has ended."""
        for name, counts in told.items():
            self._kept.setdefault(name, ModelMetrics()).add(counts)

    def counts(self) -> Sequence[CounterSnapshot]:
        """Of all processes, as far as they are known."""
        with self.lock:
            kept = {name: counts.told() for name, counts in self._kept.items()}
            return [kept, *(front.told for front in self._fronts)]

    async def refresh(self) -> None:
        """Ask every process for its counts."""
        await asyncio.to_thread(lambda: _wait([front.count() for front in self._fronts], SCRAPE))

    def waiting(self, name: str) -> int:
        return sum(front.waiting.get(name, 0) for front in self._fronts)


def _wait(answers: Iterable[Future[Any] | None], seconds: float) -> bool:
    """Whether all answers, or the ends of those who were asked, came in time."""
    return not wait([answer for answer in answers if answer is not None], seconds).not_done
