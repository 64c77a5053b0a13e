"""`python -m bench.http2_soak`: guests over HTTP/2 come and go for minutes; what does the server keep of them?

    python -m bench.http2_soak [--seconds 180] [--guests 4]

Each connection is one of: whole calls that are answered, calls that are taken back, calls that end within their
message, streams that are reset as fast as they begin, floods of PING and of SETTINGS, answers that nobody reads. After
each part a new client is answered, and the server's memory, open descriptors and threads are counted; the exit status
is 1 where they grow after the first part, or a sound request fails.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import psutil

from bench.arguments import count, guarded, say
from bench.process import Running
from bench.report import table
from bench.requests import Protocol, request
from bench.strangers import CALL_HEAD, MODEL, READY, RUN, answered, serving, sound_model

PARTS = 6
SLACK = 16  #: MiB that the memory may grow by after the first part
_FEW = 8  #: descriptors and threads that may be more or fewer, of those that come and go
_STREAMS = 50  #: of a connection
_FLOOD = 5000  #: frames
_TIMEOUT = 20.0
_LAST = b"the last"  #: in a PING behind all that a guest sends
_ANSWERED = b"grpc-status\x010"

DATA, HEADERS, RST, SETTINGS, PING = 0, 1, 3, 4, 6
END_STREAM, END_HEADERS = 1, 4
GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + bytes((SETTINGS, 0)) + bytes(4)


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """One frame."""
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def _begun(stream: int) -> bytes:
    return frame(HEADERS, END_HEADERS, stream, CALL_HEAD)


def message() -> bytes:
    """A sound request, with the five bytes before it."""
    body = request(Protocol.GRPC, MODEL, np.array([[1.0, 1.0]])).body
    return b"\0" + len(body).to_bytes(4, "big") + body


def _streams() -> range:
    return range(1, 2 * _STREAMS, 2)


def guests() -> Mapping[str, bytes]:
    """What each kind of guest sends behind its greeting, all at once."""
    sent = message()
    half = sent[: len(sent) // 2]
    whole = [_begun(stream) + frame(DATA, END_STREAM, stream, sent) for stream in _streams()]
    taken_back = [
        each + frame(RST, 0, stream, bytes((0, 0, 0, 8))) for stream, each in zip(_streams(), whole, strict=True)
    ]
    resets = [_begun(stream) + frame(RST, 0, stream, bytes((0, 0, 0, 8))) for stream in range(1, 2 * _FLOOD, 2)]
    return {
        "calls": b"".join(whole),
        "taken back": b"".join(taken_back),
        "within a message": b"".join(_begun(stream) + frame(DATA, 0, stream, half) for stream in _streams()),
        "resets": b"".join(resets),
        "pings": frame(PING, 0, 0, bytes(8)) * _FLOOD,
        "settings": frame(SETTINGS, 0, 0) * _FLOOD,
        "unread": b"".join(whole),
    }


def visit(port: int, kind: str, sent: bytes) -> str:
    """One connection: how it ended, by its last frame from the server."""
    with contextlib.closing(socket.create_connection(("127.0.0.1", port), _TIMEOUT)) as end:
        try:
            end.sendall(GREETING + sent)
            if kind == "unread":
                return "left"
            if kind == "calls":
                _read(end, _ANSWERED, _STREAMS)
                return "answered"
            if kind == "taken back":
                end.sendall(frame(PING, 0, 0, _LAST))
                _read(end, _LAST, 1)
                return "heard"
            end.shutdown(socket.SHUT_WR)
            while end.recv(2**16):
                pass
        except (ConnectionError, TimeoutError) as error:
            return type(error).__name__
    return "ended"


def _read(end: socket.socket, mark: bytes, times: int) -> None:
    """Until this has come so often.

    Raises:
        ConnectionError: the server has hung up before.
    """
    read = b""
    while read.count(mark) < times:
        more = end.recv(2**16)
        if not more:
            raise ConnectionResetError
        read += more


def _part(port: int, kinds: Mapping[str, bytes], number: int, until: float) -> Counter[str]:
    """`number` guests at a time, until then, of each kind in turn."""
    ended: Counter[str] = Counter()
    lock = threading.Lock()

    def come(first: int) -> None:
        for turn in itertools.count(first):
            if time.monotonic() >= until:
                return
            kind = list(kinds)[turn % len(kinds)]
            how = visit(port, kind, kinds[kind])
            with lock:
                ended[f"{kind}: {how}"] += 1

    threads = [threading.Thread(target=come, args=(each,)) for each in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return ended


def _counted(server: Running) -> tuple[float, int, int]:
    process = psutil.Process(server.process.pid)
    return server.memory().main, process.num_fds(), process.num_threads()


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; the exit status is 1 where something grew, or a sound request failed."""
    parser = argparse.ArgumentParser(prog="python -m bench.http2_soak", description=__doc__)
    parser.add_argument("--seconds", type=count, default=180, help="in all; default 180")
    parser.add_argument("--guests", type=count, default=4, help="at a time; default 4")
    options = parser.parse_args(arguments)
    return guarded(lambda: _run(options.seconds, options.guests))


def _run(seconds: int, number: int) -> int:
    kinds, lines, found = guests(), [], []
    ended: Counter[str] = Counter()
    with serving(sound_model(RUN / "http2"), one_port=True) as server:
        server.wait_ready(READY, time.monotonic())
        asked: Callable[[], bool] = lambda: answered(server) is not None  # noqa: E731
        sound = asked()
        for part in range(PARTS + 1):
            if part:
                ended += _part(server.grpc_port, kinds, number, time.monotonic() + seconds / PARTS)
                sound = sound and asked()
            found.append(_counted(server))
            memory, descriptors, threads = found[-1]
            lines.append((f"{part}/{PARTS}", str(ended.total()), f"{memory:.1f}", str(descriptors), str(threads)))
            say(f"part {part} of {PARTS}")
    print(
        f"{ended.total():,} connections over HTTP/2 in {seconds} s, {number} at a time, one port for REST and gRPC.\n"
    )
    print(table(("after", "connections", "memory, MiB", "descriptors", "threads"), lines))
    print("\n" + ", ".join(f"{how} {times:,}" for how, times in sorted(ended.items())))
    first, last = found[1], found[-1]
    grown = last[0] - first[0] > SLACK or any(now - then > _FEW for then, now in zip(first[1:], last[1:], strict=True))
    return int(grown or not sound)


if __name__ == "__main__":
    sys.exit(main())
