"""The parent's side of a child process: a fresh interpreter, or a fork; talk with it, what it prints, and why it died.

A fork of this process itself it never is: frameworks' threads and locks do not survive one. `forking` forks what has
neither.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence

from server.runtime import ipc
from server.runtime.forking import ForkedProcess
from server.runtime.line_marks import unmarked
from server.runtime.receiving import ReceiveLimits
from server.runtime.sandbox.sandbox import Confinement
from server.text import blanked

log = logging.getLogger("kserve")

_TAIL_BYTES = 4096
_TAIL_SHOWN = 300
_READS = 16  #: more than a pipe holds, yet no end of them
_GRACE = 10.0  #: seconds for the kernel to bury a process
_STACK = b"Fatal Python error: "  #: where the stack of a crash begins, by `faulthandler`
_HUNG_UP = select.POLLHUP | select.POLLERR | select.POLLNVAL


class ChildProcess:
    """A process that leads a group of its own, the connection to it, and its output."""

    def __init__(
        self,
        noun: str,
        command: Callable[[int], Sequence[str]],
        environ: Mapping[str, str],
        on_output: Callable[[bytes], None] = lambda _: None,
        limits: ReceiveLimits = ipc.WIDEST,
        confinement: Confinement | None = None,
        fork: Callable[[int], ForkedProcess] | None = None,
    ) -> None:
        """`command` takes the descriptor of the child's end; `noun` is what the process is called in reasons.

        `limits` are of the messages that it may send. `confinement` is this child's alone, and ends with it. `fork`
        makes a child that has the descriptor; where it cannot, the command is run.

        Raises:
            OSError: it cannot be started.
        """
        self._noun = noun
        self._on_output = on_output
        self._tail = b""
        self._killed = False
        self._watching = False
        self._confinement = confinement
        ours, theirs = socket.socketpair()
        self.connection = ipc.Connection(ours, limits)
        with theirs:
            try:
                forked = _forked(fork, theirs.fileno()) if fork and not confinement else None
                line = command(theirs.fileno())
                if confinement:
                    line, environ = confinement.command(line), confinement.environ(environ)
                self._process = forked or _start(line, environ, theirs.fileno())
            except OSError:
                ours.close()
                if confinement:
                    confinement.close()
                raise
        assert self._process.stdout is not None
        self._output = self._process.stdout
        os.set_blocking(self._output.fileno(), False)
        self._poll = select.poll()
        self._poll.register(self._output, select.POLLIN)
        self._poll.register(ours, select.POLLIN)

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait(self, seconds: float) -> bool:
        """Take in output until the connection has something to read, or was hung up: True; or the time is over."""
        deadline = time.monotonic() + seconds
        while self._watching or not self.connection.pending:
            left = deadline - time.monotonic()
            ready = dict(self._poll.poll(max(0, left) * 1000))
            if self._output.fileno() in ready and not self.read_output():
                self._poll.unregister(self._output)
            if self.connection.socket.fileno() in ready:
                return True
            if left <= 0:
                return False
        return True

    def watch_only(self) -> None:
        """From now on `wait` is about the other side hanging up: somebody else reads the connection."""
        self._watching = True
        self._poll.modify(self.connection.socket, 0)

    def receive(self, deadline: float) -> ipc.Message:
        """The next message, by a deadline of the monotonic clock.

        Raises:
            TimeoutError: it did not come in time.
            OSError, WireError, EOFError: the connection broke.
        """
        if (left := deadline - time.monotonic()) <= 0 or not self.wait(left):
            raise TimeoutError
        self.connection.wait_at_most(max(0.001, deadline - time.monotonic()))
        message = self.connection.receive()
        self.connection.wait_at_most(ipc.FOREVER)
        if message is None:
            raise EOFError
        return message

    def alive(self) -> bool:
        return not self._killed and not self._ended()

    def kill(self) -> None:
        """End the process and what it started."""
        self._killed = True
        if self._process.returncode is None:  # the group's number is taken until its leader is reaped
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def hang_up(self) -> None:
        """Let the process know that nobody will ask it anything any more."""
        with contextlib.suppress(OSError):
            self.connection.socket.shutdown(socket.SHUT_RDWR)

    def end(self, grace: float = 0.0) -> None:
        """End the process, after `grace` seconds in which it may do so itself."""
        self._await_end(grace)
        self.kill()

    def reap(self) -> None:
        """End the process and let go of all that belongs to it."""
        self.kill()
        try:
            self._process.wait(_GRACE)
        except subprocess.TimeoutExpired:  # it waits for a device or a network mount; `subprocess` reaps it later
            log.warning("the %s %d does not end", self._noun, self._process.pid)
        self.connection.socket.close()
        self._output.close()
        if self._process.stdin is not None:
            self._process.stdin.close()
        if self._confinement:
            self._confinement.close()

    def forget_output(self) -> None:
        """What was printed so far explains nothing any more."""
        self.read_output()
        self._tail = b""

    def read_output(self) -> bool:
        """Take in what the child has printed, keeping the end of it; False when it can print no more."""
        for _ in range(_READS):
            try:
                printed = os.read(self._output.fileno(), 65536)
            except BlockingIOError:
                return True
            if not printed:
                return False
            self._tail = (self._tail + printed)[-_TAIL_BYTES:]
            self._on_output(printed)
        return True

    def cause_of_death(self, doing: str = "", grace: float = _GRACE) -> str:
        """Why it died, in words; `doing` is what it was asked to do. Waits for its end, and ends what it started."""
        if not self._await_end(grace):
            self.kill()
            return f"{doing} broke the connection to the {self._noun}" if doing else f"the {self._noun} hung up"
        self.kill()
        status = self._process.wait()
        if status >= 0:
            cause = f"{doing} ended the {self._noun}" if doing else f"the {self._noun} ended"
            cause += f" (exit code {status})"
        elif status == -signal.SIGKILL:
            cause = f"the {self._noun} was killed (SIGKILL), as happens when memory runs out"
            cause = f"{doing}, {cause}" if doing else cause
        elif doing:
            cause = (
                f"{doing} crashed the {self._noun} ({_signal_name(-status)}): "
                "the file is damaged, or was written by another version of its framework"
            )
        else:
            cause = f"the {self._noun} crashed ({_signal_name(-status)})"
        return f"{cause}; last output: {last}" if (last := self._last_output()) else cause

    def _ended(self) -> bool:
        """Without reaping it: its number, which is its group's, must not go to somebody else yet."""
        if self._process.returncode is not None:
            return True
        if isinstance(self._process, ForkedProcess):
            return self._process.has_ended()
        try:
            return os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError:
            return True

    def _await_end(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        pause = 0.001
        while not self._ended():
            if time.monotonic() >= deadline:
                return False
            time.sleep(pause)
            pause = min(2 * pause, 0.05)
        return True

    def _last_output(self) -> str:
        """The last lines that the child printed, as one line."""
        self.read_output()
        text = unmarked(self._tail.partition(_STACK)[0]).decode(errors="replace")
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        text = " / ".join(blanked(line) for line in lines[-3:])
        return text if len(text) <= _TAIL_SHOWN else f"...{text[-_TAIL_SHOWN:]}"


def _forked(fork: Callable[[int], ForkedProcess], descriptor: int) -> ForkedProcess | None:
    try:
        return fork(descriptor)
    except OSError as error:
        log.info("a fresh process takes the place of a fork: %s", error)
        return None


def _start(command: Sequence[str], environ: Mapping[str, str], descriptor: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command,
        env=environ,
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
