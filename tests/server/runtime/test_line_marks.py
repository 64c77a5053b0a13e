"""What is printed while a request is answered is that request's, whatever prints it."""

from __future__ import annotations

import asyncio
import io
import logging
import sys

import pytest

from server.runtime.line_marks import MarkedLines, mark_output, own_lines, owned, unmarked

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


class Screen:
    """Where a process prints to."""

    def __init__(self) -> None:
        self.bytes = io.BytesIO()
        self.stream = MarkedLines(io.TextIOWrapper(self.bytes, "utf-8"))

    @property
    def lines(self) -> list[tuple[str, str, str]]:
        """Each line, with whose it is."""
        found = [owned(line) for line in self.bytes.getvalue().split(b"\n")]
        return [(each.line.decode(), each.request_id, each.traceparent) for each in found if each.line]


async def answered(screen: Screen, request_id: str, traceparent: str, *lines: str) -> None:
    own_lines(request_id, traceparent)
    for line in lines:
        print(line, "said", file=screen.stream)
        await asyncio.sleep(0)  # the other's turn


def test_lines_of_requests_at_the_same_time_are_told_apart() -> None:
    screen = Screen()

    async def both() -> None:
        await asyncio.gather(answered(screen, "a", "", "1", "2"), answered(screen, "b", TRACE, "3\n4"))
        print("nobody's", file=screen.stream)

    asyncio.run(both())
    told = [("1 said", "a", ""), ("3", "b", TRACE), ("4 said", "b", TRACE), ("2 said", "a", ""), ("nobody's", "", "")]
    assert screen.lines == told


def test_a_handler_that_user_code_has_set_up_is_no_exception() -> None:
    screen = Screen()
    log = logging.Logger("mine")
    log.addHandler(logging.StreamHandler(screen.stream))

    async def answer() -> None:
        own_lines("a", "")
        log.warning("slow")
        await asyncio.to_thread(log.warning, "from a thread that knows whose it is")

    asyncio.run(answer())
    assert screen.lines == [("slow", "a", ""), ("from a thread that knows whose it is", "a", "")]


@pytest.mark.parametrize(("request_id", "traceparent"), [("", ""), ("a b", ""), ("x" * 129, ""), ("a", "no trace")])
def test_what_is_no_identifier_marks_nothing(request_id: str, traceparent: str) -> None:
    screen = Screen()
    asyncio.run(answered(screen, request_id, traceparent, "1"))
    assert screen.bytes.getvalue() == b"1 said\n"


def test_a_mark_in_the_midst_of_a_line_is_taken_off_as_well() -> None:
    line = b"10 %\x1ea\x1fslow"
    assert owned(line)[:2] == (b"10 %slow", "a")
    assert unmarked(line + b"\n" + line) == b"10 %slow\n10 %slow"
    assert owned(b"\x1enot\xff one\x1f").request_id == ""


def test_the_streams_of_a_process_are_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    screens = {name: io.BytesIO() for name in ("stdout", "stderr")}
    for name, screen in screens.items():
        monkeypatch.setattr(sys, name, io.TextIOWrapper(screen, "utf-8"))
    mark_output()

    async def answer() -> None:
        own_lines("a", "")
        print("out")
        print("err", file=sys.stderr)

    asyncio.run(answer())
    assert [owned(screen.getvalue())[:2] for screen in screens.values()] == [(b"out\n", "a"), (b"err\n", "a")]
