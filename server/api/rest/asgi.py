"""ASGI, as the routes use it: what comes and goes, a request's body, and the answer to every failure."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, NamedTuple, TypeAlias

from server.api.bodies import Bodies
from server.api.rest.charsets import CONTENT_TYPE, charset_of, in_utf8
from server.api.rest.content_coding import ENCODING, coding_of, inflated
from server.api.rest.limits import MOST_DROPPED
from server.errors import InvalidInput, Overloaded, ServingError, TooLarge, as_serving_error, respond
from server.inference.answer import Answer, StreamedAnswer
from server.inference.request import IsDisconnected, never_disconnected

log = logging.getLogger("kserve")

Scope: TypeAlias = MutableMapping[str, Any]
AsgiMessage: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[AsgiMessage]]
Send: TypeAlias = Callable[[AsgiMessage], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
Handler: TypeAlias = Callable[[Scope, bytes, IsDisconnected], Awaitable[Answer | StreamedAnswer]]

#: headers that are about a body as it came
_OF_WHAT_CAME = {ENCODING, b"content-length", b"transfer-encoding", b"expect"}
_DIGITS = 18  #: of a length; more are too large whatever follows


class BodyLimits(NamedTuple):
    """Of one body, and of all together."""

    most: int  #: bytes
    bodies: Bodies


async def answered(handler: Handler, scope: Scope, receive: Receive, limits: BodyLimits) -> Answer | StreamedAnswer:
    """Read the body, run the handler; every failure becomes an answer."""
    with limits.bodies.share() as share:
        try:
            body = await read_body(scope, receive, limits.most, share.take)
        except ServingError as error:
            return unread(scope, error)
        try:
            answer = await handler(scope, body, _disconnection(receive))
        except ServingError as error:
            answer = Answer(*respond(error))
        except Exception as error:
            log.exception("%s %s failed", scope["method"], scope["path"])
            answer = Answer(*respond(as_serving_error(error)))
    return answer


def unread(scope: Scope, error: ServingError) -> Answer:
    """The answer to a request whose body has not been read.

    What there is of it is read and dropped, but for one that is long, or that the client may never send.
    """
    status, headers, body = respond(error)
    length = header(scope, b"content-length")
    many = length is not None and not (length.isdecimal() and int(length[:_DIGITS]) <= MOST_DROPPED)
    comes = length is not None or header(scope, b"transfer-encoding") is not None
    large = comes and isinstance(error, TooLarge | Overloaded)
    if many or large or header(scope, b"expect") is not None:
        headers = [*headers, (b"connection", b"close")]
    return Answer(status, headers, body)


async def send_whole(send: Send, answer: Answer) -> None:
    """Send a whole answer."""
    status, headers, body = answer
    headers = [*headers, (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def with_root(scope: Scope) -> Scope:
    """The request for an application that leaves out the root path itself, as Starlette does.

    What was left out stands before the path again: of a path that has it twice, Starlette would leave it out a second
    time, and serve another path than the one that all guards have looked at.
    """
    root: str = scope.get("root_path", "")
    if not root:
        return scope
    whole = {**scope, "path": root + scope["path"]}
    raw = scope.get("raw_path")
    return {**whole, "raw_path": root.encode() + raw} if isinstance(raw, bytes) else whole


def header(scope: Scope, name: bytes) -> str | None:
    """The first header of that name, in lower case."""
    for key, value in scope["headers"]:
        if key == name:
            return str(value, "latin-1")
    return None


async def read_body(scope: Scope, receive: Receive, most: int, take: Callable[[int], None]) -> bytes:
    """The whole body, inflated where it is compressed, and in UTF-8; then the headers say what there is now.

    Raises:
        TooLarge, UnknownCoding, UnsupportedMediaType, InvalidInput
        Overloaded: `take`, which is told of all bytes that are held, has no room for it.
    """
    coding = coding_of(header(scope, ENCODING))
    charset = charset_of(header(scope, CONTENT_TYPE))
    length = header(scope, b"content-length")
    if length is not None and length.isdecimal() and int(length[:_DIGITS]) > most:
        raise _too_large(int(length[:_DIGITS]), most)
    body = await _read(receive, most, take)
    if coding:
        others = [each for each in scope["headers"] if each[0] not in _OF_WHAT_CAME]
        scope["headers"] = others
        body = await inflated(body, coding, most, take)
        scope["headers"] = [*others, (b"content-length", b"%d" % len(body))]
    if charset:
        body = in_utf8(body, charset, take)
        others = [each for each in scope["headers"] if each[0] not in (CONTENT_TYPE, *_OF_WHAT_CAME)]
        scope["headers"] = [*others, (CONTENT_TYPE, b"application/json"), (b"content-length", b"%d" % len(body))]
    return body


async def _read(receive: Receive, most: int, take: Callable[[int], None]) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise InvalidInput("the client hung up before the body was whole")
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > most:
            raise _too_large(size, most)
        take(len(chunk))
        chunks.append(chunk)
        if not message.get("more_body"):
            return bytes(chunks[0]) if len(chunks) == 1 else b"".join(chunks)


class BoundedBody:
    """A body for an application that would read one of any size, as it came; it is read when that asks for it.

    Where it is refused, so is the request, whatever the application makes of that.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send, most: int, take: Callable[[int], None]) -> None:
        self._scope, self._receive, self._send = scope, receive, send
        self._limits = (most, take)
        self._read = False
        self._refused: ServingError | None = None

    async def receive(self) -> AsgiMessage:
        """ASGI's, for the application.

        Raises:
            ServingError: as `read_body` has it.
        """
        if self._read:
            return await self._receive()
        self._read = True
        try:
            body = await read_body(self._scope, self._receive, *self._limits)
        except ServingError as error:
            self._refused = error
            raise
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(self, message: AsgiMessage) -> None:
        """ASGI's, for the application."""
        if self._refused is None:
            await self._send(message)
        elif message["type"] == "http.response.start":
            await send_whole(self._send, unread(self._scope, self._refused))


def _too_large(size: int, most: int) -> TooLarge:
    return TooLarge(f"the body holds {size} bytes or more, the limit is {most} (max_body_bytes)")


def _disconnection(receive: Receive) -> IsDisconnected:
    """Whether the client has hung up, asked of uvicorn's own request object: ASGI tells it only to who awaits it."""
    cycle: Any = getattr(receive, "__self__", None)
    return (lambda: bool(cycle.disconnected)) if hasattr(cycle, "disconnected") else never_disconnected
