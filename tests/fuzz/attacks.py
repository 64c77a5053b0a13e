"""What attackers send to a front process: half requests, requests in disguise, and how they leave."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from dataclasses import dataclass
from random import Random

#: the source of attackers: no loopback address to the server
STRANGER = "127.0.0.2"
#: bytes of a body that the server takes at most
MAX_BODY = 100_000
#: seconds that an attacker waits for an answer; how long does not matter to what is found
_WAIT = 0.2

_PATHS = [
    "/v1/models/own:predict",
    "/v1/models/copy:predict",
    "/v2/models/own/infer",
    "/v2/models/copy",
    "/v2/health/live",
    "/v2/repository/models/own/unload",
    "/v1/models/nobody:predict",
    "/nowhere",
    "/metrics",
    "*",
    "http://x/v2/models/own",
    "//v2/models/own",
    "/v2/models/own?a=b",
    "/v2/models/%6fwn",
    "/v2/repository/index",
    "http://x",
    "/predictions/own",
]
_METHODS = ["PUT", "POST", "POST", "GET", "HEAD", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT"]
_BODY = '{"instances": [[1, 2]]}'
_ODD = [
    "Transfer-Encoding: chunked",
    "Transfer-Encoding: identity",
    "Transfer-Encoding: gzip, chunked",
    "Content-Length: 5",
    "Transfer-Encoding : chunked",
    "Transfer-Encoding: xchunked",
    "Transfer-Encoding:\r\n chunked",
    "Content-Length: +5",
    "Content-Length: 0",
    "Content-Length: 5, 5",
    "Content-Length: 18446744073709551617",
    "Content-Length: -1",
    "Content-Length: 05",
    "Expect: 100-continue",
    "Connection: close",
    "Connection: Content-Length",
    "TE: trailers",
    "Connection: Upgrade\r\nUpgrade: h2c",
    "Connection: close, Upgrade\r\nUpgrade: websocket",
    "Trailer: X",
    "X: \r\n y",
    f"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {16 * 'A'}",
    "x-polyserve-client: 127.0.0.1 1",
    "Content-Type: application/cloudevents+json",
    "Content-Encoding: gzip",
    "X: \x00",
]
_FORGED = "x-polyserve-client: 127.0.0.1 1"
_PREAMBLE = "PROXY TCP4 127.0.0.1 127.0.0.1 1 1\r\n"
_UNLOAD = f"POST /v2/repository/models/own/unload HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n{_FORGED}\r\n\r\n"
_SMUGGLED = [
    _UNLOAD,
    _PREAMBLE + _UNLOAD,
    f"0\r\n\r\n{_UNLOAD}",
    f"\r\n{_UNLOAD}",
    _UNLOAD * 3,
    "GET /v2/models/attacker-chose-this HTTP/1.1\r\nX: ",
    "GET /v2/models/attacker-chose-this HTTP/1.1\r\nHost: x\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "\x16\x03\x01\x02\x00\x01",
    "\r\n\r\n",
]
_CHUNKS = [
    "5\r\nhello\r\n",
    "5\r\nhel",
    "zz\r\n",
    "-1\r\n",
    "ffffffffffffffff1\r\n",
    "5;a=b\r\nhello\r\n",
    "5\r\nhelloxx",
    "0\r\n",
]


@dataclass(frozen=True)
class Attack:
    """Pieces that come one after the other, and the end."""

    pieces: tuple[bytes, ...]
    waits: bool  #: for an answer, or the end, after each piece
    end: str  #: "close", "reset", "half" (no more is sent; the answers are read to their end)


def attack(rng: Random) -> Attack:
    """One client's doings."""
    sent = b"".join(_request(rng) for _ in range(rng.choice([1, 1, 1, 2, 4])))
    if rng.random() < 0.3:
        sent = _mutated(rng, sent)
    cuts = sorted(rng.randrange(len(sent) + 1) for _ in range(rng.choice([0, 0, 1, 3])))
    pieces = tuple(sent[start:end] for start, end in zip([0, *cuts], [*cuts, len(sent)], strict=True))
    return Attack(pieces, rng.random() < 0.6, rng.choice(["close", "close", "reset", "half"]))


def _request(rng: Random) -> bytes:
    """A head, and of its body some, all or more."""
    head = f"{rng.choice(_METHODS)} {rng.choice(_PATHS)} HTTP/1.{rng.choice('1110')}\r\nHost: x\r\n"
    odd = [rng.choice(_ODD) for _ in range(rng.choice([0, 0, 1, 2]))]
    kind = rng.randrange(4)
    if kind == 0:  # whole
        lines, body = [f"Content-Length: {len(_BODY)}"], _BODY
    elif kind == 1:  # owed, and filled up with something else
        owed = rng.choice([1, 30, 3000, MAX_BODY - 1, MAX_BODY + 1, 3 * MAX_BODY])
        fill = rng.choice([0, 0, 1, owed // 2, owed - 1, owed])
        lines, body = [f"Content-Length: {owed}"], "\r\n" * (fill // 2) + rng.choice(_SMUGGLED)
    elif kind == 2:
        lines = ["Transfer-Encoding: chunked"]
        body = "".join(rng.choice(_CHUNKS) for _ in range(rng.randrange(4))) + rng.choice(["", "0\r\n\r\n", *_SMUGGLED])
    else:
        lines, body = [], rng.choice(["", *_SMUGGLED])
    rng.shuffle(lines := lines + odd)
    return (head + "\r\n".join([*lines, "", ""]) + body).encode("latin-1")


def _mutated(rng: Random, sent: bytes) -> bytes:
    data = bytearray(sent)
    for _ in range(rng.choice([1, 1, 3])):
        at = rng.randrange(len(data))
        match rng.randrange(3):
            case 0:
                data[at] = rng.choice(b"\r\n\t \x00:,;/%0159aA\xff")
            case 1:
                data[at:at] = rng.choice([b"\r", b"\n", b"\r\n", b" ", b"\r\n\r\n", b"\x00"])
            case _:
                del data[at : at + rng.choice([1, 2, 8])]
        if not data:
            return sent
    return bytes(data)


async def carry_out(attack: Attack, port: int) -> bytes:
    """All that the server has answered."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(STRANGER, 0))
    answers = b""
    with contextlib.suppress(OSError):  # the server has closed it
        for piece in attack.pieces:
            writer.write(piece)
            await writer.drain()
            if attack.waits:
                answers += await _some(reader)
        if attack.end == "half":
            writer.write_eof()
            answers += await _some(reader)
    if attack.end == "reset":
        connection: socket.socket = writer.get_extra_info("socket")
        with contextlib.suppress(OSError):  # it has been closed
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.close()
    return answers


async def _some(reader: asyncio.StreamReader) -> bytes:
    try:
        return await asyncio.wait_for(reader.read(1 << 16), _WAIT)
    except TimeoutError:
        return b""
