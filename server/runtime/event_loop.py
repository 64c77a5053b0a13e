"""The event loop of a process that takes requests."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import uvloop

#: seconds between two looks of the interpreter at who may run: keeps the event loop punctual beside busy threads
SWITCH_INTERVAL = 0.001


def run(kind: str, main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run an event loop until `main` returns: asyncio's own where `kind` is "asyncio", else uvloop."""
    sys.setswitchinterval(SWITCH_INTERVAL)
    factory = asyncio.new_event_loop if kind == "asyncio" else uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main())
