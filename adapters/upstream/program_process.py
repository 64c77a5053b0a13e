"""A program that serves a model, as a child of this worker: started, waited for, watched, ended.

It belongs to the worker's process group, so that whoever ends the worker, the server's own end included, ends it, too.
Once it is ready it must not end by itself: the worker ends with it, and is started again as after any death.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket as sockets
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from adapters.base import LoadError
from adapters.upstream.socket_http import BrokenAnswer, Exchange

_PAUSE = 0.1  #: seconds between two looks whether it is ready
_LOOK = 10.0  #: seconds that one look may take
_GRACE = 5.0  #: seconds that it has to end when it is told to
_PREFIX = "polyserve-engine-"
_LONGEST_LIST = 1 << 20  #: bytes
_FAILED = 70  #: the worker's exit code when the program has ended


class ProgramProcess:
    """One running program, reached by `socket`."""

    def __init__(self, line: Sequence[str], environ: Mapping[str, str], folder: Path, socket: Path) -> None:
        """`folder` is its own, and goes with it.

        Raises:
            LoadError: it cannot be started.
        """
        self.socket = socket
        self._folder = folder
        self._name = Path(line[0]).name
        self._ending = False
        try:
            # what it prints goes where this worker's output goes: the log, and the reason when it dies
            self._process = subprocess.Popen(line, env=environ, stdin=subprocess.DEVNULL, cwd=folder)
        except OSError as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise LoadError(f"{self._name} cannot be started: {error.strerror or error}") from error

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_ready(self, served_name: str) -> None:
        """Until it answers that it is well, and for this model. As long as it takes: the server has a limit for it.

        Raises:
            LoadError: it has ended, or serves another model.
        """
        while (code := self._process.poll()) is None:
            if self._is_well():
                return self._check_name(served_name)
            time.sleep(_PAUSE)
        raise LoadError(f"{self._name} ended while it was loading the model ({_how(code)}): its output is in the log")

    def watch(self, ended: Callable[[str], None]) -> None:
        """Call `ended` (from a thread) with the reason, should it end by itself."""
        threading.Thread(target=self._watch, args=(ended,), name="program", daemon=True).start()

    def close(self) -> None:
        """End it: it is asked to, and after a moment made to."""
        self._ending = True
        self._process.terminate()
        try:
            self._process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _watch(self, ended: Callable[[str], None]) -> None:
        code = self._process.wait()
        if not self._ending:
            ended(f"{self._name} has ended ({_how(code)})")

    def _is_well(self) -> bool:
        try:
            return _in_a_loop(self._get("/health"))[0] == 200
        except (BrokenAnswer, TimeoutError):
            return False

    def _check_name(self, served_name: str) -> None:
        try:
            _, body = _in_a_loop(self._get("/v1/models"))
            names = [each["id"] for each in orjson.loads(body)["data"]]
        except (BrokenAnswer, TimeoutError, ValueError, TypeError, KeyError) as error:
            raise LoadError(f"{self._name} does not say which model it serves: {error}") from error
        if served_name not in names:
            raise LoadError(f"{self._name} serves {', '.join(map(str, names))[:200]!r}, and not {served_name!r}")

    async def _get(self, target: str) -> tuple[int, bytes]:
        async with asyncio.timeout(_LOOK):
            exchange = await Exchange.begin(self.socket, "GET", target)
            try:
                return exchange.status, await exchange.body(_LONGEST_LIST)
            finally:
                exchange.close()


def socket_folder() -> Path:
    """A folder for a socket, which its owner alone may enter.

    Raises:
        LoadError: this process may not listen, and so may not what it starts.
    """
    _sweep()
    folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))
    try:
        with sockets.socket(sockets.AF_UNIX) as trial:
            trial.bind(str(folder / "trial"))
            trial.listen()
    except PermissionError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise LoadError(
            "a program that serves a model has to listen on a socket, which this process may not: "
            "--sandbox forbids it; serve this model by a server without it"
        ) from error
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise LoadError(f"there is no place for the program's socket in {folder.parent} (TMPDIR): {error}") from error
    (folder / "trial").unlink()
    return folder


def _sweep() -> None:
    """Remove the folders of workers that were killed: those whose process is gone."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*-*"):
        pid = folder.name.removeprefix(_PREFIX).partition("-")[0]
        if pid.isdecimal() and not Path("/proc", pid).exists() and folder.stat().st_uid == os.geteuid():
            shutil.rmtree(folder, ignore_errors=True)


def end_worker(reason: str) -> None:
    """The program has ended: so does this worker, whose last words are the reason."""
    print(reason, file=sys.stderr, flush=True)
    os._exit(_FAILED)


def _in_a_loop(asked: Coroutine[Any, Any, tuple[int, bytes]]) -> tuple[int, bytes]:
    """`asyncio.run` would leave this thread without the loop that the worker's requests will be on."""
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(asked)
    finally:
        loop.close()


def _how(code: int) -> str:
    """How a process ended."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
