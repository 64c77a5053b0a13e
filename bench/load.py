"""The load generators: wrk for HTTP, h2load (nghttp2) for gRPC. Both are C, one thread each, closed loops.

gRPC may be driven by grpcio's own client in Python as well (`bench.grpcio_load`), which costs more than most servers.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np

from bench import places
from bench.requests import Protocol, Request

PACKAGES = {"wrk": "wrk", "h2load": "nghttp2-client"}
GRPC_CONNECTIONS = 4  #: at most; streams are spread over them
_ANSWER_TIMEOUT = "60s"
_GRACE_SECONDS = 90  #: past its duration, for a generator to end by itself


class Client(StrEnum):
    """Who sends gRPC's calls."""

    H2LOAD = "h2load"
    GRPCIO = "grpcio"


class MissingTool(Exception):
    """A load generator is not installed; the message says how to install it."""


class LoadFailed(Exception):
    """A load generator printed something else than figures."""


@dataclass(frozen=True)
class Figures:
    """What one timed run counted. Latencies in milliseconds; NaN when nothing was answered in time."""

    requests: int
    seconds: float
    p50: float
    p99: float
    errors: int  #: refused, failed, broken or timed out

    @property
    def throughput(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds


def require(*tools: str) -> None:
    """Raises:
    MissingTool: one is not installed.
    """
    if absent := [tool for tool in tools if shutil.which(tool) is None]:
        packages = " ".join(PACKAGES[tool] for tool in absent)
        raise MissingTool(f"{' and '.join(absent)} not found; on Debian: apt-get install {packages}")


def drive(
    request: Request,
    port: int,
    connections: int,
    seconds: int,
    answer_bytes: int = 0,
    client: Client = Client.H2LOAD,
) -> Figures:
    """Send `request` over and over on `connections` connections (gRPC: streams, of that `client`) for `seconds`.

    `answer_bytes` is the length of a good gRPC answer: h2load does not read gRPC's status, so what came is weighed.
    """
    with tempfile.TemporaryDirectory() as folder:
        body, log = Path(folder) / "body", Path(folder) / "latencies"
        if request.protocol is Protocol.GRPC and client is Client.GRPCIO:
            body.write_bytes(request.body)
            return parse_grpcio(_run(grpcio_command(body, port, request.path, connections, seconds), seconds))
        if request.protocol is Protocol.GRPC:
            body.write_bytes(_framed(request.body))
            output = _run(h2load_command(body, log, port, request.path, connections, seconds), seconds)
            return parse_h2load(output, _latencies(log), seconds, len(_framed(b"")) + answer_bytes)
        body.write_bytes(request.body)
        return parse_wrk(_run(wrk_command(request, body, port, connections, seconds), seconds))


def _framed(message: bytes) -> bytes:
    """A gRPC message, uncompressed, behind its length."""
    return b"\0" + len(message).to_bytes(4, "big") + message


def wrk_command(request: Request, body: Path, port: int, connections: int, seconds: int) -> list[str]:
    headers = [part for name, value in request.headers.items() for part in ("-H", f"{name}: {value}")]
    load = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", _ANSWER_TIMEOUT, *headers]
    return [*load, "-s", str(places.POST_LUA), f"http://127.0.0.1:{port}{request.path}", "--", str(body)]


def h2load_command(body: Path, log: Path, port: int, path: str, streams: int, seconds: int) -> list[str]:
    clients = min(GRPC_CONNECTIONS, streams)
    load = ["h2load", "-t1", f"-c{clients}", f"-m{streams // clients}", f"-D{seconds}", f"-d{body}"]
    headers = ["-H", "content-type: application/grpc", "-H", "te: trailers"]
    return [*load, *headers, f"--log-file={log}", f"http://127.0.0.1:{port}{path}"]


def grpcio_command(body: Path, port: int, path: str, streams: int, seconds: int) -> list[str]:
    load = [sys.executable, "-m", "bench.grpcio_load", f"--port={port}", f"--path={path}", f"--body={body}"]
    return [*load, f"--channels={min(GRPC_CONNECTIONS, streams)}", f"--streams={streams}", f"--seconds={seconds}"]


def parse_grpcio(output: str) -> Figures:
    """The figures that `bench.grpcio_load` prints.

    Raises:
        LoadFailed: it printed none, or calls failed: with the first one's status.
    """
    try:
        found = json.loads(output)
    except ValueError as error:
        raise LoadFailed(f"bench.grpcio_load printed no figures: {output[-500:]}") from error
    if found["errors"]:
        raise LoadFailed(f"{found['errors']} of {found['requests']} calls failed: {found['first_error']}")
    p50, p99 = (float("nan") if found[name] is None else float(found[name]) for name in ("p50", "p99"))
    return Figures(found["requests"], float(found["seconds"]), p50, p99, 0)


def parse_wrk(output: str) -> Figures:
    """The figures of wrk's output, from the line that post.lua prints."""
    line = next((line for line in output.splitlines() if line.startswith('{"requests"')), None)
    if line is None:
        raise LoadFailed(f"wrk printed no figures: {output[-500:]}")
    found = json.loads(line)
    errors = sum(found[kind] for kind in ("connect", "read", "write", "status", "timeout"))
    answered = found["requests"] > 0
    p50, p99 = ((found[name] / 1e3 if answered else float("nan")) for name in ("p50", "p99"))
    return Figures(found["requests"], found["microseconds"] / 1e6, p50, p99, errors)


def parse_h2load(output: str, latencies: list[int], seconds: float, answer_bytes: int) -> Figures:
    """The figures of h2load's output; `latencies` of its log are in microseconds, `answer_bytes` a good answer's."""
    counts = re.search(r"requests: .* (\d+) done, \d+ succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", output)
    traffic = re.search(r"traffic: .*\((\d+)\) data", output)
    if counts is None or traffic is None:
        raise LoadFailed(f"h2load printed no figures: {output[-500:]}")
    done, failed, errored, timeout = map(int, counts.groups())
    # An error has no message. Up to `connections` streams that were cut off at the end brought one, and are not done.
    missing = max(done - int(traffic[1]) // answer_bytes, 0)
    errors = failed + errored + timeout + missing
    p50, p99 = np.percentile(latencies, (50, 99)) / 1e3 if latencies else (float("nan"), float("nan"))
    return Figures(done, seconds, float(p50), float(p99), errors)


def _latencies(log: Path) -> list[int]:
    return [int(line.split("\t")[2]) for line in log.read_text().splitlines()] if log.exists() else []


def _run(command: list[str], seconds: int) -> str:
    try:
        ended = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=seconds + _GRACE_SECONDS,
            check=False,
            cwd=places.REPOSITORY,
        )
    except subprocess.TimeoutExpired as error:
        raise LoadFailed(f"{command[0]} did not end") from error
    if ended.returncode:
        raise LoadFailed(f"{command[0]}: {ended.stderr[-500:] or ended.stdout[-500:]}")
    return ended.stdout
