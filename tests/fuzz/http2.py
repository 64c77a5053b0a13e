"""Connections of HTTP/2 on a port of gRPC and REST: sound frames, damaged ones, and some that nobody sends.

Whatever is said, the server answers in whole frames, an exception never leaves it, and when the connection has gone
nothing of it is left: no call, no byte of a body or of an answer, no task. HPACK is held against the reference library:
a block that it writes, damaged or not, is read here as it is there, or refused.

python -m tests.fuzz.http2 --seed 1 --cases 20000
"""

from __future__ import annotations

import asyncio
import gzip
import logging
from collections import Counter
from collections.abc import Sequence
from random import Random
from typing import Any

import hpack
import uvicorn
from uvicorn.server import ServerState

from server.api.connections import Connections
from server.api.grpc.channel_limits import GrpcLimits
from server.api.grpc.native.call_site import CallSite
from server.api.grpc.native.grpc_protocol import GrpcProtocol
from server.api.grpc.native.native_server import GrpcConnectionLimits
from server.api.http2 import frames
from server.api.http2.frame_reader import Http2Limits
from server.api.http2.frames import ConnectionFailure, ErrorCode, frame
from server.api.http2.hpack import BlockTooLarge, Decoder
from server.api.rest.bounded_protocol import BoundedProtocol, Bounds
from server.api.rest.http2_requests import Http2Requests
from tests.fuzz.arguments import arguments
from tests.fuzz.folders import damaged
from tests.server.api.grpc.native.raw_calls import Obedient, head, message
from tests.server.api.http2.client import HELLO, split

_MOST = 2000  #: bytes of a message
_PATHS = ("/s/echo", "/s/count", "/s/sum", "/s/stream", "/s/none", "/s/unreadable")
_WORDS = (b"hello", b"raise", b"abort", b"metadata", b"large", b"3", b"", b"x" * 1500)
_STRANGE = (
    ("te", "gzip"),
    ("connection", "close"),
    ("x-bin", "!"),
    ("X", "y"),
    (":path", "/"),
    ("content-length", "3"),
)
_REST = (b"/echo", b"/none", b"/a b", b"*", b"/x" * 500)


async def app(scope: Any, receive: Any, send: Any) -> None:
    """REST: answers the length of what it was sent."""
    size, more = 0, True
    while more:
        said = await receive()
        size, more = size + len(said.get("body", b"")), said.get("more_body", False)
    body = b"%d" % size
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


class Socket(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 7)})
        self.written = bytearray()
        self.ended = False

    def write(self, data: Any) -> None:
        self.written += data

    def close(self) -> None:
        self.ended = True

    abort = write_eof = close

    def can_write_eof(self) -> bool:
        return True

    def is_closing(self) -> bool:
        return self.ended

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


class Talker:
    """A client: what it says next, by chance."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._encoder = hpack.Encoder()
        self._next = 1
        self._open: list[int] = []  #: streams whose body is still to come
        self._wild = rng.random() < 0.4  #: says what ends a connection, too

    def said(self) -> bytes:
        """Some bytes: mostly a sound frame or more, of a stream that was begun."""
        rng = self._rng
        wild = (2, 0.3) if self._wild else (0, 0)
        kind = rng.choices(("call", "rest", "body", "other", "strange", "noise"), (6, 3, 5, 4, *wild))[0]
        sound: bytes = getattr(self, f"_{kind}")()
        return damaged(rng, sound) if self._wild and sound and rng.random() < 0.04 else sound

    def _stream(self) -> int:
        last = max(self._next - 2, 1)
        if not self._wild:
            return self._rng.choice(self._open or [last])
        return self._rng.choice([last, last, self._next - 4, 1, 0, self._next, 2]) % 2**31

    def _begin(self, fields: Any, body: bytes) -> bytes:
        rng, number = self._rng, self._next
        self._next += 2
        ended = frames.END_STREAM if not body and rng.random() < 0.5 else 0
        block = self._encoder.encode(fields, huffman=rng.random() < 0.5)
        cut = rng.randrange(len(block)) if rng.random() < 0.2 else len(block)
        whole = frames.END_HEADERS if cut == len(block) else 0
        said = frame(frames.HEADERS, ended | whole, number, block[:cut])
        if not whole:
            said += frame(frames.CONTINUATION, frames.END_HEADERS, number, block[cut:])
        if body and rng.random() < 0.8:
            ended = rng.choice([0, frames.END_STREAM])
            said += frame(frames.DATA, ended, number, body)
        if not ended:
            self._open.append(number)
        return said

    def _call(self) -> bytes:
        rng = self._rng
        more: list[Any] = [rng.choice(_STRANGE)] if rng.random() < 0.1 else []
        if rng.random() < 0.2:
            more.append(("grpc-timeout", rng.choice(["1n", "9S", "99999999H", "soon"])))
        word = rng.choice(_WORDS)
        body = message(word)
        if rng.random() < 0.2:
            more.append(("grpc-encoding", "gzip"))
            body = message(gzip.compress(word), 1)
        if rng.random() < 0.1:
            body = body[:-1] if rng.random() < 0.5 else body * 3
        return self._begin(head(rng.choice(_PATHS), *more), body)

    def _rest(self) -> bytes:
        rng = self._rng
        method = rng.choice([b"GET", b"POST", b"HEAD", b"CONNECT", b"get"])
        fields = [(b":method", method), (b":scheme", b"http"), (b":path", rng.choice(_REST)), (b":authority", b"x")]
        body = b"" if method == b"GET" else rng.choice(_WORDS)
        if rng.random() < 0.3:
            fields.append((b"content-length", b"%d" % len(body)))
        if rng.random() < 0.1:
            fields.append((b"x", bytes(rng.randrange(1, 128) for _ in range(5))))
        return self._begin(fields, body)

    def _body(self) -> bytes:
        rng = self._rng
        if not (self._wild or self._open):
            return b""
        number, ended = self._stream(), rng.choice([0, 0, 1])
        if ended and number in self._open:
            self._open.remove(number)
        payload = rng.choice([message(rng.choice(_WORDS)), rng.randbytes(rng.randrange(40)), b""])
        return frame(frames.DATA, ended | (rng.choice([0, 8]) if self._wild else 0), number, payload)

    def _other(self) -> bytes:
        rng = self._rng
        number = self._stream() if self._next > 1 or self._wild else 0
        more = rng.choice([1, 65_535, 2**30, 0]) if self._wild else rng.choice([1, 1000, 65_535])
        reset = frames.rst_stream(number, ErrorCode.CANCEL) if number else b""
        if reset and number in self._open and rng.random() < 0.2:
            self._open.remove(number)
            return reset
        return rng.choice(
            [
                frames.window_update(rng.choice([0, number]), more),
                reset if self._wild else b"",
                frames.settings({frames.INITIAL_WINDOW_SIZE: rng.choice([0, 1, 65_535, 2**20])}),
                frames.settings({frames.MAX_FRAME_SIZE: rng.choice([16_384, 2**24 - 1])}),
                frame(frames.PING, rng.choice([0, 1]), 0, rng.choice([b"12345678", b"leaving."])),
                frame(frames.PRIORITY, 0, number or 1, b"\0\0\0\0\1"),
                frames.goaway(0, ErrorCode.NO_ERROR),
            ]
        )

    def _strange(self) -> bytes:
        rng = self._rng
        return frame(rng.randrange(16), rng.randrange(256), self._stream(), rng.randbytes(rng.randrange(30)))

    def _noise(self) -> bytes:
        return self._rng.randbytes(self._rng.randrange(60))


class World:
    """What connections share."""

    def __init__(self) -> None:
        self.site = CallSite([Obedient()], GrpcLimits(_MOST, _MOST))
        self.connections = Connections(GrpcConnectionLimits())
        self.bounds = Bounds()
        self.config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off")
        self.config.load()
        self.state = ServerState()

    def connected(self) -> tuple[GrpcProtocol, Socket]:
        make = lambda: BoundedProtocol(  # noqa: E731
            self.bounds, config=self.config, server_state=self.state, app_state={}
        )
        protocol, transport = GrpcProtocol(self.site, self.connections, Http2Limits(64), Http2Requests(make)), Socket()
        protocol.connection_made(transport)
        return protocol, transport

    def left(self) -> tuple[int, ...]:
        """What is held by now."""
        held = (self.site.calls, self.site.unsent, self.site.bodies.held, self.bounds.bodies.held)
        return (*held, len(self.connections), len(self.bounds.connections), len(self.site.tasks), len(self.state.tasks))


async def _connection(world: World, rng: Random, told: Counter[str]) -> None:
    protocol, transport = world.connected()
    talker = Talker(rng)
    said = b"" if rng.random() < 0.02 else HELLO
    for _ in range(rng.randrange(1, 40)):
        said += talker.said()
        if rng.random() < 0.5:
            continue
        for piece in _pieces(rng, said):
            if not transport.ended:
                protocol.data_received(piece)
        said = b""
        if rng.random() < 0.5:
            await asyncio.sleep(0)
    for _ in range(rng.choice([0, 1, 5])):
        await asyncio.sleep(0)
    heard = split(bytes(transport.written))
    assert sum(9 + len(payload) for _, _, _, payload in heard) == len(transport.written)
    assert all(kind <= frames.CONTINUATION for kind, _, _, _ in heard)
    told.update(f"answered {frames_of[kind]}" for kind, _, _, _ in heard)
    told["ended by the server"] += transport.ended
    protocol.connection_lost(None)


frames_of = ("DATA", "HEADERS", "PRIORITY", "RST_STREAM", "SETTINGS", "PUSH_PROMISE", "PING", "GOAWAY", "WINDOW_UPDATE",
             "CONTINUATION")  # fmt: skip


def _pieces(rng: Random, data: bytes) -> list[bytes]:
    if rng.random() < 0.7 or not data:
        return [data] if data else []
    at = rng.randrange(len(data))
    return [piece for piece in (data[:at], data[at:]) if piece]


def compare_hpack(rng: Random) -> str:
    """Some blocks of one connection, read here and by the reference library; what became of them.

    Raises:
        AssertionError: they disagree.
    """
    encoder, written = hpack.Encoder(), []
    for _ in range(rng.randrange(1, 6)):
        fields = [(rng.randbytes(rng.randrange(1, 9)), rng.randbytes(rng.randrange(60))) for _ in range(4)]
        block = encoder.encode([*fields, *head()], huffman=rng.random() < 0.5)
        written.append(damaged(rng, block) if rng.random() < 0.5 else block)
    return compare_blocks(written)


def compare_blocks(blocks: Sequence[bytes]) -> str:
    """The blocks of one connection, read here and by the reference library, up to one that is refused.

    Raises:
        AssertionError: they disagree.
    """
    theirs, ours = hpack.Decoder(2**16), Decoder(2**16)
    for block in blocks:
        try:
            wanted = [(bytes(name), bytes(value)) for name, value in theirs.decode(block, raw=True)]
        except (hpack.HPACKError, UnicodeDecodeError):
            wanted = None
        try:
            found = ours.decode(block)
        except (ConnectionFailure, BlockTooLarge) as error:
            # here alone a number has five bytes at most, and a table may not be shrunk late
            if wanted is not None and "integer" not in str(error):
                raise AssertionError((block, wanted)) from error
            return "refused"
        assert wanted == found, (block, wanted, found)
    return "read alike"


def run(seed: int, cases: int) -> Counter[str]:
    """So many connections and as many tables of HPACK; what was answered.

    Raises:
        AssertionError: with the case's number.
    """
    told: Counter[str] = Counter()

    async def talk() -> None:
        world = World()
        for number in range(cases):
            rng = Random(f"{seed} {number}")
            try:
                await _connection(world, rng, told)
                told[f"HPACK: {compare_hpack(rng)}"] += 1
            except Exception as error:
                raise AssertionError(f"case {number}, seed {seed}: {error!r}") from error
            if number % 50 == 49 or number == cases - 1:
                async with asyncio.timeout(60):
                    while any(world.left()):  # noqa: ASYNC110  (tasks end in their own time)
                        await asyncio.sleep(0.001)

    asyncio.run(talk())
    told["connections"] = cases
    return told


if __name__ == "__main__":
    given = arguments(__doc__, 20_000)
    logging.disable()  # methods that fail are among what is called
    print(dict(run(given.seed, given.cases)))
