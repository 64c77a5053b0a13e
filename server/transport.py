"""One system call an answer: uvicorn writes an answer's head and its body one after the other, each a `send`.

Half of a small request's time goes into these calls. Here what is written in one turn of the event loop goes out
together, at the turn's end; nothing waits longer than that.

And one thing that uvicorn does not do: it hears of clients that hang up after they have sent a large body.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class OneWriteTransport:
    """A transport that gathers writes until the event loop's next turn. Everything else is the real one's."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._gathered: list[bytes] = []

    def write(self, data: bytes) -> None:
        if not self._gathered:
            self._loop.call_soon(self.flush)
        self._gathered.append(data)

    def write_now(self, data: bytes) -> None:
        """Write at once, after what was gathered."""
        self.flush()
        self._transport.write(data)

    def flush(self) -> None:
        """Write what was gathered."""
        if self._gathered:
            data = b"".join(self._gathered)
            self._gathered.clear()
            self._transport.write(data)

    def close(self) -> None:
        self.flush()
        self._transport.close()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.flush()
        self._transport.set_protocol(protocol)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class OneWriteProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol over such a transport."""

    transport: OneWriteTransport  # type: ignore[assignment]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        super().connection_made(OneWriteTransport(transport, self.loop))  # type: ignore[arg-type]

    def on_message_complete(self) -> None:
        super().on_message_complete()
        # uvicorn stops reading while it holds much of a body, and goes on when it is asked for more. Nobody asks after
        # the last part, and a client that hangs up would not be heard. What follows is held up by who is before it.
        if not self.pipeline:
            self.flow.resume_reading()
