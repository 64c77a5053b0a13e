"""The event loop of a process that takes requests, as `--event-loop` names it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator

import pytest
import uvloop

from server.runtime.event_loop import SWITCH_INTERVAL, run


@pytest.fixture(autouse=True)
def _interval() -> Iterator[None]:
    """The interpreter's own, which is the other tests', too."""
    interval = sys.getswitchinterval()
    yield
    sys.setswitchinterval(interval)


@pytest.mark.parametrize(
    ("kind", "loop"), [("asyncio", asyncio.SelectorEventLoop), ("uvloop", uvloop.Loop), ("auto", uvloop.Loop)]
)
def test_it_runs_on_the_loop_that_was_asked_for(kind: str, loop: type) -> None:
    seen: list[tuple[asyncio.AbstractEventLoop, float]] = []

    async def main() -> None:
        seen.append((asyncio.get_running_loop(), sys.getswitchinterval()))

    run(kind, main)
    ((running, interval),) = seen
    assert isinstance(running, loop)
    assert interval == pytest.approx(SWITCH_INTERVAL)
    assert running.is_closed()


def test_what_fails_is_heard() -> None:
    async def main() -> None:
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        run("asyncio", main)
