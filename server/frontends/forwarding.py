"""Hands requests on to the main process, and its answers back: head and body as they came, in a framing of its own.

What the client has said about the length of the body (`Content-Length`, `Transfer-Encoding`) and about its connection
ends here: `UpstreamConnection` says it anew, and keeps to it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from urllib.parse import quote

from server.api.rest.asgi import AsgiMessage, Receive, Scope, Send, send_whole
from server.api.rest.manners import is_below
from server.errors import Header, InvalidInput, NotReady, ServingError, respond
from server.frontends.http_client import UpstreamConnection
from server.frontends.upstream_pool import UpstreamPool
from server.inference.answer import Answer

#: where `scope["state"]` has the `UpstreamPool` of the client who asks
UPSTREAMS = "upstreams"

_LENGTH, _CODING = b"content-length", b"transfer-encoding"
#: headers that are about one connection, not about the request (RFC 9110, 7.6.1), and `Expect`, which is answered here
_HOP = frozenset((b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", _CODING, b"upgrade", b"expect"))
_FRAMING = _HOP | {_LENGTH}
#: headers of an answer that uvicorn adds here, too
_OURS = _HOP | {b"date", b"server"}
_DIGITS = 18  #: of a length
_PREFACE = "PRI"  #: begins HTTP/2; the main process's parser would wait for the rest of that
_CLOSE: Header = (b"connection", b"close")


async def forward(scope: Scope, receive: Receive, send: Send) -> None:
    """An ASGI application: the main process's."""
    upstreams: UpstreamPool = scope["state"][UPSTREAMS]
    try:
        upstream = await upstreams.take()
        try:
            await _forward(upstream, scope, receive, send)
        finally:
            upstreams.give_back(upstream)
    except (ServingError, ConnectionError) as error:
        if upstreams.closed:  # nobody is left to answer
            return
        if not isinstance(error, ServingError):
            raise
        status, headers, body = respond(error)
        await send_whole(send, Answer(status, [*headers, _CLOSE], body))  # the body may not have been read to its end


async def answer(upstreams: UpstreamPool, method: str, target: bytes, headers: Iterable[Header], body: bytes) -> Answer:
    """The main process's answer to a request that is there whole.

    Raises:
        NotReady: the main process does not answer.
        ClientGone
    """
    upstream = await upstreams.take()
    try:
        upstream.begin(method, target, _passed_on(headers), len(body))
        await upstream.send(body, last=True)
        status, found = await upstream.head(), await upstream.body()
        while not upstream.complete:
            found += await upstream.body()
        return Answer(status, _returned(upstream.headers, _LENGTH), bytes(found))
    finally:
        upstreams.give_back(upstream)


async def _forward(upstream: UpstreamConnection, scope: Scope, receive: Receive, send: Send) -> None:
    """
    Raises:
        NotReady: the connection broke before the answer began.
        InvalidInput: the request's length is none, or not that of its body; or its method is none.
        ConnectionError: the connection broke in the midst of the answer.
    """
    headers = scope["headers"]
    if scope["method"] == _PREFACE:
        raise InvalidInput(f"{_PREFACE} is no method of HTTP/1")
    upstream.begin(scope["method"], target_of(scope), _passed_on(headers), _length(headers))
    if not await _send_body(upstream, receive):
        return
    disconnected = asyncio.ensure_future(_until_disconnected(receive))
    try:
        await asyncio.wait((upstream.came, disconnected), return_when=asyncio.FIRST_COMPLETED)
        if not upstream.came.done():
            return
        status = await upstream.head()
        await send({"type": "http.response.start", "status": status, "headers": _returned(upstream.headers)})
        try:
            await _pass_body(upstream, send, disconnected)
        except NotReady as error:  # the client must not take what it has for the whole
            raise ConnectionError(str(error)) from error
    finally:
        disconnected.cancel()


async def _send_body(upstream: UpstreamConnection, receive: Receive) -> bool:
    """Whether it was sent, or the answer came before its end; not when the client has hung up."""
    more = True
    while more:
        message = await (receive() if _has_come(receive) else _next_part(upstream, receive))
        if message is None or upstream.came.done():
            return True
        if message["type"] != "http.request":
            return False
        more = message.get("more_body", False)
        await upstream.send(message.get("body", b""), last=not more)
    return True


def _has_come(receive: Receive) -> bool:
    """Whether the next part of a request has come, asked of uvicorn's own request object: it mostly has."""
    event = getattr(getattr(receive, "__self__", None), "message_event", None)
    return event is not None and bool(event.is_set())


async def _next_part(upstream: UpstreamConnection, receive: Receive) -> AsgiMessage | None:
    """The next part of a request, or None when it has been answered without."""
    part = asyncio.ensure_future(receive())
    try:
        await asyncio.wait((part, upstream.came), return_when=asyncio.FIRST_COMPLETED)
        return part.result() if part.done() else None
    finally:
        part.cancel()


async def _until_disconnected(receive: Receive) -> None:
    """Return when the client hangs up; what may still come of a body that was answered early is nobody's."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _pass_body(upstream: UpstreamConnection, send: Send, disconnected: asyncio.Future[None]) -> None:
    """Each part as it comes: whoever streams is not waited for to the end."""
    more = True
    while more and not disconnected.done():
        body = await upstream.body()
        more = not upstream.complete
        await send({"type": "http.response.body", "body": body, "more_body": more})


def target_of(scope: Scope) -> bytes:
    """The path and the query, of which the main process makes what this one has made of them.

    It leaves out a root path, too: one that stands there still is none to leave out.
    """
    path, query = bytes(scope["raw_path"]), bytes(scope["query_string"])
    root: str = scope.get("root_path", "")
    if root and is_below(scope["path"], root):
        path = quote(root).encode() + path
    return b"%b?%b" % (path, query) if query else path


def _length(headers: Iterable[Header]) -> int | None:
    """The bytes of a request's body as its headers say; None: nobody knows, it comes in chunks.

    Raises:
        InvalidInput: uvicorn's parser has let through what no other must be given.
    """
    found = [(name, value) for name, value in headers if name in (_LENGTH, _CODING)]
    if not found:
        return 0
    name, value = found[0][0], found[0][1].strip(b" \t")
    if len(found) > 1 or (name == _LENGTH and not (value.isdigit() and len(value) <= _DIGITS)):
        raise InvalidInput("the length of the body is not told in one way")
    return int(value) if name == _LENGTH else None


def _passed_on(headers: Iterable[Header]) -> list[Header]:
    """A request's headers, but for those of its framing."""
    return [header for header in headers if header[0] not in _FRAMING]


def _returned(headers: Iterable[Header], *more: bytes) -> list[Header]:
    """An answer's headers, but for those that are added here, and `more`."""
    found = [header for header in headers if header[0] not in _OURS and header[0] not in more]
    closes = any(name == b"connection" and value.lower() == b"close" for name, value in headers)
    return [*found, _CLOSE] if closes else found
