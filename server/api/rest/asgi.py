"""ASGI, as the routes use it: what comes and goes, a request's body, and the answer to every failure."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

from server.errors import InvalidInput, ServingError, TooLarge, as_serving_error, respond
from server.inference.answer import Answer, StreamedAnswer
from server.inference.request import IsDisconnected, never_disconnected

log = logging.getLogger("kserve")

Scope: TypeAlias = MutableMapping[str, Any]
AsgiMessage: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[AsgiMessage]]
Send: TypeAlias = Callable[[AsgiMessage], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
Handler: TypeAlias = Callable[[Scope, bytes, IsDisconnected], Awaitable[Answer | StreamedAnswer]]

_DIGITS = 18  #: of a length; more are too large whatever follows


async def answered(handler: Handler, scope: Scope, receive: Receive, max_body: int) -> Answer | StreamedAnswer:
    """Read the body, run the handler; every failure becomes an answer."""
    try:
        return await handler(scope, await _body(scope, receive, max_body), _disconnection(receive))
    except TooLarge as error:
        status, headers, body = respond(error)
        return Answer(status, [*headers, (b"connection", b"close")], body)  # the rest of the body is not read
    except ServingError as error:
        return Answer(*respond(error))
    except Exception as error:
        log.exception("%s %s failed", scope["method"], scope["path"])
        return Answer(*respond(as_serving_error(error)))


async def send_whole(send: Send, answer: Answer) -> None:
    """Send a whole answer."""
    status, headers, body = answer
    headers = [*headers, (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def header(scope: Scope, name: bytes) -> str | None:
    """The first header of that name, in lower case."""
    for key, value in scope["headers"]:
        if key == name:
            return str(value, "latin-1")
    return None


async def _body(scope: Scope, receive: Receive, most: int) -> bytes:
    length = header(scope, b"content-length")
    if length is not None and length.isdecimal() and int(length[:_DIGITS]) > most:
        raise _too_large(int(length[:_DIGITS]), most)
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise InvalidInput("the client hung up before the body was whole")
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > most:
            raise _too_large(size, most)
        if not message.get("more_body"):
            return bytes(chunks[0]) if len(chunks) == 1 else b"".join(chunks)


def _too_large(size: int, most: int) -> TooLarge:
    return TooLarge(f"the body holds {size} bytes or more, the limit is {most} (max_body_bytes)")


def _disconnection(receive: Receive) -> IsDisconnected:
    """Whether the client has hung up, asked of uvicorn's own request object: ASGI tells it only to who awaits it."""
    cycle: Any = getattr(receive, "__self__", None)
    return (lambda: bool(cycle.disconnected)) if hasattr(cycle, "disconnected") else never_disconnected
