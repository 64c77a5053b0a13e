"""A system's process: started on free ports, waited for, watched, and stopped with all its children."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

READY_SECONDS = 180
STOP_SECONDS = 15
_POLL_SECONDS = 0.02
_CATCH_UP_SECONDS = 0.3
MIB = 2**20


class NotStarted(Exception):
    """A system ended, or did not become ready in time; the message holds the end of its output."""


@dataclass(frozen=True)
class Memory:
    """Resident memory in MiB: of the process that was started, and of it with all its children."""

    main: float
    tree: float


@dataclass
class Running:
    """A system that runs."""

    name: str
    process: subprocess.Popen[bytes]
    http_port: int
    grpc_port: int
    log: Path
    seconds_to_ready: float = 0.0

    def memory(self) -> Memory:
        """Resident memory, now."""
        sizes = [info.rss / MIB for info in self._each(psutil.Process.memory_info)]
        return Memory(sizes[0], sum(sizes))

    def cpu_seconds(self) -> float:
        """Processor time that it and its children have used."""
        return float(sum(times.user + times.system for times in self._each(psutil.Process.cpu_times)))

    def _each(self, ask: Callable[[psutil.Process], Any]) -> Iterator[Any]:
        """The answer of the main process, and of each child that lives."""
        main = psutil.Process(self.process.pid)
        yield ask(main)
        for child in main.children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                yield ask(child)

    def wait_ready(self, path: str, start: float, patience: float = READY_SECONDS) -> None:
        """Until GET `path` answers 200; `start` (monotonic) is when the process was started; `patience` in seconds.

        Raises:
            NotStarted
        """
        while time.monotonic() < start + patience:
            if self.process.poll() is not None:
                raise NotStarted(f"{self.name} ended with {self.process.returncode}: {self._tail()}")
            if _status(self.http_port, path) == 200:
                self.seconds_to_ready = time.monotonic() - start
                return
            time.sleep(_POLL_SECONDS)
        raise NotStarted(f"{self.name} was not ready after {patience:g} s: {self._tail()}")

    def halt(self) -> None:
        """Stop it and its children where they are: what polls while it has nothing to do takes nothing from others."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it and its children go on, those first whose life a parent watches."""
        self._signal(signal.SIGCONT)

    @contextlib.contextmanager
    def awake(self) -> Iterator[None]:
        """Go on for the time of the `with` block. What fell due meanwhile is over when that begins."""
        self.go_on()
        try:
            time.sleep(_CATCH_UP_SECONDS)
            yield
        finally:
            self.halt()

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(psutil.NoSuchProcess):
            main = psutil.Process(self.process.pid)
            family = [main, *main.children(recursive=True)]
            for each in family if number is signal.SIGSTOP else reversed(family):
                with contextlib.suppress(psutil.NoSuchProcess):
                    each.send_signal(number)

    def stop(self) -> None:
        """Ask it to end, then end it and whatever it started: they are one process group of their own."""
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(STOP_SECONDS)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def _tail(self) -> str:
        return self.log.read_text(errors="replace")[-1500:]


@contextlib.contextmanager
def started(
    name: str, command: Sequence[str], ports: tuple[int, int], log: Path, cwd: Path, environ: Mapping[str, str]
) -> Iterator[Running]:
    """Run `command` for the time of the `with` block; `ports` are its HTTP and gRPC ports."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=cwd,
            env={**os.environ, **environ},
            start_new_session=True,
        )
    running = Running(name, process, *ports, log)
    try:
        yield running
    finally:
        running.stop()


@contextlib.contextmanager
def ending_on_sigterm() -> Iterator[None]:
    """SIGTERM unwinds the stack as Ctrl-C does, so that every system is stopped."""

    def leave(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _status(port: int, path: str) -> int | None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
