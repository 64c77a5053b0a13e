"""The child's side of a model's worker: load one model, tell what it is, answer calls until the parent hangs up.

Started by `worker.py`. Calls of `predict` and `explain` come one at a time and run in the main thread; whole requests
(`Adapter.answer`) come any number at a time and run on an event loop in it (`request_server`).

    parent: job                      child: {"stage": "example"} ... hello, or {"reason": why not}
    parent: verb, inputs             child: outputs, or {"error": ...}
    parent: id, whole request        child: id, reply, or {"error": ...}        parent: {"cancel": id}
                                     child: a stream of parts (`streams`)

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
from typing import NoReturn

from adapters import registry
from adapters.base import Adapter, LoadError
from server.runtime import ipc, memory
from server.runtime.lifeline import resident_bytes_of_all, tie_to_parent
from server.runtime.line_marks import mark_output
from server.runtime.receiving import ReceiveLimits
from server.workers.import_names import release_names
from server.workers.messages import Hello, WorkerModel
from server.workers.request_server import answer_all, failure_fields, message_of
from server.workers.self_test import SelfTest, one_line, self_test


def main(descriptor: int) -> NoReturn:
    """Serve one model over the socket under this descriptor; ends the process."""
    tie_to_parent()
    os.set_inheritable(descriptor, False)
    faulthandler.enable()
    mark_output()
    connection = ipc.Connection(socket.socket(fileno=descriptor))
    job = connection.receive()
    model = _load(connection, WorkerModel.of(job.fields)) if job else None
    if job is not None and model is not None:
        limits = ReceiveLimits(body=job.fields["most"])
        if model.signature.whole:
            loop = asyncio.get_event_loop_policy().get_event_loop()  # where an asynchronous load began its tasks
            loop.run_until_complete(answer_all(model, connection.socket, limits))
        else:
            _predict_all(model, connection, limits)
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
        with memory.collected_rarely():
            model = adapter.load(job.directory, job.file, job.options)
        seconds = time.perf_counter() - began
        connection.send(ipc.pack({"stage": "example"}))
        test = SelfTest(batchable=False) if model.signature.whole else self_test(model)
        connection.send(_hello(model, seconds, test))
    except LoadError as error:
        connection.send(ipc.pack({"reason": message_of(error)}))
    except BaseException as error:  # a model may raise anything, SystemExit included
        traceback.print_exception(error)
        connection.send(ipc.pack({"reason": one_line(error)}))
    else:
        return model
    return None


def _hello(model: Adapter, seconds: float, test: SelfTest) -> list[ipc.Part]:
    example = {} if test.error or model.signature.whole else model.example()
    hello = Hello(
        model.signature,
        model.platform,
        test.batchable,
        seconds,
        resident_bytes_of_all(),
        example,
        test.error,
        model.reserve_bytes,
    )
    return ipc.pack(hello.to_fields(), example)


def _predict_all(model: Adapter, connection: ipc.Connection, limits: ReceiveLimits) -> None:
    verbs = {"predict": model.predict, "explain": model.explain}
    while (call := connection.receive()) is not None:
        try:
            outputs = verbs[call.fields["verb"]](call.tensors, call.fields["parameters"])
            answer = ipc.pack({}, outputs, limits)
        except BaseException as error:  # SystemExit too: it ends a call, not the worker
            answer = ipc.pack(failure_fields(error))
        connection.send(answer)
        del call
