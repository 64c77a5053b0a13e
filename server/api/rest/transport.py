"""One system call an answer: uvicorn writes an answer's head and its body one after the other, each a `send`.

Half of a small request's time goes into these calls. Here what is written in one turn of the event loop goes out
together, at the turn's end; nothing waits longer than that.

And two things that uvicorn does not do: it hears of clients that hang up after they have sent a large body, and tells
the request that is being answered, also when others wait behind it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

#: seconds that a `LingeringTransport` waits for the other side to close
LINGER = 2.0


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
        if self._gathered:
            self.flush()
        if not self.is_closing():
            self._transport.write(data)

    def flush(self) -> None:
        """Write what was gathered, unless the client has hung up, or was told that nothing more comes."""
        if self._gathered:
            data = b"".join(self._gathered)
            self._gathered.clear()
            if not self.is_closing():
                self._transport.write(data)

    def close(self) -> None:
        self.flush()
        self._transport.close()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.flush()
        self._transport.set_protocol(protocol)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class LingeringTransport(OneWriteTransport):
    """Where the client still sends, closes its own half at once, and the other's when that does, or after a while.

    Who still sends when both halves are closed is told that the connection is broken, and may not read what came
    before.
    """

    linger = LINGER

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(transport, loop)
        self.still_sending: Callable[[], bool] = lambda: False
        self._closed = False

    def close(self) -> None:
        if not self.still_sending() or not self._transport.can_write_eof():  # TLS cannot
            super().close()
        elif not self.is_closing():
            self.flush()
            self._closed = True
            self._transport.write_eof()
            self._transport.resume_reading()
            self._loop.call_later(self.linger, self._transport.abort)

    def close_now(self) -> None:
        """Close both halves when what was written is sent."""
        super().close()

    def is_closing(self) -> bool:
        return self._closed or self._transport.is_closing()


class OneWriteProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol over such a transport."""

    transport: OneWriteTransport  # type: ignore[assignment]
    transport_class = OneWriteTransport

    def __init__(self, **uvicorns: Any) -> None:
        super().__init__(**uvicorns)
        self._answering: Any = None  #: uvicorn's request that the application has begun with last

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        super().connection_made(self.transport_class(transport, self.loop))  # type: ignore[arg-type]

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answering is not None:  # uvicorn tells the last of a pipeline alone
            self._answering.disconnected = not self._answering.response_complete
            self._answering.message_event.set()
        super().connection_lost(exc)

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        self._answering = cycle
        super()._start_asgi_task(cycle, app)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        # uvicorn stops reading while it holds much of a body, and goes on when it is asked for more. Nobody asks after
        # the last part, and a client that hangs up would not be heard. What follows is held up by who is before it.
        if not self.pipeline:
            self.flow.resume_reading()
