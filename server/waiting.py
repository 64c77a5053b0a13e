"""The requests of one model that wait, the oldest first; who is late or has gone is let go before a call."""

from __future__ import annotations

from collections import deque

from server.errors import ClientGone, DeadlineExceeded
from server.jobs import Job


class Waiting(deque[Job]):
    """A queue in the order of arrival, and so of deadlines."""

    __slots__ = ("_name", "_timeout")

    def __init__(self, name: str, timeout: float) -> None:
        """`timeout` is what the deadlines of this model's requests come from, in seconds."""
        super().__init__()
        self._name = name
        self._timeout = timeout

    @property
    def rows(self) -> int:
        """Of all requests together."""
        return sum([job.call.rows for job in self])

    def take(self, now: float, merges: bool, most: int) -> list[Job]:
        """The oldest request and those that may share its call, in order; the others keep their places.

        Those together have at most so many rows, unless the first alone has more.
        """
        batch: list[Job] = []
        rows, others = 0, []
        while self:
            job = self.popleft()
            if job.over:
                continue
            if job.deadline <= now:
                job.resolve(self._late())
            elif job.gone():
                job.resolve(_hung_up())
            elif not batch:
                batch.append(job)
                rows = job.call.rows
                if not (merges and job.call.batched):
                    break
            elif job.key == batch[0].key and rows + job.call.rows <= most:
                batch.append(job)
                rows += job.call.rows
            else:
                others.append(job)
            if rows >= most:
                break
        if others:
            self.extendleft(reversed(others))
        return batch

    def drop_gone(self) -> bool:
        """Let go of those whose clients hung up while they waited; whether there were any."""
        waiting = len(self)
        for job in [job for job in self if job.gone()]:
            self.remove(job)
            job.resolve(_hung_up())
        return len(self) < waiting

    def expire(self, now: float) -> None:
        """Answer those that have waited too long."""
        while self and (self[0].over or self[0].deadline <= now):
            self.popleft().resolve(self._late())

    def _late(self) -> DeadlineExceeded:
        return DeadlineExceeded(f"the request waited {self._timeout:g} s for {self._name} (limit request_timeout)")


def _hung_up() -> ClientGone:
    return ClientGone("the client hung up")
