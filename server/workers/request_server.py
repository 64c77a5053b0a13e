"""The child's side of whole requests: any number at a time on one event loop, each a task; answers in parts too.

Runs where code that came with the model does: see `worker_main`.
"""

from __future__ import annotations

import asyncio
import socket
import sys
import traceback
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from adapters import base
from adapters.base import Adapter, InvalidInput, Parts, RefusedAs, Reply, ReplyStream, Request, StreamFailed, TooLong
from adapters.shared.messages import without_trace
from server.runtime import ipc
from server.runtime.line_marks import own_lines
from server.runtime.receiving import ReceiveLimits
from server.telemetry.traceparent import NAME as TRACEPARENT
from server.workers.own_metrics import PROTOCOL, VERB, own_metrics
from server.workers.own_spans import SPANS, OwnSpans
from server.workers.streams import SendWindow

_MAX_MESSAGE = 4000  #: characters of an error's text
_MAX_STACK = 16_000
_REQUEST_ID = "x-request-id"


async def answer_all(model: Adapter, end: socket.socket, limits: ReceiveLimits = ipc.WIDEST) -> None:
    """Answer what the parent asks until it hangs up; `limits` are those of its messages that it takes."""
    end.setblocking(False)
    reader, writer = await asyncio.open_unix_connection(sock=end)
    try:
        await RequestServer(model, writer, limits).serve(reader)
    finally:
        writer.close()


class RequestServer:
    """Answers the requests of one connection."""

    def __init__(self, model: Adapter, writer: asyncio.StreamWriter, limits: ReceiveLimits = ipc.WIDEST) -> None:
        self._model = model
        self._limits = limits
        self._writer = writer
        self._spans = OwnSpans()
        self._running: dict[int, asyncio.Task[None]] = {}
        self._windows: dict[int, SendWindow] = {}  #: of those that answer in parts
        #: those that were cancelled from here: a task's own count has the timeouts within the model's code, too
        self._unwanted: set[int] = set()

    async def serve(self, reader: asyncio.StreamReader) -> None:
        while (message := await ipc.read(reader)) is not None:
            fields = message.fields
            if "id" in fields:
                number = fields["id"]
                task = self._running[number] = asyncio.create_task(self._answer(number, message))
                task.add_done_callback(partial(self._ended, number))
            elif "credit" in fields:
                if (window := self._windows.get(fields["credit"])) is not None:
                    window.grant(fields["parts"], fields["bytes"])
            else:
                self._cancel(fields["cancel"])

    def _cancel(self, number: int) -> None:
        if (task := self._running.get(number)) is not None and number not in self._unwanted:
            self._unwanted.add(number)
            task.cancel()

    def _ended(self, number: int, task: asyncio.Task[None]) -> None:
        del self._running[number]
        self._unwanted.discard(number)
        if task.cancelled():  # before it began, or it would have said so itself
            self._write(ipc.pack({"id": number, **failure_fields(asyncio.CancelledError())}))

    async def _answer(self, number: int, message: ipc.Message) -> None:
        fields = message.fields
        request = Request(fields["verb"], fields["protocol"], message.tensors["body"].tobytes(), fields["headers"])
        trace = request.headers.get(TRACEPARENT, "")
        own_lines(request.headers.get(_REQUEST_ID, ""), trace)
        self._spans.begin(trace)
        head: dict[str, Any] = {"id": number}
        try:
            of_ours = (request.protocol, request.verb) == (PROTOCOL, VERB)
            reply = own_metrics() if of_ours else await self._model.answer(request)
            if isinstance(reply, ReplyStream):
                async with aclosing(reply.parts) as parts:
                    opening = ipc.pack({**head, **_head(reply), "stream": True})
                    head["end"] = True
                    await self._send(opening)
                    await self._send_parts(number, parts)
                last = ipc.pack(head, self._made())
            else:
                body = {"body": np.frombuffer(reply.body, np.uint8)}
                last = ipc.pack({**head, **_head(reply)}, {**body, **self._made()}, self._limits)
        except BaseException as error:  # CancelledError too: the parent waits until it has ended
            last = ipc.pack({**head, **failure_fields(error)}, self._made())
        self._write(last)

    def _made(self) -> dict[str, Any]:
        """The spans that user code has made meanwhile, which travel with an answer."""
        made = self._spans.take()
        return {SPANS: np.frombuffer(made, np.uint8)} if made else {}

    async def _send_parts(self, number: int, parts: Parts) -> None:
        """Each part as soon as it is made; none is made before it may be sent."""
        window = self._windows[number] = SendWindow()
        try:
            await window.wait_open()
            async for part in parts:
                if number in self._unwanted:  # which the model's code has swallowed
                    raise asyncio.CancelledError
                window.spend(len(part))
                body = {"body": np.frombuffer(part, np.uint8)}
                await self._send(ipc.pack({"id": number, "part": True}, body, self._limits))
                await window.wait_open()
        finally:
            del self._windows[number]

    async def _send(self, message: Sequence[ipc.Part]) -> None:
        self._write(message)
        await self._writer.drain()

    def _write(self, message: Sequence[ipc.Part]) -> None:
        for part in message:
            self._writer.write(part)


def _head(reply: Reply | ReplyStream) -> Mapping[str, Any]:
    return {"headers": dict(reply.headers), "status": reply.status}


def failure_fields(error: BaseException) -> dict[str, Any]:
    """What the parent is told of an exception; only the log gets to see the stack."""
    text = without_trace(message_of(error))
    if isinstance(error, RefusedAs):
        return {"error": text, "kind": "input", "status": error.status}
    if isinstance(error, InvalidInput):
        return {"error": text, "kind": "too_long" if isinstance(error, TooLong) else "input"}
    if isinstance(error, StreamFailed):
        return {"error": text, "kind": "model"}
    stack = "".join(traceback.format_exception(type(error), error, _from_their_code(error)))
    named = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return {"error": named, "kind": "model", "stack": stack[-_MAX_STACK:]}


def _from_their_code(error: BaseException) -> TracebackType | None:
    """The traceback from where it leaves our code and KServe's: the way there is the same for every model."""
    ways = [Path(__file__).parents[1], Path(base.__file__).parent]
    if (kserve := sys.modules.get("kserve")) is not None and kserve.__file__:
        ways.append(Path(kserve.__file__).parent)
    part = error.__traceback__
    while part is not None and any(Path(part.tb_frame.f_code.co_filename).is_relative_to(way) for way in ways):
        part = part.tb_next
    return part or error.__traceback__


def message_of(error: BaseException) -> str:
    """The error's text, bounded."""
    try:
        return str(error)[:_MAX_MESSAGE]
    except Exception:  # an exception class of the model's own may fail even at this
        return ""
