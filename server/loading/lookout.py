"""Looks at folders in a thread that can be left behind: a disk that hangs holds the look at its own folder alone.

Whatever asks a network mount that no longer answers (NFS, a FUSE program that has died) waits in the kernel, where no
time-out and no signal reaches it. So who looks at many folders does it in a thread, and says before each which it is
(`at`). Where one has not answered for `PATIENCE`, and the thread has not computed either, that is left to wait, the
folder is put aside under its name, and the look begins anew without it. When it answers after all, the thread ends, and
the folder is as all others.

    Lookout.look(work) --> a thread: work() --> at(path) ... at(path) --> the outcome
              `--> nothing new for long: the folder hangs, work() again without it
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from contextvars import copy_context
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import ClassVar, TypeVar

_T = TypeVar("_T")

#: seconds that a folder may take to answer one question
PATIENCE = 20.0
_LOOKS = 4  #: in which nothing new is seen, within that time: a machine that was halted has not been looked at
_GONE = 1.0  #: seconds in which a thread that is done has ended
_RESTS = 5.0  #: seconds that a thread waits for more
HANGS = (
    "the folder does not answer: its disk, or what is mounted there (NFS, a FUSE program), hangs; it is looked at "
    "again when it does"
)

_here = threading.local()  #: .look: what the thread is at


class NoAnswer(OSError):
    """The models directory itself, or what nothing can be told without, does not answer."""


class _LeftBehind(Exception):
    """Nobody waits for this look any more."""


class Lookout:
    """Who looks at the folders of one directory. Thread-safe."""

    def __init__(self, root: str | os.PathLike[str], patience: float = PATIENCE) -> None:
        self._root = os.path.abspath(root)  # noqa: PTH100  (a link to it may hang, too)
        self._patience = patience
        self._lock = threading.Lock()
        self._stuck: dict[str, int] = {}  #: names of folders that hang, and how many looks wait for each

    @property
    def hanging(self) -> frozenset[str]:
        """The names of the folders that do not answer now."""
        with self._lock:
            return frozenset(self._stuck)

    def look(self, work: Callable[[], _T]) -> _T:
        """What `work` gives, which looks at folders; it may be called anew, without those that hang.

        Raises:
            NoAnswer: the directory itself does not answer.
            Exception: as `work`.
        """
        while True:
            hanging = self.hanging
            if "" in hanging:
                raise self._no_answer()
            look = _Look(self._root, hanging)
            outcome: Future[_T] = Future()
            context = copy_context()
            thread = threading.Thread(target=context.run, args=(self._run, look, work, outcome), daemon=True)
            thread.start()
            if self._is_done(look, outcome, thread):
                _await_end(thread)
                return outcome.result()

    def _run(self, look: _Look, work: Callable[[], _T], outcome: Future[_T]) -> None:
        _here.look = look
        try:
            outcome.set_result(work())
        except BaseException as error:
            outcome.set_exception(error)
        finally:
            if look.stuck is not None:
                self._answers(look.stuck)

    def _is_done(self, look: _Look, outcome: Future[_T], thread: threading.Thread) -> bool:
        """Wait for the outcome; False: the look was left behind where it is."""
        same, before = 0, ""
        while same < _LOOKS:
            try:
                outcome.exception(self._patience / _LOOKS)
            except NotYet:
                now = f"{look.steps} {_worked(thread)}"
                same, before = (same + 1, before) if now == before else (0, now)
            else:
                return True
        with self._lock:
            if outcome.done():
                return True
            look.stuck = look.name
            self._stuck[look.name] = self._stuck.get(look.name, 0) + 1
        return False

    def _answers(self, name: str) -> None:
        with self._lock:
            self._stuck[name] -= 1
            if not self._stuck[name]:
                del self._stuck[name]

    def _no_answer(self) -> NoAnswer:
        return NoAnswer(f"{self._root} does not answer: its disk, or what is mounted there, hangs")


class _Look:
    """One look, and where it is."""

    def __init__(self, root: str, hanging: frozenset[str]) -> None:
        self.root = root
        self.hanging = hanging
        self.name = ""  #: of the folder that it is at; "" is the directory itself
        self.steps = 0
        self.stuck: str | None = None  #: where it was left behind

    def at(self, path: str) -> bool:
        if self.stuck is not None:
            raise _LeftBehind
        self.name = self._name(path)
        self.steps += 1
        return self.name not in self.hanging

    def _name(self, path: str) -> str:
        if not path.startswith(self.root):
            return ""
        return path[len(self.root) :].lstrip("/").partition("/")[0]


def at(path: str) -> bool:
    """Whoever looks is about to ask about this path; False: its folder hangs, and is not to be asked.

    Outside a look nothing is known of that.
    """
    look: _Look | None = getattr(_here, "look", None)
    return look is None or look.at(path)


def left_out() -> frozenset[str]:
    """The folders that this look has to do without."""
    look: _Look | None = getattr(_here, "look", None)
    return look.hanging if look is not None else frozenset()


def within(seconds: float, work: Callable[[], _T]) -> _T:
    """What `work` gives, which asks one folder.

    Raises:
        NoAnswer: it did not come back in this time, and was left behind.
    """
    outcome: Future[_T] = Future()
    thread = _Aside.idle()

    def run() -> None:
        try:
            value = work()
        except BaseException as error:
            thread.rest()
            outcome.set_exception(error)
        else:
            thread.rest()
            outcome.set_result(value)

    thread.jobs.put(partial(copy_context().run, run))
    try:
        outcome.exception(seconds)
    except NotYet:
        raise NoAnswer(f"no answer within {seconds:g} s") from None
    return outcome.result()


class _Aside:
    """A thread for what may have to be left behind, of `within`.

    It waits a while for more: to start one takes longer than to look at most folders, and a model is three looks.
    """

    _resting: ClassVar[list[_Aside]] = []

    def __init__(self) -> None:
        self.jobs: SimpleQueue[Callable[[], None]] = SimpleQueue()
        threading.Thread(target=self._run, name="aside", daemon=True).start()

    @classmethod
    def idle(cls) -> _Aside:
        """One that has nothing to do; it is the caller's until it rests."""
        try:
            return cls._resting.pop()
        except IndexError:
            return cls()

    def rest(self) -> None:
        """The job is done, but for telling it."""
        self._resting.append(self)

    def _run(self) -> None:
        while True:
            with contextlib.suppress(Empty):
                self.jobs.get(timeout=_RESTS)()
                continue
            try:
                self._resting.remove(self)
            except ValueError:  # somebody has just taken it
                continue
            return


os.register_at_fork(after_in_child=_Aside._resting.clear)  # its threads are the parent's


def _worked(thread: threading.Thread) -> str:
    """Something that changes while a thread computes, or waits for a processor to."""
    try:
        stat = Path(f"/proc/self/task/{thread.native_id}/stat").read_text()
    except OSError:
        return ""
    state, *numbers = stat.rpartition(")")[2].split()
    return str(time.monotonic()) if state == "R" else " ".join(numbers[10:12])


def _await_end(thread: threading.Thread) -> None:
    """Until the kernel, too, has it no more: what is forked off a process with other threads may wait for ever."""
    deadline = time.monotonic() + _GONE
    while os.path.exists(f"/proc/self/task/{thread.native_id}") and time.monotonic() < deadline:  # noqa: PTH110
        time.sleep(0.0002)
