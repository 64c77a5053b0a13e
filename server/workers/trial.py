"""Trial loads: a damaged file crashes a native loader, so every model is tried in a child process first.

    TrialPool.try_load      (a loader thread)  takes an idle child, or starts one
      -> TrialProcess.run   sends the job, waits for the answer, takes in what the child prints meanwhile
        -> trial_child      loads, predicts the model's own example, answers; or dies

What the child survived, the server loads for real.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from adapters.base import LoadError
from server.workers import wire
from server.workers.trial_process import Crash, Trial, TrialProcess

__all__ = ["Trial", "TrialPool"]

_GRACE = 10.0  #: seconds for busy children to be buried by the threads that wait for them


class TrialPool:
    """At most `size` children, started when needed; `timeout` is the seconds that a trial may take. Thread-safe."""

    def __init__(self, size: int, timeout: float) -> None:
        self._size = size
        self._timeout = timeout
        self._children: list[TrialProcess] = []
        self._changed = threading.Condition()
        self._closed = 0  #: how often

    def try_load(self, adapter: str, path: Path, root: Path, file: str, options: Mapping[str, Any]) -> Trial:
        """Load the model of directory `path` in a child; blocks until there is an answer.

        Raises:
            LoadError: it cannot be loaded, took too long, or crashed the child; the message is the reason.
        """
        where = {"path": str(path), "root": str(root), "file": file}
        job = wire.pack({"adapter": adapter, "options": dict(options), **where})
        try:
            return self._run(adapter, job, new=False)
        except Crash as crash:
            if crash.first:
                raise
        # A file that this child survived earlier may have damaged it: only a new child's death is evidence.
        return self._run(adapter, job, new=True)

    def warm(self) -> None:
        """Start all children ahead."""
        with self._changed:
            while len(self._children) < self._size:
                self._children.append(TrialProcess())

    def close(self) -> None:
        """End all children, and with them the trials that they are at. A later `try_load` starts new ones."""
        with self._changed:
            self._closed += 1
            ending = list(self._children)
            for child in ending:
                child.kill()
                if not child.busy:
                    self._remove(child)
            self._changed.notify_all()
            self._changed.wait_for(lambda: not set(ending) & set(self._children), timeout=_GRACE)

    def rest(self) -> None:
        """End the children that are at no trial, for the sake of their memory."""
        with self._changed:
            for child in [child for child in self._children if not child.busy]:
                child.kill()
                self._remove(child)
            self._changed.notify_all()

    def _run(self, adapter: str, job: Sequence[wire.Part], *, new: bool) -> Trial:
        closed = self._closed
        with self._borrowed(adapter, new=new) as child:
            try:
                return child.run(adapter, job, self._timeout)
            except LoadError as error:
                if self._closed != closed:
                    raise LoadError("the trial was stopped: the server is closing") from error
                raise

    @contextlib.contextmanager
    def _borrowed(self, adapter: str, *, new: bool) -> Iterator[TrialProcess]:
        """A child for one trial; it goes back to the idle ones if it survives."""
        with self._changed:
            child = self._take(adapter, new=new)
            child.busy = True
        try:
            yield child
        finally:
            with self._changed:
                child.busy = False
                if not child.alive():
                    self._remove(child)
                self._changed.notify_all()

    def _take(self, adapter: str, *, new: bool) -> TrialProcess:
        """An idle child, best one that knows the adapter, or a new one; waits for its turn."""
        closed = self._closed
        while self._closed == closed:
            idle = [child for child in self._children if not child.busy]
            for dead in (child for child in idle if not child.alive()):
                self._remove(dead)
            idle = sorted((child for child in idle if child in self._children), key=lambda c: adapter not in c.adapters)
            if idle and not new:
                return idle[0]
            if idle and len(self._children) == self._size:  # make room
                self._remove(idle[-1])
            if len(self._children) < self._size:
                self._children.append(TrialProcess())
                return self._children[-1]
            self._changed.wait()
        raise LoadError("the trial was stopped: the server is closing")

    def _remove(self, child: TrialProcess) -> None:
        self._children.remove(child)
        child.bury()
