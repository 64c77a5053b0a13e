"""Messages as they stand in the body of a call: a byte that says whether it is compressed, its length, and itself.

Bytes of a message that is still coming, or that nobody has taken yet, are counted in `Bodies`, over all connections.

Source: gRPC's PROTOCOL-HTTP2.md, Length-Prefixed-Message.
"""

from __future__ import annotations

import asyncio
import zlib
from typing import Any, NamedTuple

from server.api.bodies import Bodies
from server.errors import ServingError, TooLarge

#: bytes before a message
PREFIX = 5
#: bytes that a message takes in memory beside its own, as long as it waits: many are empty where somebody wants harm
OVERHEAD = 128
#: bytes that are compressed or inflated on the event loop; more are in a thread
_INLINE = 64 * 1024
#: zlib's `wbits` of an encoding
_WBITS = {"gzip": 31, "deflate": 15}


class MessageError(ServingError):
    """The body of a call is none of gRPC's."""

    grpc = "INTERNAL"


class FramedMessage(NamedTuple):
    """One as it came."""

    compressed: bool
    raw: bytes


class MessageReader:
    """Cuts the body of one call into messages."""

    __slots__ = ("_bodies", "_buffer", "_held", "_most")

    def __init__(self, most: int, bodies: Bodies) -> None:
        """`most`: bytes of one; -1: whatever comes."""
        self._most = most
        self._bodies = bodies
        self._buffer = bytearray()
        self._held = 0

    def feed(self, data: bytes) -> list[FramedMessage]:
        """The messages that are whole by now: what they hold is counted until `release`.

        Raises:
            TooLarge, Overloaded
            MessageError: there is something else.
        """
        self._bodies.take(len(data))
        self._held += len(data)
        buffer = self._buffer
        buffer += data
        found = []
        while len(buffer) >= PREFIX:
            if buffer[0] > 1:
                raise MessageError(f"a message begins with the byte {buffer[0]}, which says nothing: 0 or 1 does")
            size = int.from_bytes(buffer[1:PREFIX], "big")
            if size > self._most >= 0:
                raise TooLarge(f"SERVER: Received message larger than max ({size} vs. {self._most})")
            if len(buffer) < PREFIX + size:
                break
            self._bodies.take(OVERHEAD)
            self._held += OVERHEAD
            found.append(FramedMessage(buffer[0] == 1, bytes(memoryview(buffer)[PREFIX : PREFIX + size])))
            del buffer[: PREFIX + size]
        return found

    @property
    def has_begun(self) -> bool:
        """A message has, and is not whole."""
        return bool(self._buffer)

    def release(self, size: int) -> None:
        """A message of `size` bytes is taken."""
        size = min(PREFIX + OVERHEAD + size, self._held)
        self._held -= size
        self._bodies.give_back(size)

    def close(self) -> None:
        """Nobody takes anything any more."""
        self._buffer = bytearray()
        self._bodies.give_back(self._held)
        self._held = 0


def only_message(body: bytes, most: int) -> bytes | None:
    """The message of a body that is like that of most calls: one of `most` bytes at most, not compressed."""
    size = len(body) - PREFIX
    if 0 <= size <= most and not body[0] and int.from_bytes(body[1:PREFIX], "big") == size:
        return body[PREFIX:]
    return None


def framed(message: bytes, compressed: bool = False) -> bytes:
    """A message as it is sent."""
    return (b"\x01" if compressed else b"\x00") + len(message).to_bytes(4, "big") + message


async def inflated(message: FramedMessage, encoding: str, most: int) -> bytes:
    """What a message says, of `most` bytes at most.

    Raises:
        TooLarge: it comes to more.
        MessageError: it is compressed in no way that was named, or damaged.
    """
    if not message.compressed:
        return message.raw
    if not encoding:
        raise MessageError("Compression bit set but no encoding configured")
    inflater = zlib.decompressobj(_WBITS[encoding])
    try:
        begun = inflater.decompress(message.raw, _INLINE)
        rest = b"" if inflater.eof else await asyncio.to_thread(_rest, inflater, most - len(begun))
    except zlib.error as error:
        raise MessageError("Decompression failed due to zlib error") from error
    whole = begun + rest
    if len(whole) > most:
        raise TooLarge("Decompressed message larger than max")
    if not inflater.eof or inflater.unused_data:
        raise MessageError("Decompression failed due to data error")
    return whole


def _rest(inflater: Any, most: int) -> bytes:
    """At most one byte more than `most`, which tells that there were more."""
    rest: bytes = inflater.decompress(inflater.unconsumed_tail, max(1, most + 1))
    return rest


async def deflated(message: bytes, encoding: str) -> bytes:
    """A message, compressed."""
    if len(message) > _INLINE:
        return await asyncio.to_thread(_deflated, message, encoding)
    return _deflated(message, encoding)


def _deflated(message: bytes, encoding: str) -> bytes:
    deflater = zlib.compressobj(wbits=_WBITS[encoding])
    return deflater.compress(message) + deflater.flush()
