"""The parent's side of one trial process: start it, put a model to it, read its answer or the cause of its death."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from adapters.base import LoadError
from server.native_threads import ONE_THREAD
from server.workers import wire
from server.workers.child_process import ChildProcess

_DOING = {"load": "loading it", "example": "predicting its own example"}


@dataclass(frozen=True, slots=True)
class Trial:
    """What a child found out about a model that it loaded."""

    seconds: float  #: to load it, its framework being imported already
    memory_bytes: int  #: by which the child grew, at least 0
    #: rows may be merged: the adapter says so, and the example's rows alone gave what they gave together
    batchable: bool
    #: why the model refused its example (which is made up: a warning), and `batchable` is only the adapter's word
    example_error: str = ""
    #: what the adapter needs not find out again about the very same files
    evidence: Mapping[str, Any] = field(default_factory=dict)


class Crash(LoadError):
    """The child died. `first`: it was the child's first trial, so that no other model can be to blame."""

    def __init__(self, reason: str, *, first: bool) -> None:
        super().__init__(reason)
        self.first = first


class TrialProcess:
    """One trial process, and this side of the conversation with it."""

    def __init__(self) -> None:
        self.busy = False
        self.adapters: set[str] = set()
        self._trials = 0
        self._stage = "load"
        # This one's modules, wherever they were found.
        path = os.pathsep.join(os.path.abspath(entry) for entry in sys.path)  # noqa: PTH100  ("" is the current one)
        try:
            self._child = ChildProcess("trial process", _command, {**os.environ, **ONE_THREAD, "PYTHONPATH": path})
        except OSError as error:
            raise LoadError(f"no process for trying the model could be started: {error}") from error

    def run(self, adapter: str, job: Sequence[wire.Part], timeout: float) -> Trial:
        """One trial of a packed job; after a timeout or a crash the child is dead."""
        self.adapters.add(adapter)
        self._trials += 1
        self._stage = "load"
        self._child.forget_output()
        try:
            answer = self._exchange(job, time.monotonic() + timeout)
        except TimeoutError as error:
            self.kill()
            raise LoadError(f"{_DOING[self._stage]} took longer than {timeout:g} s (--load_timeout)") from error
        except (OSError, ValueError, EOFError) as error:
            raise Crash(self._child.cause_of_death(_DOING[self._stage]), first=self._trials == 1) from error
        if not answer.pop("ok"):
            raise LoadError(answer["reason"])
        return Trial(**answer)

    def alive(self) -> bool:
        return self._child.alive()

    def kill(self) -> None:
        self._child.kill()

    def bury(self) -> None:
        """End the process and let go of all that belongs to it."""
        self._child.bury()

    def _exchange(self, job: Sequence[wire.Part], deadline: float) -> dict[str, Any]:
        self._child.connection.send(job)
        while "stage" in (answer := self._child.receive(deadline).fields):
            self._stage = answer["stage"]
        return answer


def _command(descriptor: int) -> Sequence[str]:
    return (sys.executable, "-P", "-u", "-m", "server.workers.trial_child", str(descriptor))
