"""What a model prints, line by line in the log."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import pytest

from server.workers import output
from server.workers.output import OutputLog


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    caplog.set_level(logging.INFO, "kserve")
    return lambda: [line.removeprefix("model m | ") for line in caplog.messages]


def test_lines_however_they_come(lines: Callable[[], list[str]]) -> None:
    log = OutputLog("m")
    for part in (b"a", b"b\nc", b"\n\n  \n\xc3", b"\xa9 \x1b[31mred\tx\n", b"10%\r50%\r100%\n", b"the end"):
        log.take(part)
    log.close()
    assert lines() == ["ab", "c", "é  [31mred x", "100%", "the end"]


def test_a_line_is_told_with_the_request_that_it_is_about(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "kserve")
    log, trace = OutputLog("m"), "4bf92f3577b34da6a3ce929d0e0e4736"
    log.take(f"\x1eabc 00-{trace}-00f067aa0ba902b7-01\x1fslow\nnobody's\n".encode())
    mine, nobodys = (record.__dict__ for record in caplog.records)
    assert (mine["message"], mine["request_id"]) == ("model m | slow", "abc")
    assert (mine["trace_id"], mine["span_id"]) == (trace, "00f067aa0ba902b7")
    assert not {"request_id", "trace_id"} & nobodys.keys()


def test_long_lines_are_cut(lines: Callable[[], list[str]]) -> None:
    log = OutputLog("m")
    for _ in range(100):
        log.take(b"x" * 1000)
    log.take(b"\nshort\n" + b"y" * 5000 + b"\n")
    log.close()
    assert lines() == ["x" * output.MAX_LINE + "...", "short", "y" * output.MAX_LINE + "..."]


def test_too_many_lines_are_counted(lines: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    log = OutputLog("m", _clock=0.0)
    log.take(b"line\n" * (output.BURST + 70))
    assert len(lines()) == output.BURST
    clock[0] = 0.5  # a pause of a second, and not a line and a warning in turns
    log.take(b"lost\n" * 60)
    assert len(lines()) == output.BURST
    clock[0] = 1.0
    log.take(b"next\n" * 2)
    assert lines()[output.BURST :] == ["model m printed too much: 130 lines were left out", "next", "next"]
