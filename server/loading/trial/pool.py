"""Trial loads: a damaged file crashes a native loader, so every model is tried in a child process first.

    TrialPool.try_load      (a loader thread)  takes an idle child, or starts one
      -> TrialProcess.run   sends the job, waits for the answer, takes in what the child prints meanwhile
        -> trial_main       loads, predicts the model's own example, answers; or dies

What the child survived, the server loads for real.

The parent's side of one trial process: start it, put a model to it, read its answer or the cause of its death.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adapters.base import LoadError, Signature
from server.runtime import ipc
from server.runtime.child_process import ChildProcess
from server.runtime.forking import ForkedProcess, ForkServer
from server.runtime.own_code import module_command
from server.runtime.sandbox.capabilities import can_become_reader
from server.runtime.sandbox.sandbox import NO_SANDBOX, Confinement, Sandbox
from server.runtime.sandbox.users import UserRange
from server.workers.launch import scrubbed
from server.workers.messages import signature_of
from server.workers.self_test import DOING

__all__ = ["Trial", "TrialPool"]

_GRACE = 10.0  #: seconds for busy children to be reaped by the threads that wait for them


class TrialPool:
    """At most `size` children, started when needed; `timeout` is the seconds that a trial may take. Thread-safe."""

    def __init__(self, size: int, timeout: float, sandbox: Sandbox = NO_SANDBOX, roots: Iterable[Path] = ()) -> None:
        """In a `sandbox` children may read what is in `roots`, and in those of the models that they try."""
        self._size = size
        self._timeout = timeout
        self._sandbox = sandbox
        self._roots = frozenset(roots)
        self._children: list[TrialProcess] = []
        self._forks: ForkServer | None = None
        self._changed = threading.Condition()
        self._closed = 0  #: how often

    def try_load(
        self,
        adapter: str,
        path: Path,
        root: Path,
        file: str,
        options: Mapping[str, Any],
        *,
        describe: bool = False,
    ) -> Trial:
        """Load the model of directory `path` in a child; blocks until there is an answer.

        `describe`: the model is loaded and not run, and the trial has its signature.

        Raises:
            LoadError: it cannot be loaded, took too long, or crashed the child; the message is the reason.
        """
        where = {"path": str(path), "root": str(root), "file": file}
        job = ipc.pack({"adapter": adapter, "options": dict(options), "describe": describe, **where})
        with self._changed:
            if not any(root.is_relative_to(known) for known in self._roots):
                self._roots |= {root}  # and children that do not know it are used no more
        try:
            return self._run(adapter, job, new=False)
        except Crash as crash:
            if crash.first:
                raise
        # A file that this child survived earlier may have damaged it: only a new child's death is evidence.
        return self._run(adapter, job, new=True)

    def fork_from(self, forks: ForkServer) -> None:
        """Children are forks from now on, until `close`; those that are to be confined are fresh processes as ever."""
        self._forks = forks

    def warm(self) -> None:
        """Start all children ahead."""
        with self._changed:
            while len(self._children) < self._size:
                self._children.append(self._start())

    def close(self) -> None:
        """End all children, and with them the trials that they are at. A later `try_load` starts new ones, no forks."""
        forks, self._forks = self._forks, None
        with self._changed:
            self._closed += 1
            ending = list(self._children)
            for child in ending:
                child.kill()
                if not child.busy:
                    self._remove(child)
            self._changed.notify_all()
            self._changed.wait_for(lambda: not set(ending) & set(self._children), timeout=_GRACE)
            if forks is not None:
                forks.close()

    def rest(self) -> None:
        """End the children that are at no trial, for the sake of their memory."""
        with self._changed:
            for child in [child for child in self._children if not child.busy]:
                child.kill()
                self._remove(child)
            self._changed.notify_all()

    def _run(self, adapter: str, job: Sequence[ipc.Part], *, new: bool) -> Trial:
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
            for stale in [child for child in idle if child in self._children and self._is_stale(child)]:
                self._remove(stale)
            idle = sorted((child for child in idle if child in self._children), key=lambda c: adapter not in c.adapters)
            if idle and not new:
                return idle[0]
            if idle and len(self._children) == self._size:  # make room
                self._remove(idle[-1])
            if len(self._children) < self._size:
                self._children.append(self._start())
                return self._children[-1]
            self._changed.wait()
        raise LoadError("the trial was stopped: the server is closing")

    def _start(self) -> TrialProcess:
        try:
            fork = self._forks.fork if self._forks else None
            users = None  # one that is confined has lost the rights to become another
            if not self._sandbox.confines and self._sandbox.users is not None and can_become_reader():
                users = self._sandbox.users
            return TrialProcess(self._sandbox.confinement(self._roots), self._roots, fork, users=users)
        except OSError as error:
            raise LoadError(f"no process for trying the model could be started: {error}") from error

    def _is_stale(self, child: TrialProcess) -> bool:
        return self._sandbox.confines and child.roots != self._roots

    def _remove(self, child: TrialProcess) -> None:
        self._children.remove(child)
        child.reap()


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
    #: why the server's own process must not serve it, which only loading it told
    carries: str = ""
    #: what the model takes and gives; None: nobody asked for it
    signature: Signature | None = None


class Crash(LoadError):
    """The child died. `first`: it was the child's first trial, so that no other model can be to blame."""

    def __init__(self, reason: str, *, first: bool) -> None:
        super().__init__(reason)
        self.first = first


class TrialProcess:
    """One trial process, and this side of the conversation with it."""

    def __init__(
        self,
        confinement: Confinement | None = None,
        roots: frozenset[Path] = frozenset(),
        fork: Callable[[int], ForkedProcess] | None = None,
        *,
        users: UserRange | None = None,
    ) -> None:
        """`roots`: what it may read, if it is confined. `fork` makes it, unless it is. It becomes one of these `users`.

        Raises:
            OSError: it cannot be started.
        """
        self.busy = False
        self.roots = roots
        self.adapters: set[str] = set()
        self._trials = 0
        self._stage = "load"
        self._child = ChildProcess("trial process", _command, environment(), confinement=confinement, fork=fork)
        self._users = users
        self.user = users.take() if users else None
        with contextlib.suppress(OSError):  # it has died: the first trial tells of it
            self._child.connection.send(ipc.pack({"user": self.user}))

    def run(self, adapter: str, job: Sequence[ipc.Part], timeout: float) -> Trial:
        """One trial of a packed job; after a timeout or a crash the child is dead."""
        self.adapters.add(adapter)
        self._trials += 1
        self._stage = "load"
        self._child.forget_output()
        try:
            answer = self._exchange(job, time.monotonic() + timeout)
        except TimeoutError as error:
            self.kill()
            raise LoadError(f"{DOING[self._stage]} took longer than {timeout:g} s (--load_timeout)") from error
        except (OSError, ValueError, EOFError) as error:
            raise Crash(self._child.cause_of_death(DOING[self._stage]), first=self._trials == 1) from error
        if not answer.pop("ok"):
            raise LoadError(answer["reason"])
        signature = answer.pop("signature", None)
        return Trial(**answer, signature=None if signature is None else signature_of(signature))

    def alive(self) -> bool:
        return self._child.alive()

    def kill(self) -> None:
        self._child.kill()

    def reap(self) -> None:
        """End the process and let go of all that belongs to it."""
        self._child.reap()
        if self._users is not None and self.user is not None:
            self._users.give_back(self.user)
            self._users = None

    def _exchange(self, job: Sequence[ipc.Part], deadline: float) -> dict[str, Any]:
        self._child.connection.send(job)
        while "stage" in (answer := self._child.receive(deadline).fields):
            self._stage = answer["stage"]
        return answer


def environment() -> dict[str, str]:
    """A trial process's: this one's without secrets, and with its modules, wherever they were found."""
    path = os.pathsep.join(os.path.abspath(entry) for entry in sys.path)  # noqa: PTH100  ("" is the current one)
    return {**scrubbed(os.environ), "PYTHONPATH": path}


def _command(descriptor: int) -> Sequence[str]:
    return module_command("server.loading.trial.trial_main", str(descriptor))
