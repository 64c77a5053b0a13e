"""`python -m bench.strangers`: what others notice of strangers' connections, and of strangers' folders beside theirs.

    python -m bench.strangers [--only connections,folders] [--connections 10000] [--descriptors 1024]

Connections: silent ones, ones that stop within a head or a body or send a byte of it now and then, and calls of gRPC
whose message never comes, against a server with few descriptors. Meanwhile new clients ask for liveness and
predictions, over REST and gRPC: how many failed, and how long they took.

Folders: one model by itself, and beside a folder of 50,000 files, 5,000 folders, and pickles of 473 bytes and 100 MB
that cost whoever reads them all they can: seconds until the model answers, and memory of the server's own process.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import http.client
import json
import resource
import shutil
import socket
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import grpc
import joblib
from sklearn.linear_model import LinearRegression

from bench import places
from bench.arguments import count, list_of, say
from bench.ports import free_port
from bench.process import MIB, Running, started
from bench.report import table

RUN = places.CACHE / "strangers"
MODEL = "sound"
ROW = b'{"instances": [[1.0, 1.0]]}'
READY = f"/v2/models/{MODEL}/ready"
#: what a stranger sends over HTTP, and nothing after it
BEGUN = (
    b"",
    b"POST /v1/models/sound:predict HTTP/1.1\r\nHost: x\r\nX: ",
    b"POST /v1/models/sound:predict HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{",
    b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n",
)
#: of a call of ModelInfer, as literals that no table is needed for
CALL_HEAD = (
    b"\x83\x86\x41\x01x\x04\x2a/inference.GRPCInferenceService/ModelInfer\x5f\x10application/grpc\x00\x02te\x08trailers"
)
#: and over gRPC: nothing, half a greeting, a call whose message does not come
GRPC_BEGUN = (
    b"",
    b"PRI * HTTP/2.0\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"
    + len(CALL_HEAD).to_bytes(3, "big")
    + b"\1\4\0\0\0\1"
    + CALL_HEAD,
)
_ADDRESSES = 200  #: that strangers come from: a hundred ports of each are enough
_EVERY = 50  #: strangers between two sound requests


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables; the exit status is 1 where a sound request failed."""
    parser = argparse.ArgumentParser(prog="python -m bench.strangers", description=__doc__)
    parser.add_argument("--only", type=list_of(str, ("connections", "folders")), default=["connections", "folders"])
    parser.add_argument("--connections", type=count, default=10_000)
    parser.add_argument("--http2", action="store_true", help="all speak HTTP/2, on one port for all protocols")
    parser.add_argument("--descriptors", type=count, default=1024, help="that the server may have open")
    options = parser.parse_args(arguments)
    failed = 0
    if "connections" in options.only:
        failed += _connections(options.connections, options.descriptors, http2=options.http2)
    if "folders" in options.only:
        _folders()
    return int(failed > 0)


def sound_model(folder: Path) -> Path:
    """A folder of one small model."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / MODEL).mkdir(parents=True)
    joblib.dump(LinearRegression().fit([[0.0, 0.0], [1.0, 1.0]], [0.0, 1.0]), folder / MODEL / "model.joblib")
    return folder


def serving(folder: Path, *flags: str, descriptors: int = 0, one_port: bool = False) -> AbstractContextManager[Running]:
    """A server of it, with so many descriptors; `one_port`: for both protocols, and so for REST over HTTP/2."""
    first = free_port()
    ports = first, first if one_port else free_port()
    limits = ["bash", "-c", f'ulimit -n {descriptors}; exec "$@"', "bash"] if descriptors else []
    command = [*limits, sys.executable, "-m", "server", f"--model_dir={folder}", "--watch=false", *flags]
    command += [f"--http_port={ports[0]}", f"--grpc_port={ports[1]}"]
    return started(MODEL, command, ports, RUN / "server.log", places.REPOSITORY, {})


# connections


def _connections(number: int, descriptors: int, *, http2: bool) -> int:
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    lines, failures = [], 0
    for workers in (1, 2):
        with serving(
            sound_model(RUN / "one"), f"--workers={workers}", descriptors=descriptors, one_port=http2
        ) as server:
            server.wait_ready(READY, time.monotonic())
            quiet = [answered(server) for _ in range(50)]
            seconds, held = asyncio.run(_besieged(server, number, GRPC_BEGUN if http2 else BEGUN))
            after = [answered(server) for _ in range(50)]
            for what, found in (("before", quiet), ("during", seconds), ("after", after)):
                good = sorted(each for each in found if each is not None)
                failed = len(found) - len(good)
                failures += failed
                times = f"{statistics.median(good) * 1000:.0f}", f"{good[-1] * 1000:.0f}"
                connected = str(held) if what == "during" else "0"
                lines.append((str(workers), what, connected, str(len(found)), str(failed), *times))
            say(f"--workers={workers}: {server.memory().main:.0f} MiB")
    print(f"{number:,} strangers' connections, a server with {descriptors:,} descriptors.\n")
    print(table(("workers", "when", "connected", "asked", "failed", "median, ms", "slowest, ms"), lines))
    return failures


async def _besieged(server: Running, number: int, begun: Sequence[bytes]) -> tuple[list[float | None], int]:
    """The times of sound requests while strangers come and stay; and how many stay in the end."""
    ends: list[socket.socket | None] = []
    found = []
    for index in range(number):
        port, ways = (server.http_port, begun) if index % 2 else (server.grpc_port, GRPC_BEGUN)
        ends.append(await _stranger(port, ways[index // 2 % len(ways)], index))
        if index % _EVERY == 0:
            for end in ends[1::4]:  # of those within a head or a body
                with contextlib.suppress(OSError):
                    if end:
                        end.send(b"1")
            found.append(await asyncio.to_thread(answered, server))
    held = sum(_is_open(each) for each in ends if each)
    for each in ends:
        if each:
            each.close()
    return found, held


async def _stranger(port: int, begun: bytes, index: int) -> socket.socket | None:
    end = socket.socket()
    end.setblocking(False)
    end.bind((f"127.0.1.{1 + index % _ADDRESSES}", 0))
    try:
        async with asyncio.timeout(10):
            await asyncio.get_running_loop().sock_connect(end, ("127.0.0.1", port))
            await asyncio.get_running_loop().sock_sendall(end, begun)
    except (OSError, TimeoutError):
        end.close()
        return None
    return end


def _is_open(end: socket.socket) -> bool:
    try:
        while data := end.recv(65536):
            del data
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def answered(server: Running) -> float | None:
    """Seconds of liveness, a prediction and a call of gRPC, by new clients; None: one of them failed."""
    began = time.monotonic()
    try:
        for method, path, body in (("GET", "/v2/health/live", None), ("POST", f"/v1/models/{MODEL}:predict", ROW)):
            connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=30)
            connection.request(method, path, body)
            answer = connection.getresponse()
            said = answer.read()
            connection.close()
            if answer.status != 200 or (body and json.loads(said) != {"predictions": [1.0]}):
                return None
        options = [("grpc.use_local_subchannel_pool", 1)]
        with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}", options) as channel:
            channel.unary_unary("/inference.GRPCInferenceService/ServerLive")(b"", timeout=30)
    except (OSError, http.client.HTTPException, grpc.RpcError):
        return None
    return time.monotonic() - began


# folders


def _alone(folder: Path) -> None:
    pass


def _many_files(folder: Path) -> None:
    (folder / "files").mkdir()
    for number in range(50_000):
        (folder / "files" / f"{number}.bin").touch()


def _many_folders(folder: Path) -> None:
    for number in range(5_000):
        (folder / f"folder-{number}").mkdir()
        (folder / f"folder-{number}" / "notes.txt").write_text("no model")


def _small_pickle(folder: Path) -> None:
    """Tuples of tuples, each of nine times the one before it: 9 ** 20 of them, to whoever looks into all."""
    content = b"\x80\x02(K\x01K\x02K\x03tq\x00" + (b"(" + b"h\x00" * 9 + b"tq\x00") * 20
    _pickle(folder, content + b"0" * (473 - len(content) - 2) + b"N.")


def _large_pickle(folder: Path) -> None:
    _pickle(folder, b"\x80\x02" + b"".join(b"cm%08x\nC\n0" % number for number in range(7_700_000)) + b"N.")


def _pickle(folder: Path, content: bytes) -> None:
    (folder / "pickle").mkdir()
    (folder / "pickle" / "model.pkl").write_bytes(content)


BESIDE: dict[str, Callable[[Path], None]] = {
    "by itself": _alone,
    "beside a folder of 50,000 files": _many_files,
    "in a mount of 5,000 folders": _many_folders,
    "beside a pickle of 473 bytes": _small_pickle,
    "beside a pickle of 100 MB": _large_pickle,
}


def _folders() -> None:
    lines = []
    for name, make in BESIDE.items():
        folder = sound_model(RUN / "folders")
        make(folder)
        began = time.monotonic()
        with serving(folder) as server:
            server.wait_ready(READY, began)
            ready = server.seconds_to_ready
            server.wait_ready("/v2/health/ready", began, 300)
            memory = _peak(server.process.pid)
            took = f"{ready:.1f}", f"{server.seconds_to_ready:.1f}"
            lines.append((name, *took, f"{memory:.0f}", f"{server.cpu_seconds():.1f}"))
        say(name)
    shutil.rmtree(RUN / "folders")
    print("\nOne model that is sound, and what is beside it.\n")
    print(table(("", "it answers, s", "all are looked at, s", "peak memory of the server, MiB", "processor, s"), lines))


def _peak(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    (kilobytes,) = (line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
    return int(kilobytes) * 1024 / MIB


if __name__ == "__main__":
    sys.exit(main())
