"""The parent's side of one trial process: start it, put a model to it, read its answer or the cause of its death."""

from __future__ import annotations

import logging
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any

from adapters.base import LoadError
from server.native_threads import ONE_THREAD
from server.workers import frames

log = logging.getLogger("kserve")

_TAIL_BYTES = 4096
_TAIL_SHOWN = 300
_READS = 16  #: more than a pipe holds, yet no end of them
_GRACE = 10.0  #: seconds for the kernel to bury a process
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


class Crash(LoadError):
    """The child died. `first`: it was the child's first trial, so that no other model can be to blame."""

    def __init__(self, reason: str, *, first: bool) -> None:
        super().__init__(reason)
        self.first = first


class TrialProcess:
    """One trial process, and this side of the conversation with it."""

    def __init__(self) -> None:
        self.busy = False
        self._killed = False
        self.adapters: set[str] = set()
        self._trials = 0
        self._stage = "load"
        self._tail = b""
        self._connection, theirs = socket.socketpair()
        with theirs:
            try:
                self._process = _start(theirs.fileno())
            except OSError as error:
                self._connection.close()
                raise LoadError(f"no process for trying the model could be started: {error}") from error
        assert self._process.stdout is not None
        self._output = self._process.stdout
        os.set_blocking(self._output.fileno(), False)

    def run(self, adapter: str, job: bytes, timeout: float) -> Trial:
        """One trial; after a timeout or a crash the child is dead."""
        self.adapters.add(adapter)
        self._trials += 1
        self._stage = "load"
        self._read_output()
        self._tail = b""
        try:
            answer = self._exchange(job, timeout)
        except TimeoutError as error:
            self.kill()
            raise LoadError(f"{_DOING[self._stage]} took longer than {timeout:g} s (--load_timeout)") from error
        except (OSError, ValueError, EOFError) as error:
            raise Crash(self._cause_of_death(), first=self._trials == 1) from error
        if not answer.pop("ok"):
            raise LoadError(answer["reason"])
        return Trial(**answer)

    def alive(self) -> bool:
        return not self._killed and self._process.poll() is None

    def kill(self) -> None:
        self._killed = True
        self._process.kill()

    def bury(self) -> None:
        """End the process and let go of all that belongs to it."""
        self.kill()
        try:
            self._process.wait(_GRACE)
        except subprocess.TimeoutExpired:  # it waits for a device or a network mount; `subprocess` reaps it later
            log.warning("the trial process %d does not end", self._process.pid)
        self._connection.close()
        self._output.close()
        if self._process.stdin is not None:
            self._process.stdin.close()

    def _exchange(self, job: bytes, timeout: float) -> dict[str, Any]:
        deadline = time.monotonic() + timeout
        self._connection.settimeout(timeout)
        self._connection.sendall(job)
        with selectors.PollSelector() as selector:
            selector.register(self._connection, selectors.EVENT_READ)
            selector.register(self._output, selectors.EVENT_READ)
            while (left := deadline - time.monotonic()) > 0:
                ready = {key.fileobj for key, _ in selector.select(left)}
                if self._output in ready and not self._read_output():
                    selector.unregister(self._output)
                if self._connection in ready:
                    message = frames.receive(self._connection)
                    if message is None:
                        raise EOFError
                    if "stage" not in message:
                        return message
                    self._stage = message["stage"]
        raise TimeoutError

    def _read_output(self) -> bool:
        """Take in what the child has printed, keeping the end of it; False when it can print no more."""
        for _ in range(_READS):
            try:
                printed = os.read(self._output.fileno(), 65536)
            except BlockingIOError:
                return True
            if not printed:
                return False
            self._tail = (self._tail + printed)[-_TAIL_BYTES:]
        return True

    def _cause_of_death(self) -> str:
        doing = _DOING[self._stage]
        try:
            status = self._process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            self.kill()
            return f"{doing} broke the connection to the trial process"
        if status >= 0:
            cause = f"{doing} ended the trial process (exit code {status})"
        elif status == -signal.SIGKILL:
            cause = f"{doing}, the trial process was killed (SIGKILL), as happens when memory runs out"
        else:
            cause = (
                f"{doing} crashed the trial process ({_signal_name(-status)}): "
                "the file is damaged, or was written by another version of its framework"
            )
        return f"{cause}; last output: {last}" if (last := self._last_output()) else cause

    def _last_output(self) -> str:
        """The last lines that the child printed, as one line."""
        self._read_output()
        lines = [line.strip() for line in self._tail.decode(errors="replace").splitlines() if line.strip()]
        text = " / ".join("".join(c if c.isprintable() else " " for c in line) for line in lines[-3:])
        return text if len(text) <= _TAIL_SHOWN else f"...{text[-_TAIL_SHOWN:]}"


def _start(descriptor: int) -> subprocess.Popen[bytes]:
    """A fresh interpreter (never a fork: frameworks' threads and locks do not survive one) with this one's modules."""
    path = os.pathsep.join(os.path.abspath(entry) for entry in sys.path)  # noqa: PTH100  ("" is the current directory)
    return subprocess.Popen(
        [sys.executable, "-P", "-u", "-m", "server.workers.trial_child", str(descriptor)],
        env={**os.environ, **ONE_THREAD, "PYTHONPATH": path},
        stdin=subprocess.PIPE,  # held open: its end tells the child that the server is gone
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        bufsize=0,
        pass_fds=(descriptor,),
        start_new_session=True,
    )


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
