"""HTTP to a program of this machine, over a socket file: one request on a connection of its own.

What comes is bounded and may be anything: whatever is wrong with it is a `BrokenAnswer`, of this request alone.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Self

import h11

_HEAD = 64 << 10  #: bytes of a status line and headers, at most
_READ = 64 << 10


class BrokenAnswer(Exception):
    """The program's answer is none, or is not one to this request."""


class Exchange:
    """One request, and its answer as it comes. Closing it early tells the program that nobody wants the rest."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=_HEAD)
        self.status = 0

    @classmethod
    async def begin(cls, socket: Path, method: str, target: str, body: bytes = b"") -> Self:
        """Send a request; returns once the head of the answer is there, which is as long as the program takes.

        Raises:
            BrokenAnswer: the program cannot be reached, or what comes is no HTTP.
        """
        try:
            exchange = cls(*await asyncio.open_unix_connection(socket))
        except OSError as error:
            raise BrokenAnswer(f"it cannot be reached: {error.strerror or error}") from error
        try:
            await exchange._send(method, target, body)
            exchange.status = await exchange._head()
        except BaseException:
            exchange.close()
            raise
        return exchange

    async def body(self, most: int) -> bytes:
        """The rest, as a whole.

        Raises:
            BrokenAnswer: it is cut, or has more than `most` bytes.
        """
        found = bytearray()
        async for piece in self._pieces():
            found += piece
            if len(found) > most:
                raise BrokenAnswer(f"its answer has more than {most} bytes")
        return bytes(found)

    async def lines(self, longest: int) -> AsyncIterator[bytes]:
        """The rest, line by line, without their ends.

        Raises:
            BrokenAnswer: it is cut, or a line has more than `longest` bytes.
        """
        rest = bytearray()
        async for piece in self._pieces():
            rest += piece
            *whole, last = rest.split(b"\n")
            for line in whole:
                yield bytes(line.rstrip(b"\r"))
            rest = last
            if len(rest) > longest:
                raise BrokenAnswer(f"it sent a line of more than {longest} bytes")
        if rest:
            yield bytes(rest)

    def close(self) -> None:
        """Hang up; a second time does nothing."""
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._writer.close()

    async def _send(self, method: str, target: str, body: bytes) -> None:
        headers = [("host", "localhost"), ("content-type", "application/json"), ("connection", "close")]
        head = h11.Request(method=method, target=target, headers=[*headers, ("content-length", str(len(body)))])
        for event in (head, h11.Data(data=body), h11.EndOfMessage()):
            self._writer.write(self._connection.send(event) or b"")
        try:
            await self._writer.drain()
        except OSError as error:
            raise BrokenAnswer(f"it hung up: {error.strerror or error}") from error

    async def _head(self) -> int:
        """The status of the answer."""
        event = await self._next()
        while isinstance(event, h11.InformationalResponse):
            event = await self._next()
        if not isinstance(event, h11.Response):
            raise BrokenAnswer("it sent no answer")
        return event.status_code

    async def _pieces(self) -> AsyncIterator[bytes]:
        while True:
            event = await self._next()
            if isinstance(event, h11.Data):
                yield bytes(event.data)
            else:
                return

    async def _next(self) -> h11.Event:
        try:
            while True:
                event = self._connection.next_event()
                if isinstance(event, h11.Event):
                    return event
                if event is h11.PAUSED:
                    raise BrokenAnswer("it went on behind the end of its answer")
                self._connection.receive_data(await self._reader.read(_READ))
        except h11.RemoteProtocolError as error:
            raise BrokenAnswer(f"it sent what is no HTTP, or was cut: {error}") from error
        except OSError as error:
            raise BrokenAnswer(f"it hung up: {error.strerror or error}") from error
