"""The child's side of a trial: load a model where a crash costs nothing, and say what came of it.

Started by `pool.TrialProcess` as `python -m server.loading.trial.trial_main FD`, with a socket under that descriptor.
The first message says which user it becomes, where the server is root (`--worker_uids`): one who may read all that root
may, and no more. It lives on between trials, so that frameworks are imported once. It imports `adapters` and the
frameworks that they need, and of the server only what a child needs.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from adapters import registry
from adapters.base import LoadError, ModelDir
from server.runtime import ipc, memory
from server.runtime.lifeline import resident_bytes, tie_to_parent
from server.runtime.sandbox.capabilities import become_reader
from server.workers.messages import signature_to_fields
from server.workers.self_test import SelfTest, one_line, self_test

_MAX_REASON = 4000
_WORTH = 2**20  #: bytes of a model after which freed memory is given back: that takes longer than to load a small one


def main(descriptor: int) -> None:
    """Answer jobs until the parent hangs up."""
    tie_to_parent()
    libc = ctypes.CDLL(None)
    with socket.socket(fileno=descriptor) as end:
        connection = ipc.Connection(end)
        if (begun := connection.receive()) is None:
            return
        if (user := begun.fields["user"]) is not None:
            become_reader(user)
        while (job := connection.receive()) is not None:
            answer = _try(job.fields, lambda stage: connection.send(ipc.pack({"stage": stage})))
            gc.collect()
            # glibc keeps freed memory, and the next trial's growth would not show; a small model leaves next to none
            if answer.get("memory_bytes", _WORTH) >= _WORTH and hasattr(libc, "malloc_trim"):
                libc.malloc_trim(0)
            connection.send(ipc.pack(answer))


def _try(job: dict[str, Any], announce: Callable[[str], None]) -> dict[str, Any]:
    try:
        with memory.collected_rarely():
            adapter = registry.get(job["adapter"])
            for module in adapter.requires:  # so that the model's memory and time do not include its framework's
                importlib.import_module(module)
        gc.freeze()  # what is imported stays: the collection after the trial need only look at the model (0.1 s less)
        before, began = resident_bytes(), time.perf_counter()
        model = adapter.load(ModelDir(Path(job["path"]), Path(job["root"])), job["file"], job["options"])
        seconds = time.perf_counter() - began
        describe = job.get("describe", False)
        if not describe:
            announce("example")
        test = SelfTest(model.traits.batchable) if describe else self_test(model)
        evidence, carries = dict(model.evidence()), model.carries
        grown = max(0, resident_bytes() - before)
        told = {"signature": signature_to_fields(model.signature)} if describe else {}
        model.close()
    except LoadError as error:
        return {"ok": False, "reason": str(error)[:_MAX_REASON]}
    except BaseException as error:  # a model's file may raise anything, SystemExit included
        return {"ok": False, "reason": one_line(error)}
    return {
        "ok": True,
        "seconds": seconds,
        "memory_bytes": grown,
        "batchable": test.batchable,
        "example_error": test.error,
        "evidence": evidence,
        "carries": carries,
        **told,
    }


if __name__ == "__main__":
    main(int(sys.argv[1]))
