"""Runs an installer: its output goes to the log line by line, its end is bounded, and its last words are kept."""

from __future__ import annotations

import collections
import contextlib
import logging
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

log = logging.getLogger("kserve")

_TAIL = 400  #: lines
_LONGEST = 2000  #: characters of a line
_PROGRESS = 15.0  #: seconds between two messages about a command that runs on
_GRACE = 10.0  #: seconds for the kernel to bury a process

_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+(?=@)")


@dataclass(frozen=True, slots=True)
class CommandsClosed:
    """How a command ended. `code` is None when it ran past its time or was stopped."""

    code: int | None
    lines: tuple[str, ...]  #: the last of what it printed, without credentials
    stopped: bool = False


class Commands:
    """Starts commands, any number at a time, and ends what still runs when it is closed. Thread-safe."""

    def __init__(self) -> None:
        self._running: set[subprocess.Popen[str]] = set()
        self._lock = threading.Lock()
        self._closed = False

    def run(
        self, command: Sequence[str], environ: Mapping[str, str], cwd: Path, timeout: float, label: str, keep: int
    ) -> CommandsClosed:
        """Run to the end, or for `timeout` seconds. `keep` is a descriptor that the command inherits: it holds a lock.

        Raises:
            OSError: it could not be started.
        """
        process = subprocess.Popen(
            list(command),
            env=dict(environ),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,  # so that what it starts ends with it
            pass_fds=(keep,),
        )
        tail: collections.deque[str] = collections.deque(maxlen=_TAIL)
        reader = threading.Thread(target=_read, args=(process, label, tail), name=label, daemon=True)
        reader.start()
        with self._lock:
            self._running.add(process)
            if self._closed:
                _kill(process)
        try:
            code = _wait(process, timeout, label, tail)
        finally:
            _kill(process)
            process.wait(_GRACE)
            with self._lock:
                self._running.discard(process)
        reader.join(_GRACE)  # what has left the process group may hold the other end for ever
        return CommandsClosed(None if self._closed else code, tuple(tail), self._closed)

    def close(self) -> None:
        """End what runs, and whatever is started from now on."""
        with self._lock:
            self._closed = True
            for process in self._running:
                _kill(process)


def _wait(process: subprocess.Popen[str], timeout: float, label: str, tail: Sequence[str]) -> int | None:
    """Its exit status, or None after the timeout. Tells now and then that it is still at it."""
    start = time.monotonic()
    while (left := start + timeout - time.monotonic()) > 0:
        try:
            return process.wait(min(left, _PROGRESS))
        except subprocess.TimeoutExpired:
            log.info("%s has been at it for %.0f s%s", label, time.monotonic() - start, f": {tail[-1]}" if tail else "")
    return None


def _read(process: subprocess.Popen[str], label: str, tail: collections.deque[str]) -> None:
    assert process.stdout is not None
    with process.stdout as output:
        for raw in output:
            if line := _CREDENTIALS.sub("****", raw[:_LONGEST]).rstrip():
                log.debug("%s: %s", label, line)
                tail.append(line)


def _kill(process: subprocess.Popen[str]) -> None:
    """End the process and all of its group; also those that it left behind."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
