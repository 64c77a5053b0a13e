"""Answers in parts as server-sent events: one JSON document a `data:` line, as soon as it is made.

Source: WHATWG HTML, "Server-sent events"; Triton's generate extension, whose errors are events, too.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Self

import orjson

from adapters.base import Parts
from server.api.rest.asgi import Receive, Send
from server.errors import Header, as_serving_error, message
from server.inference.answer import StreamedAnswer

log = logging.getLogger("kserve")

_HEADERS: list[Header] = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache")]
_OURS = {name for name, _ in _HEADERS}
#: a part that is none: it keeps a connection in use while the first one takes long, and clients do not see it
KEEP_ALIVE = b": the model is at work"


class NamedEvent(bytes):
    """A part of a stream whose events have names."""

    name: str

    def __new__(cls, name: str, document: bytes) -> Self:
        made = super().__new__(cls, document)
        made.name = name
        return made


async def send_events(receive: Receive, send: Send, answer: StreamedAnswer) -> None:
    """Send all parts, or as many as the client stays for; the model's work has ended when this returns."""
    headers = [*_HEADERS, *(header for header in answer.headers if header[0] not in _OURS)]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    sending = asyncio.ensure_future(_send_parts(send, answer.parts))
    leaving = asyncio.ensure_future(_disconnected(receive))
    try:
        await asyncio.wait((sending, leaving), return_when=asyncio.FIRST_COMPLETED)
        if sending.done():
            sending.result()
    finally:
        for task in (sending, leaving):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await task
        await answer.close()


async def _send_parts(send: Send, parts: Parts) -> None:
    try:
        async for part in parts:
            await send({"type": "http.response.body", "body": event(part), "more_body": True})
    except Exception as error:
        known = as_serving_error(error)
        if known is not error:
            log.exception("a stream failed")
        body = event(orjson.dumps({"error": message(known)}))
        await send({"type": "http.response.body", "body": body, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def event(document: bytes) -> bytes:
    """One event; a document of several lines stays one event."""
    if document is KEEP_ALIVE:
        return document + b"\n\n"
    head = f"event: {document.name}\n".encode() if isinstance(document, NamedEvent) else b""
    return head + b"data: " + document.replace(b"\n", b"\ndata: ") + b"\n\n"
