"""One front process as the main process sees it: how it is started, stopped, and started again when it ends."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any

from server.frontends.control_client import ControlAnswer, ControlClient
from server.frontends.frontend_copies import FrontendCopies, FrontendOwner
from server.runtime.child_process import ChildProcess
from server.runtime.own_code import FIRST_ON_PATH, SOURCE_ROOT
from server.telemetry.metrics import CounterSnapshot
from server.workers.worker_pool import BackOff

log = logging.getLogger("kserve")

#: seconds without a sign of life; a library that loads a large file may keep the interpreter for long
HUNG = 60.0

_MAIN = "server.frontends.frontend_main"
_BOOT = (
    "import sys; descriptor, first, *path = sys.argv[1:]; sys.argv[1:] = []; "
    "sys.path[:0] = [first] if first else []; sys.path += [entry for entry in path if entry not in sys.path]; "
    f"from {_MAIN} import main; main(int(descriptor))"
)


class Frontend:
    """Number `number` of the front processes. All but `keep` is called under one lock, the owner's."""

    def __init__(self, number: int, start: Mapping[str, Any], owner: FrontendOwner) -> None:
        """`start` is sent to the process first."""
        self.number = number
        self.counts: CounterSnapshot = {}  #: what it has counted, when it was asked last
        self.waiting: Mapping[str, int] = {}  #: requests in its queues then, by model
        self.in_flight: Mapping[str, int] = {}  #: requests that it was at then, by model
        self.copies: FrontendCopies | None = None  #: while it serves
        self.ended = threading.Event()  #: for good
        self._start = start
        self._owner = owner
        self._process: ChildProcess | None = None
        self._control: ControlClient | None = None  #: while it serves
        self._counting: Future[None] | None = None
        self._asked = 0.0  #: when it was asked for its counts, by the monotonic clock

    # its life, on a thread of its own

    def keep(self) -> None:
        """Run the process, and another one when it has ended, until the server stops."""
        back_off = BackOff()
        while not self._owner.stopping.is_set():
            began = time.monotonic()
            try:
                self._run()
            except Exception:
                log.exception("process %d of the server cannot be kept", self.number)
            self._owner.stopping.wait(back_off.pause(time.monotonic() - began))
        self.ended.set()

    def _run(self) -> None:
        path = [FIRST_ON_PATH, *(os.path.abspath(entry) for entry in (*sys.path, str(SOURCE_ROOT)) if entry)]  # noqa: PTH100
        command = (sys.executable, "-P", "-u", "-X", f"polyserve_front={self.number}", "-c", _BOOT)
        child = ChildProcess("process", lambda end: (*command, str(end), *path), os.environ, _WholeLines().write)
        control = ControlClient(child)
        self._process = child
        if self._owner.stopping.is_set():  # nobody else will end it
            child.kill()
        control.request("start", **self._start).add_done_callback(lambda answer: self._started(control, answer))
        try:
            control.listen(self.count)
        finally:
            with self._owner.lock:
                self._forget()
            if not self._owner.stopping.is_set():
                child.forget_output()  # it is in the log already
                log.error("process %d of the server: %s; it is started again", self.number, child.cause_of_death())
            child.reap()

    def _started(self, control: ControlClient, answer: ControlAnswer) -> None:
        if answer.exception() is not None:
            return
        if why := answer.result()["error"]:
            log.error("process %d of the server cannot serve: %s", self.number, why)
            self.kill()
            return
        log.info("process %d of the server listens, too", self.number)
        with self._owner.lock:
            self._control, self.copies = control, FrontendCopies(self.number, control, self._owner)
            for name in self._owner.names():
                self.copies.reconcile(name)

    def _forget(self) -> None:
        """The process has ended, with all that it held; what it counted stays."""
        self._control = self.copies = None
        self._owner.keep_counts(self.counts)
        self.counts, self.waiting, self.in_flight = {}, {}, {}

    def kill(self) -> None:
        """End the process now, if there is one."""
        if self._process is not None:
            self._process.kill()

    def stop(self, grace: float) -> None:
        """Have it answer what it has within `grace` seconds, and end; one that does not serve yet ends at once."""
        if self._control is not None:
            self._control.request("stop", grace=grace)
        else:
            self.kill()

    def log_from(self, level: int) -> None:
        """Have it log from this level on, if it serves."""
        if self._control is not None:
            self._control.request("log", level=level)

    # what it has counted

    def count(self) -> Future[None] | None:
        """Ask for its counts; once that is done, `counts` and `waiting` have them. One that never answers is ended."""
        control = self._control
        if control is None:
            return None
        if self._counting is not None and not self._counting.done():
            if time.monotonic() > self._asked + HUNG:
                log.error("process %d of the server hangs, and is killed", self.number)
                self.kill()
            return self._counting
        self._counting, self._asked = done, _ = Future[None](), time.monotonic()

        def counted(answer: ControlAnswer) -> None:
            with self._owner.lock:
                if answer.exception() is None and self._control is control:
                    told = answer.result()
                    self.counts, self.waiting, self.in_flight = told["counts"], told["waiting"], told["in_flight"]
            done.set_result(None)

        control.request("count").add_done_callback(counted)
        return done


class _WholeLines:
    """What the process prints goes where this one's lines go, a whole line at a time."""

    def __init__(self) -> None:
        self._begun = b""

    def write(self, printed: bytes) -> None:
        lines, end, self._begun = (self._begun + printed).rpartition(b"\n")
        if lines:
            sys.stderr.flush()
            os.write(2, lines + end)
