"""The child's side of a model's worker: load one model, tell what it is, answer calls until the parent hangs up.

Started by `model_process.py`. Calls of `predict` and `explain` come one at a time and run in the main thread; whole
requests (`Adapter.answer`) come any number at a time and run on an event loop in it.

    parent: job                      child: {"stage": "example"} ... hello, or {"reason": why not}
    parent: verb, inputs             child: outputs, or {"error": ...}
    parent: id, whole request        child: id, reply, or {"error": ...}        parent: {"cancel": id}

Before code that came with the model runs (`own_process`), the names `server` and `adapters` are given up. So all that
this file needs is imported up front.
"""

from __future__ import annotations

import asyncio
import faulthandler
import os
import socket
import sys
import time
import traceback
from functools import partial
from typing import Any, NoReturn

import numpy as np

from adapters import registry
from adapters.base import Adapter, InvalidInput, LoadError, Reply, Request
from server.runtime import ipc
from server.runtime.lifeline import resident_bytes, tie_to_parent
from server.workers.import_names import release_names
from server.workers.messages import Hello, WorkerModel
from server.workers.self_test import SelfTest, one_line, self_test

_MAX_REASON = 4000
_MAX_STACK = 16_000


def main(descriptor: int) -> NoReturn:
    """Serve one model over the socket under this descriptor; ends the process."""
    tie_to_parent()
    os.set_inheritable(descriptor, False)
    faulthandler.enable()
    connection = ipc.Connection(socket.socket(fileno=descriptor))
    job = connection.receive()
    model = _load(connection, WorkerModel.of(job.fields)) if job else None
    if model is not None:
        if model.signature.whole:
            loop = asyncio.get_event_loop_policy().get_event_loop()  # where an asynchronous load began its tasks
            loop.run_until_complete(_answer_all(model, connection.socket))
        else:
            _predict_all(model, connection)
        model.close()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # threads of the model would keep the process


def _load(connection: ipc.Connection, job: WorkerModel) -> Adapter | None:
    """The model, once the parent knows that it is ready; or None, once the parent knows why not."""
    try:
        adapter = registry.get(job.adapter)
        if adapter.own_process:
            release_names()
        began = time.perf_counter()
        model = adapter.load(job.directory, job.file, job.options)
        seconds = time.perf_counter() - began
        connection.send(ipc.pack({"stage": "example"}))
        test = SelfTest(batchable=False) if model.signature.whole else self_test(model)
        connection.send(_hello(model, seconds, test))
    except LoadError as error:
        connection.send(ipc.pack({"reason": _text(error)}))
    except BaseException as error:  # a model may raise anything, SystemExit included
        traceback.print_exception(error)
        connection.send(ipc.pack({"reason": one_line(error)}))
    else:
        return model
    return None


def _hello(model: Adapter, seconds: float, test: SelfTest) -> list[ipc.Part]:
    example = {} if test.error or model.signature.whole else model.example()
    hello = Hello(model.signature, model.platform, test.batchable, seconds, resident_bytes(), example, test.error)
    return ipc.pack(hello.to_fields(), example)


def _predict_all(model: Adapter, connection: ipc.Connection) -> None:
    verbs = {"predict": model.predict, "explain": model.explain}
    while (call := connection.receive()) is not None:
        try:
            outputs = verbs[call.fields["verb"]](call.tensors, call.fields["parameters"])
            answer = ipc.pack({}, outputs)
        except BaseException as error:  # SystemExit too: it ends a call, not the worker
            answer = ipc.pack(_failure(error))
        connection.send(answer)
        del call


async def _answer_all(model: Adapter, end: socket.socket) -> None:
    end.setblocking(False)
    reader, writer = await asyncio.open_unix_connection(sock=end)
    running: dict[int, asyncio.Task[None]] = {}
    while (message := await ipc.read(reader)) is not None:
        if (cancelled := running.get(message.fields.get("cancel", -1))) is not None:
            cancelled.cancel()
        elif "id" in message.fields:
            number = message.fields["id"]
            task = running[number] = asyncio.create_task(_answer(model, number, message, writer))
            task.add_done_callback(partial(_forget, running, number))


def _forget(running: dict[int, asyncio.Task[None]], number: int, _: asyncio.Task[None]) -> None:
    del running[number]


async def _answer(model: Adapter, number: int, message: ipc.Message, writer: asyncio.StreamWriter) -> None:
    told = message.fields
    request = Request(told["verb"], told["protocol"], message.tensors["body"].tobytes(), told["headers"])
    try:
        reply = await model.answer(request)
        assert isinstance(reply, Reply)
        fields = {"id": number, "headers": dict(reply.headers), "status": reply.status}
        parts = ipc.pack(fields, {"body": np.frombuffer(reply.body, np.uint8)})
    except BaseException as error:  # CancelledError too: the parent waits until it has ended
        parts = ipc.pack({"id": number, **_failure(error)})
    for part in parts:
        writer.write(part)
    await writer.drain()


def _failure(error: BaseException) -> dict[str, Any]:
    """What the parent is told of an exception; only the log gets to see the stack."""
    text = _text(error)
    if isinstance(error, InvalidInput):
        return {"error": text, "kind": "input"}
    stack = "".join(traceback.format_exception(error))
    named = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return {"error": named, "kind": "model", "stack": stack[-_MAX_STACK:]}


def _text(error: BaseException) -> str:
    try:
        return str(error)[:_MAX_REASON]
    except Exception:  # an exception class of the model's own may fail even at this
        return ""
