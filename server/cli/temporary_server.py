"""A server of one model, started for a command that was given a folder, and stopped when the command is done."""

from __future__ import annotations

import contextlib
import difflib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import SystemRandom
from typing import IO

import click

from server.cli.folders import problem_of
from server.cli.main import Failure
from server.cli.screen import plain, progress
from server.cli.server_client import RunningServer
from server.runtime.own_code import module_command

_PORTS = range(20_000, 32_768)  #: below those of clients (ip(7), `ip_local_port_range`)
_PAUSE = 0.05  #: seconds between two looks at it
_STOP = 20.0  #: seconds that it may take to end
_STILL_LOADING = 504  #: the status of a request that has waited for as long as requests may
_SHOWN = 2000  #: bytes of its output, where it fails
#: variables that would give the server other models, or other ways in, than the command means
_NOT_ITS = ("STORAGE_URI", "MODEL_NAME", "MODEL_DIR", "ADMIN_TOKEN", "KSERVE_TLS_CERT_FILE", "KSERVE_TLS_KEY_FILE")


@dataclass(frozen=True)
class TemporaryServer:
    """Where it listens."""

    rest: RunningServer
    grpc_port: int


def folder_of(name: str, directory: Path) -> Path:
    """The folder of the model `name` in a folder of models.

    Raises:
        click.UsageError: there is none.
    """
    folder = directory / name
    if "/" not in name and name not in (".", "..") and folder.is_dir():
        return folder
    names = sorted(each.name for each in directory.iterdir() if each.is_dir() and not each.name.startswith("."))
    if near := difflib.get_close_matches(name, names, n=1):
        raise click.UsageError(f"{plain(directory)} holds no model {plain(name)!r}: did you mean {plain(near[0])}?")
    if directory.resolve().name == name:
        above = plain(directory.parent)
        raise click.UsageError(f"{plain(directory)} is the model's own folder: name the one above, --dir={above}")
    there = f"there are {plain(', '.join(names[:10]))}" if names else "it holds no folder"
    raise click.UsageError(f"{plain(directory)} holds no model {plain(name)!r}: {there}")


@contextlib.contextmanager
def serving(name: str, directory: Path) -> Iterator[TemporaryServer]:
    """Within, a server serves the model `name` of a folder of models, on ports of its own.

    Raises:
        click.UsageError: there is no such folder.
        Failure: the model cannot be served, with the reason.
    """
    folder = folder_of(name, directory)
    if problem := problem_of(str(folder)):
        raise click.UsageError(problem)
    http_port, grpc_port = _free_ports()
    # of the others no file is loaded: only what is asked for is
    flags = [f"--model_dir={directory}", "--load=lazy", f"--http_port={http_port}", f"--grpc_port={grpc_port}"]
    environ = {
        key: value for key, value in os.environ.items() if not key.startswith("POLYSERVE_") and key not in _NOT_ITS
    }
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            [*module_command("server.__main__"), *flags, "--watch=false", "--shutdown_delay=0"],
            env={**environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
        try:
            server = TemporaryServer(RunningServer(f"http://127.0.0.1:{http_port}"), grpc_port)
            with progress(f"loading {name}"):
                _wait(server.rest, name, process, output)
            yield server
        finally:
            _stop(process)


def _free_ports() -> list[int]:
    """Two that nobody has, none of those that the kernel gives to clients, who could be there before the server."""
    with contextlib.ExitStack() as held:
        free: list[int] = []
        for port in SystemRandom().sample(_PORTS, len(_PORTS)):
            taken = held.enter_context(socket.socket())
            with contextlib.suppress(OSError):
                taken.bind(("", port))
                free.append(port)
            if len(free) == 2:
                return free
    raise Failure("no two ports from 20000 to 32767 are free for the server of this command")


def _wait(server: RunningServer, name: str, process: subprocess.Popen[bytes], output: IO[bytes]) -> None:
    """Until the model is loaded: asking what it takes loads it."""
    path = f"/v2/models/{urllib.parse.quote(name, safe='')}"
    while True:
        if process.poll() is not None:
            raise Failure(f"the server of {plain(name)} ended: {_last_of(output)}")
        try:
            answer = server.get(path)
        except Failure:  # it does not listen yet
            time.sleep(_PAUSE)
            continue
        if answer.status == 200:
            return
        if answer.status != _STILL_LOADING:
            raise Failure(f"{plain(name)} cannot be served: {answer.error}")


def _last_of(output: IO[bytes]) -> str:
    output.seek(0, os.SEEK_END)
    output.seek(max(0, output.tell() - _SHOWN))
    lines = output.read().decode(errors="replace").strip().splitlines()
    return plain(lines[-1]) if lines else "without a word"


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(_STOP)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
