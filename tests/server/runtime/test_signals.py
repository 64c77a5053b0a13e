"""The first signal stops the server, the second ends it; before there is anything to stop, the first ends it."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from server.runtime.own_code import SOURCE_ROOT
from server.runtime.signals import STOP, Signals

_CODE = """
import sys, signal
sys.path.insert(0, sys.argv[1])
from server.runtime.signals import Signals
signals = Signals()
signals.install()
if sys.argv[2] == "serves":
    signals.first(lambda name: print(name, flush=True))
print("ready", flush=True)
while True:
    signal.pause()
"""


class Ended(Exception):
    """Instead of the process."""


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    statuses: list[int] = []

    def end(status: int) -> None:
        statuses.append(status)
        raise Ended

    monkeypatch.setattr("os._exit", end)
    return statuses


@pytest.mark.parametrize("first", STOP)
@pytest.mark.parametrize("second", STOP)
def test_the_first_stops_and_the_second_ends(ended: list[int], first: signal.Signals, second: signal.Signals) -> None:
    signals, stopped = Signals(), list[str]()
    signals.first(stopped.append)
    signals.handle(first, None)
    assert (stopped, ended) == ([first.name], [])
    with pytest.raises(Ended):
        signals.handle(second, None)
    assert (stopped, ended) == ([first.name], [128 + second])


def test_before_anybody_is_served_the_first_ends_it(ended: list[int]) -> None:
    with pytest.raises(Ended):
        Signals().handle(signal.SIGTERM, None)
    assert ended == [0]


@pytest.mark.parametrize(("state", "status"), [("starts", 0), ("serves", 128 + signal.SIGINT)])
def test_a_process_that_has_them_installed(state: str, status: int) -> None:
    command = [sys.executable, "-c", _CODE, str(SOURCE_ROOT), state]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        child.send_signal(signal.SIGTERM)
        if state == "serves":
            assert child.stdout.readline() == "SIGTERM\n"
            child.send_signal(signal.SIGINT)
        assert child.wait(60) == status


#: starts anew as itself, as the server does that hides its secrets; the signal comes while nothing has handlers
_ANEW = """
import os, sys, signal
sys.path.insert(0, sys.argv[1])
from server.runtime.signals import Signals
signals = Signals()
if sys.argv[2] == "first":
    signals.install()
    with signals.held():
        os.kill(os.getpid(), signal.Signals[sys.argv[3]])
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:-2], "again", sys.argv[3]])
signals.install()
print("it did not come", flush=True)
sys.exit(3)
"""


@pytest.mark.parametrize("number", STOP)
def test_one_that_comes_while_the_process_starts_anew_is_not_lost(number: signal.Signals) -> None:
    command = [sys.executable, "-c", _ANEW, str(SOURCE_ROOT), "first", number.name]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_one_that_was_held_comes_after() -> None:
    came: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: came.append(number))
    try:
        with Signals().held():
            signal.raise_signal(signal.SIGTERM)
            assert came == []
        assert came == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)
