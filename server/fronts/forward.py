"""Hands requests on to the main process, byte for byte, and its answers back."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path

from server.asgi import Answer, Message, Receive, Scope, Send, header, send_answer
from server.errors import Header, NotReady, respond
from server.fronts.upstream import Pool, Upstream
from server.model_routes import V1, V2

#: tells the main process where a request comes from; from anywhere else than a front process it is not taken
CLIENT = b"x-polyserve-client"

#: headers that are about one connection, not about the request (RFC 9110, 7.6.1), and `Expect`, which is answered here
_HOP = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade", b"expect")
)
#: headers of an answer that uvicorn adds here, too
_OURS = _HOP | {b"date", b"server"}
_LENGTH = b"content-length"
_LARGE = 6  #: digits of the length of a body
_CLOSE: Header = (b"connection", b"close")


class Forward:
    """An ASGI application: the main process's."""

    def __init__(self, directory: Path) -> None:
        self._pool = Pool(directory / "http")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            upstream = await self._pool.take()
        except NotReady as error:
            await send_answer(send, respond(error))
            return
        try:
            await self._exchange(upstream, scope, receive, send)
        finally:
            self._pool.give_back(upstream)

    async def answer(self, method: str, target: bytes, headers: Iterable[Header], body: bytes) -> Answer:
        """The answer to a request that is there whole.

        Raises:
            NotReady: the main process does not answer.
        """
        upstream = await self._pool.take()
        try:
            sent = [header for header in headers if header[0] not in _HOP and header[0] not in (CLIENT, _LENGTH)]
            upstream.begin(method, target, [*sent, (_LENGTH, b"%d" % len(body))])
            await upstream.send(body)
            status, answer = await upstream.head(), await upstream.body()
            while not upstream.complete:
                answer += await upstream.body()
            return status, _returned(upstream.headers, _LENGTH), answer
        finally:
            self._pool.give_back(upstream)

    async def _exchange(self, upstream: Upstream, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False
        try:
            upstream.begin(scope["method"], target_of(scope), [*_passed_on(scope["headers"]), *_about(scope)])
            if not await self._send_body(upstream, scope, receive):
                return
            gone = asyncio.ensure_future(receive())  # ends when the client hangs up
            try:
                await asyncio.wait((upstream.came, gone), return_when=asyncio.FIRST_COMPLETED)
                if not upstream.came.done():
                    return
                status, begun = await upstream.head(), True
                headers = _returned(upstream.headers)
                await send({"type": "http.response.start", "status": status, "headers": headers})
                await _pass_body(upstream, send, gone)
            finally:
                gone.cancel()
        except NotReady as error:
            if begun:  # half of an answer: the client must not take it for the whole
                raise
            await send_answer(send, respond(error))

    async def _send_body(self, upstream: Upstream, scope: Scope, receive: Receive) -> bool:
        """Whether it was sent, or the answer came before its end; not when the client has hung up."""
        chunked = any(name == b"transfer-encoding" for name, _ in scope["headers"])
        more, wait = True, _receive if _is_small(scope) else _receive_unless
        while more:
            message = await wait(receive, upstream.came)
            if message is None:
                return True
            if message["type"] != "http.request":
                return False
            body, more = message.get("body", b""), message.get("more_body", False)
            if chunked:
                body = (b"%x\r\n%b\r\n" % (len(body), body) if body else b"") + (b"" if more else b"0\r\n\r\n")
            await upstream.send(body)
        return True


def _is_small(scope: Scope) -> bool:
    """Whether the body is short, and comes at once most likely: it need not be asked whether the answer comes first."""
    length = header(scope, _LENGTH)
    return len(length) < _LARGE if length is not None else header(scope, b"transfer-encoding") is None


async def _receive(receive: Receive, answered: asyncio.Future[None]) -> Message | None:
    return await receive()


async def _receive_unless(receive: Receive, answered: asyncio.Future[None]) -> Message | None:
    """The next part of a request, or None when it has been answered without."""
    part = asyncio.ensure_future(receive())
    try:
        await asyncio.wait((part, answered), return_when=asyncio.FIRST_COMPLETED)
        return None if answered.done() else part.result()
    finally:
        part.cancel()


async def _pass_body(upstream: Upstream, send: Send, gone: asyncio.Future[Message]) -> None:
    more = True
    while more and not gone.done():
        body = await upstream.body()
        more = not upstream.complete
        await send({"type": "http.response.body", "body": body, "more_body": more})


def target_of(scope: Scope) -> bytes:
    """The path and the query, as they came."""
    path, query = bytes(scope["raw_path"]), bytes(scope["query_string"])
    return b"%b?%b" % (path, query) if query else path


def _passed_on(headers: Iterable[Header]) -> list[Header]:
    """A request's headers; one whose length is not known goes on in chunks, as it came."""
    found = [header for header in headers if header[0] not in _HOP and header[0] != CLIENT]
    chunked = any(name == b"transfer-encoding" for name, _ in headers)
    return [*found, (b"transfer-encoding", b"chunked")] if chunked else found


def _returned(headers: Iterable[Header], *more: bytes) -> list[Header]:
    """An answer's headers, but for those that are added here, and `more`."""
    found = [header for header in headers if header[0] not in _OURS and header[0] not in more]
    closes = any(name == b"connection" and value.lower() == b"close" for name, value in headers)
    return [*found, _CLOSE] if closes else found


def _about(scope: Scope) -> list[Header]:
    """Who asks. What goes to models is left as it is: the main process knows their heads by heart (`server.heads`)."""
    client = scope.get("client")
    if client is None or scope["path"].startswith((V1, V2)):
        return []
    return [(CLIENT, f"{client[0]} {client[1]}".encode("latin-1"))]
