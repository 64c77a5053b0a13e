"""Threads in which bodies are read that would hold up the event loop: the largest of them one by one.

JSON takes up to thirty times its length while it is read, however many connections bring it. Python reads one text at a
time anyway, so that nobody waits longer for it that the others do not begin, each with thirty times its own.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar

_T = TypeVar("_T")

#: bodies and outputs above this many bytes are decoded and encoded in a thread, off the event loop
INLINE_BYTES = 64 * 1024
#: bodies above this many bytes are read one at a time
LARGE_BYTES = 4 * 2**20
#: as many at a time as there are cores
CODERS = ThreadPoolExecutor(max(2, os.cpu_count() or 1), "codec")
_LARGE = ThreadPoolExecutor(1, "large-body")


def reader_of(size: int) -> Executor:
    """Where a body of so many bytes is read."""
    return _LARGE if size > LARGE_BYTES else CODERS


async def read_aside(size: int, read: Callable[..., _T], *given: object) -> _T:
    """What `read` makes of a body of `size` bytes; of a large one in a thread."""
    if size <= INLINE_BYTES:
        return read(*given)
    context = copy_context()
    return await asyncio.get_running_loop().run_in_executor(reader_of(size), lambda: context.run(read, *given))
