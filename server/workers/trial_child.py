"""The child's side of a trial: load a model where a crash costs nothing, and say what came of it.

Started by `trial_process.py` as `python -m server.workers.trial_child FD`, with a socket under that descriptor. It
lives on between trials, so that frameworks are imported once. It imports `adapters` and the frameworks that they need,
and nothing of the server.
"""

from __future__ import annotations

import ctypes
import fcntl
import gc
import importlib
import os
import resource
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from adapters import registry
from adapters.base import LoadError, ModelDir
from server.workers import frames
from server.workers.selftest import one_line, self_test

_MAX_REASON = 4000
_PAGE = os.sysconf("SC_PAGE_SIZE")


def main(descriptor: int) -> None:
    """Answer jobs until the parent hangs up."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _die_with_parent()
    _die_first_without_memory()
    libc = ctypes.CDLL(None)
    with socket.socket(fileno=descriptor) as connection:
        while (job := frames.receive(connection)) is not None:
            answer = _try(job, lambda stage: connection.sendall(frames.pack({"stage": stage})))
            gc.collect()
            if hasattr(libc, "malloc_trim"):  # glibc keeps freed memory, and the next trial's growth would not show
                libc.malloc_trim(0)
            connection.sendall(frames.pack(answer))


def _try(job: dict[str, Any], announce: Callable[[str], None]) -> dict[str, Any]:
    try:
        adapter = registry.get(job["adapter"])
        for module in adapter.requires:  # so that the model's memory and time do not include its framework's
            importlib.import_module(module)
        gc.freeze()  # what is imported stays: the collection after the trial need only look at the model (0.1 s less)
        before, began = _resident_bytes(), time.perf_counter()
        model = adapter.load(ModelDir(Path(job["path"]), Path(job["root"])), job["file"], job["options"])
        seconds = time.perf_counter() - began
        announce("example")
        test = self_test(model)
        memory = max(0, _resident_bytes() - before)
        model.close()
    except LoadError as error:
        return {"ok": False, "reason": str(error)[:_MAX_REASON]}
    except BaseException as error:  # a model's file may raise anything, SystemExit included
        return {"ok": False, "reason": one_line(error)}
    return {
        "ok": True,
        "seconds": seconds,
        "memory_bytes": memory,
        "batchable": test.batchable,
        "example_error": test.error,
    }


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * _PAGE


def _die_with_parent() -> None:
    """Have the kernel end this process when the parent, which holds the other end of standard input, is gone.

    A thread that waits for the end of the stream would not do: a loader in native code may hold the GIL for ever. Nor
    would PR_SET_PDEATHSIG: it follows the parent's *thread*, and the loader threads come and go. SIGIO's default action
    is to end the process.
    """
    fcntl.fcntl(0, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(0, fcntl.F_SETFL, fcntl.fcntl(0, fcntl.F_GETFL) | os.O_ASYNC)


def _die_first_without_memory() -> None:
    """When memory runs out, let the kernel end this process, not the server that started it."""
    try:
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    except OSError as error:
        print(f"oom_score_adj cannot be raised: {error}", file=sys.stderr)


if __name__ == "__main__":
    main(int(sys.argv[1]))
