"""Child processes that are forked: what this process has imported by then, they need not import again.

    ForkServer.start        this process forks once, while it has one thread: the fork is the fork server
      -> fork_server.serve  it waits for wishes, forks a child for each, and tells how it ended; it runs nothing itself
    ForkServer.fork         a child that runs the server's `program` -> `ForkedProcess`, as `subprocess.Popen` has it

Whoever starts it answers for what its children may see: they have a copy of this process's memory, though neither its
environment nor its open files.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

from server.runtime.fork_server import PID, READY, STATUS, serve

__all__ = ["ForkServer", "ForkedProcess", "threads"]

_PATIENCE = 30.0  #: seconds for a fork, on a machine that swaps
_STEP = 120.0  #: seconds for one of the steps before the first one


def threads() -> int:
    """Threads of this process, those of native code among them."""
    return len(list(Path("/proc/self/task").iterdir()))


class ForkServer:
    """The fork that children are forked off. Thread-safe."""

    def __init__(self, pid: int, connection: socket.socket) -> None:
        self._pid = pid
        self._connection = connection
        self._lock = threading.Lock()

    @classmethod
    def start(
        cls,
        program: Callable[[int], None],
        environ: Mapping[str, str],
        steps: Sequence[Callable[[], None]] = (),
    ) -> ForkServer | None:
        """Fork: each child will run `program` on the descriptor that it is forked with, in this environment.

        The `steps` are done by the fork server, before it forks any: call `survived_step` for each.

        None: it cannot be done: there are other threads, whose locks would stay locked, or no `pidfd_open`.
        """
        if threads() > 1 or not hasattr(os, "pidfd_open"):
            return None
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            sys.stdout.flush()  # or a fork would say it again
            sys.stderr.flush()
            try:
                pid = os.fork()
            except OSError:
                ours.close()
                return None
            if pid == 0:
                serve(theirs, program, environ, steps)
        return cls(pid, ours)

    def survived_step(self) -> bool:
        """Wait for the next of its steps; False: it has ended over it, or takes too long."""
        self._connection.settimeout(_STEP)
        try:
            return self._connection.recv(len(READY)) == READY
        except OSError:
            return False
        finally:
            self._connection.settimeout(None)

    def fork(self, descriptor: int) -> ForkedProcess:
        """A new child, which has a copy of the descriptor, and leads a process group of its own.

        Raises:
            OSError: there is none.
        """
        status, its_status = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        life, output = os.pipe(), os.pipe()
        try:
            with its_status, self._lock:
                socket.send_fds(self._connection, [b"fork"], [descriptor, life[0], output[1], its_status.fileno()])
            status.settimeout(_PATIENCE)
            told = status.recv(PID.size)
            if len(told) != PID.size:
                raise ConnectionError("the fork server has ended")
            (pid,) = PID.unpack(told)
        except OSError:
            status.close()
            os.close(life[1])
            os.close(output[0])
            raise
        finally:
            os.close(life[0])
            os.close(output[1])
        return ForkedProcess(pid, status, os.fdopen(life[1], "wb", 0), os.fdopen(output[0], "rb", 0))

    def close(self) -> None:
        """End the fork server. Children live on."""
        with self._lock:
            if self._connection.fileno() < 0:
                return
            self._connection.close()
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(self._pid, 0)


class ForkedProcess:
    """A forked child, as far as `subprocess.Popen` of a fresh one is used."""

    def __init__(self, pid: int, status: socket.socket, stdin: IO[bytes], stdout: IO[bytes]) -> None:
        self.pid = pid
        self.stdin: IO[bytes] | None = stdin
        self.stdout: IO[bytes] | None = stdout
        self.returncode: int | None = None  #: None until it has been waited for: its number is nobody else's till then
        self._status = status
        self._status.setblocking(False)
        self._ended: int | None = None

    def has_ended(self) -> bool:
        """Without letting its number go to somebody else."""
        if self._ended is None:
            try:
                told = self._status.recv(STATUS.size)
            except BlockingIOError:
                return False
            # no status: the fork server is gone, and with it who knows; its children are tied to us, not to it
            self._ended = STATUS.unpack(told)[0] if len(told) == STATUS.size else self._end()
        return True

    def wait(self, timeout: float | None = None) -> int:
        """How it ended, as `Popen.returncode`; from then on its number may be another's.

        Raises:
            subprocess.TimeoutExpired
        """
        if self.returncode is None:
            if not self.has_ended():
                select.select([self._status], [], [], timeout)
            if not self.has_ended():
                raise subprocess.TimeoutExpired("a forked process", timeout or 0)
            self.returncode = self._ended
            self._status.close()  # the fork server ends what is left of its group, and reaps it
        assert self.returncode is not None
        return self.returncode

    def _end(self) -> int:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        return -signal.SIGKILL
