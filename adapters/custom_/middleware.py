"""The middleware that a `model.py` adds to KServe's application, around the requests to its model.

A request passes through it as it would over HTTP: it may be changed or refused there, and the answer gets its headers.
The parts of a stream go past it, and gRPC has none, as in KServe. What never reaches a model (a preflight, other
routes) is the server's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

from adapters.base import Reply, ReplyStream, Request

__all__ = ["Stack"]

Answer: TypeAlias = Callable[[Request], Awaitable[Reply | ReplyStream]]
_PATHS = {
    ("v1", "predict"): "/v1/models/{}:predict",
    ("v1", "explain"): "/v1/models/{}:explain",
    ("v2", "predict"): "/v2/models/{}/infer",
    ("v2", "generate"): "/v2/models/{}/generate",
    ("v2", "generate_stream"): "/v2/models/{}/generate_stream",
}
_CALL = "polyserve.call"  #: in the scope


class _Call:
    """One request on its way through: what goes in, and what has come out."""

    def __init__(self, request: Request, answer: Answer) -> None:
        self.request = request
        self.answer = answer
        self.stream: ReplyStream | None = None
        self._sent = False
        self._over = asyncio.Event()
        self.status = 500
        self.headers: dict[str, str] = {}
        self.body = bytearray()

    async def receive(self) -> dict[str, Any]:
        """The body, then the end of the connection."""
        if not self._sent:
            self._sent = True
            return {"type": "http.request", "body": self.request.body, "more_body": False}
        await self._over.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Mapping[str, Any]) -> None:
        """Keep what comes out."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {
                name.decode("latin-1").lower(): value.decode("latin-1") for name, value in message["headers"]
            }
        elif message["type"] == "http.response.body":
            self.body += message.get("body", b"")
            if not message.get("more_body"):
                self._over.set()

    def result(self) -> Reply | ReplyStream:
        """What came out; the length is the server's to say."""
        headers = {name: value for name, value in self.headers.items() if name != "content-length"}
        if self.stream is not None and self.status < 400:
            return replace(self.stream, headers=headers, status=self.status)
        return Reply(bytes(self.body), headers, self.status)


class Stack:
    """The layers, the first one outermost, around one model."""

    def __init__(self, app: Any, layers: Sequence[Any], model: str) -> None:
        """`layers` are Starlette's: a class, and what it is made with."""
        self._app = app
        self._model = model
        self._stack: Any = _endpoint
        for layer in reversed(layers):
            self._stack = layer.cls(self._stack, *layer.args, **layer.kwargs)

    async def around(self, request: Request, answer: Answer) -> Reply | ReplyStream:
        """The answer to a request by way of the layers.

        Raises:
            Exception: what `answer` or a layer raises.
        """
        path = _PATHS.get((request.protocol, request.verb))
        if path is None:
            return await answer(request)
        call = _Call(request, answer)
        await self._stack(self._scope(path.format(self._model), request, call), call.receive, call.send)
        if call.stream is not None and call.status >= 400:
            await call.stream.parts.aclose()
        return call.result()

    def _scope(self, path: str, request: Request, call: _Call) -> dict[str, Any]:
        headers = [
            (name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in request.headers.items()
        ]
        fixed = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http"}
        where = {"path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "", "server": None}
        return {**fixed, **where, "headers": headers, "client": None, "app": self._app, "state": {}, _CALL: call}


async def _endpoint(scope: Mapping[str, Any], receive: Callable[[], Awaitable[Any]], send: Any) -> None:
    """The model, as the application within all layers: they may have changed headers and body."""
    call: _Call = scope[_CALL]
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    reply = await call.answer(replace(call.request, headers=headers, body=body))
    head = [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in reply.headers.items()]
    await send({"type": "http.response.start", "status": reply.status, "headers": head})
    if isinstance(reply, ReplyStream):
        call.stream = reply
    await send({"type": "http.response.body", "body": b"" if isinstance(reply, ReplyStream) else reply.body})
