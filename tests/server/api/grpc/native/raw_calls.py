"""Calls of gRPC by a client that says what it should not (`h2`), and a service that does as it is told."""

from __future__ import annotations

import asyncio
import gzip
import socket
import struct
import zlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

import grpc
import h2.config
import h2.connection
import h2.events

Headers = list[tuple[bytes, bytes]]

#: bytes of a message, either way
MOST = 1000


class Obedient(grpc.GenericRpcHandler):
    """Answers what it is sent, unless that is the name of something else to do."""

    def __init__(self) -> None:
        self.metadata: list[Any] = []
        self.running = 0
        self.cancelled = 0
        self.deadlines: list[float | None] = []
        self.gate = asyncio.Event()

    def service(self, handler_call_details: Any) -> Any:
        return {
            "/s/echo": grpc.unary_unary_rpc_method_handler(self.echo),
            "/s/unreadable": grpc.unary_unary_rpc_method_handler(self.echo, _refuse),
            "/s/unwritable": grpc.unary_unary_rpc_method_handler(self.echo, None, _refuse),
            "/s/count": grpc.unary_stream_rpc_method_handler(self.count),
            "/s/sum": grpc.stream_unary_rpc_method_handler(self.joined),
            "/s/stream": grpc.stream_stream_rpc_method_handler(self.each),
        }.get(handler_call_details.method)

    async def echo(self, raw: bytes, context: Any) -> bytes:
        self.metadata.append(context.invocation_metadata())
        self.deadlines.append(context.time_remaining())
        self.running += 1
        try:
            return await self._obeyed(raw, context)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.running -= 1

    async def _obeyed(self, raw: bytes, context: Any) -> bytes:
        if raw == b"raise":
            raise ValueError("a failure\n\u00e9")
        if raw == b"metadata":
            await context.send_initial_metadata((("first", "1"),))
            context.set_trailing_metadata((("last", "2"), ("last-bin", b"\x00\xff")))
        if raw == b"abort":
            await context.abort(grpc.StatusCode.NOT_FOUND, "d\u00e9tails: 100 %\n", (("why-bin", b"\x01"),))
        if raw == b"wait":
            await self.gate.wait()
        return b"x" * 2 * MOST if raw == b"large" else raw

    async def count(self, raw: bytes, context: Any) -> AsyncIterator[bytes]:
        for number in range(int(raw or b"0")):
            yield b"%d" % number
        if raw == b"2":
            await context.abort(grpc.StatusCode.DATA_LOSS, "two are too few")

    async def joined(self, requests: AsyncIterator[bytes], context: Any) -> bytes:
        return b"+".join([each async for each in requests])

    async def each(self, requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        async for request in requests:
            if request == b"raise":
                raise ValueError("a failure")
            yield request


def _refuse(_: object) -> bytes:
    raise ValueError("it cannot be said")


def message(raw: bytes, flag: int = 0) -> bytes:
    return struct.pack(">BL", flag, len(raw)) + raw


def head(path: str = "/s/echo", *more: tuple[str, str | bytes], **changed: str) -> Headers:
    """Of a call; `changed` by a field's name without colon and with `_` for `-`."""
    fields = {":method": "POST", ":scheme": "http", ":path": path, ":authority": "host", "te": "trailers"}
    fields |= {"content-type": "application/grpc"}
    for name, value in changed.items():
        fields[":method" if name == "method" else name.replace("_", "-")] = value
    pairs: list[tuple[str, str | bytes]] = [*fields.items(), *more]
    return [(name.encode(), value if isinstance(value, bytes) else value.encode("latin-1")) for name, value in pairs]


#: what a head and a body are answered alike by both fronts
CALLS: dict[str, tuple[Headers, bytes]] = {
    "plain": (head(), message(b"hello")),
    "empty": (head(), message(b"")),
    "metadata": (
        head("/s/echo", ("x-a", "1"), ("x-a", "2"), ("x-b-bin", "AAE"), ("x-c-bin", "AAE="), ("user-agent", "u"),
             ("x-empty", ""), ("x-latin", b"caf\xe9"), ("cookie", "a=b"), ("authorization", "Bearer x"),
             ("grpc-something", "x"), ("grpc-tags-bin", "AAE"), ("host", "other"), ("accept-encoding", "gzip")),
        message(b"metadata")),
    "metadata that is no base64": (head("/s/echo", ("x-b-bin", "!!!")), message(b"hello")),
    "a timeout": (head(grpc_timeout="50S"), message(b"hello")),
    "a timeout of nine digits": (head(grpc_timeout="123456789S"), message(b"hello")),
    "one of ten thousand years": (head(grpc_timeout="99999999H"), message(b"hello")),
    "one that is none": (head(grpc_timeout="soon"), message(b"hello")),
    "one that passes": (head(grpc_timeout="100m"), message(b"wait")),
    "one that has passed": (head(grpc_timeout="0n"), message(b"wait")),
    "no such method": (head("/s/none"), message(b"hello")),
    "no path": (head("none"), message(b"hello")),
    "another content type": (head(content_type="text/plain"), message(b"hello")),
    "that of protobuf": (head(content_type="application/grpc+proto"), message(b"hello")),
    "it raises": (head(), message(b"raise")),
    "it aborts": (head(), message(b"abort")),
    "it cannot be read": (head("/s/unreadable"), message(b"hello")),
    "it cannot be written": (head("/s/unwritable"), message(b"hello")),
    "the answer is too large": (head(), message(b"large")),
    "the request is too large": (head(), message(b"x" * (MOST + 1))),
    "as large as may be": (head(), message(b"x" * MOST)),
    "two messages of one": (head(), message(b"one") + message(b"two")),
    "compressed by nothing": (head(), message(gzip.compress(b"hello"), 1)),
    "compressed by identity": (head(grpc_encoding="identity"), message(b"hello")),
    "gzip": (head(grpc_encoding="gzip"), message(gzip.compress(b"hello"), 1)),
    "gzip, not used": (head(grpc_encoding="gzip"), message(b"hello")),
    "deflate": (head(grpc_encoding="deflate"), message(zlib.compress(b"hello"), 1)),
    "damaged": (head(grpc_encoding="gzip"), message(b"hello", 1)),
    "cut": (head(grpc_encoding="gzip"), message(gzip.compress(b"hello")[:-9], 1)),
    "a bomb": (head(grpc_encoding="gzip"), message(gzip.compress(b"x" * 100_000), 1)),
    "an encoding that nobody knows": (head(grpc_encoding="snappy"), message(b"hello")),
    "a stream": (head("/s/stream"), message(b"one") + message(b"") + message(b"three")),
    "a stream of none": (head("/s/stream"), b""),
    "a stream that is cut": (head("/s/stream"), message(b"one") + message(b"two")[:-1]),
    "a stream that fails": (head("/s/stream"), message(b"one") + message(b"raise") + message(b"two")),
    "a stream, compressed": (head("/s/stream", grpc_encoding="gzip"), message(gzip.compress(b"1"), 1) + message(b"2")),
    "answers in parts": (head("/s/count"), message(b"3")),
    "no parts": (head("/s/count"), message(b"0")),
    "parts, and an end": (head("/s/count"), message(b"2")),
    "requests in parts": (head("/s/sum"), message(b"one") + message(b"two")),
    "requests in parts, of none": (head("/s/sum"), b""),
}  # fmt: skip


def call(port: int, fields: Sequence[tuple[bytes, bytes]], body: bytes, pieces: int = 1, patience: float = 60) -> Any:
    """What a call is answered: headers, data, trailers, or how it was reset."""
    config = h2.config.H2Configuration(client_side=True, validate_outbound_headers=False,
                                       normalize_outbound_headers=False, header_encoding=None)  # fmt: skip
    client = h2.connection.H2Connection(config)
    client.initiate_connection()
    client.send_headers(1, list(fields), end_stream=False)
    size = min(16_384, max(1, -(-len(body) // pieces)))
    for at in range(0, len(body), size):
        client.send_data(1, body[at : at + size])
    client.end_stream(1)
    with socket.create_connection(("127.0.0.1", port), timeout=patience) as connection:
        connection.sendall(client.data_to_send())
        heard: list[Any] = []
        data = b""
        while received := connection.recv(65_536):
            for event in client.receive_data(received):
                if isinstance(event, h2.events.ResponseReceived | h2.events.TrailersReceived):
                    heard.append([(name, value) for name, value in event.headers or ()])
                elif isinstance(event, h2.events.DataReceived):
                    data += event.data or b""
                elif isinstance(event, h2.events.StreamEnded):
                    return heard, data
                elif isinstance(event, h2.events.StreamReset | h2.events.ConnectionTerminated):
                    return type(event).__name__, event.error_code
            connection.sendall(client.data_to_send())
        return heard, data, "hung up"
