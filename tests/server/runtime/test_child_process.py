"""The parent's side of a child process: what it hears of it, and how it words why it died."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from server.runtime import ipc
from server.runtime.child_process import ChildProcess
from server.runtime.own_code import SOURCE_ROOT
from tests.patience import wait_for
from tests.processes import alive

_BOOT = (
    "import sys; sys.path.insert(0, sys.argv[2]); import os, signal, socket, time; from server.runtime import ipc; "
    "end = socket.socket(fileno=int(sys.argv[1])); connection = ipc.Connection(end)\n"
)
ECHO = "while (message := connection.receive()) is not None: connection.send(ipc.pack(message.fields))"

Make = Callable[..., ChildProcess]


@pytest.fixture
def make() -> Iterator[Make]:
    children: list[ChildProcess] = []

    def make(code: str, on_output: Callable[[bytes], None] = lambda _: None) -> ChildProcess:
        def command(end: int) -> list[str]:
            return [sys.executable, "-u", "-c", _BOOT + code, str(end), str(SOURCE_ROOT)]

        children.append(ChildProcess("helper", command, os.environ, on_output))
        return children[-1]

    yield make
    for child in children:
        child.reap()


def soon() -> float:
    """A deadline that a child which does what it should keeps."""
    return time.monotonic() + 60


def test_messages_go_there_and_back(make: Make) -> None:
    child = make(ECHO)
    for number in range(3):
        child.connection.send(ipc.pack({"number": number}))
        assert child.receive(soon()).fields == {"number": number}
    assert child.alive()


def test_what_does_not_come_in_time_is_not_waited_for(make: Make) -> None:
    with pytest.raises(TimeoutError):
        make(ECHO).receive(time.monotonic() + 0.05)


def test_a_connection_that_was_hung_up_is_at_its_end(make: Make) -> None:
    child = make(ECHO)
    child.hang_up()  # the child sees that, too, and ends
    with pytest.raises(EOFError):
        child.receive(soon())
    assert child.cause_of_death() == "the helper ended (exit code 0)"


def test_a_start_that_fails_leaves_nothing_open() -> None:
    before = os.listdir("/proc/self/fd")  # noqa: PTH208  (numbers, no paths)
    with pytest.raises(OSError):
        ChildProcess("helper", lambda end: ["/nowhere/python", str(end)], os.environ)
    assert os.listdir("/proc/self/fd") == before  # noqa: PTH208


def test_what_it_prints_is_handed_over_and_its_end_explains_a_death(make: Make) -> None:
    printed: list[bytes] = []
    child = make("print('a line'); sys.exit('the last\\x1b one')", printed.append)
    assert child.cause_of_death("loading") == (
        "loading ended the helper (exit code 1); last output: a line / the last  one"
    )
    assert b"".join(printed) == b"a line\nthe last\x1b one\n"


def test_output_that_was_forgotten_explains_nothing(make: Make) -> None:
    child = make("print('begun')\n" + ECHO)
    wait_for(lambda: not child.wait(0) and b"begun" in child._tail)
    child.forget_output()
    child.hang_up()
    assert child.cause_of_death() == "the helper ended (exit code 0)"


@pytest.mark.parametrize(
    ("number", "doing", "cause"),
    [
        (signal.SIGKILL, "", "the helper was killed (SIGKILL), as happens when memory runs out"),
        (signal.SIGKILL, "loading", "loading, the helper was killed (SIGKILL), as happens when memory runs out"),
        (signal.SIGSEGV, "", "the helper crashed (SIGSEGV)"),
        (
            signal.SIGSEGV,
            "loading",
            "loading crashed the helper (SIGSEGV): the file is damaged, or was written by another version of its "
            "framework",
        ),
        (signal.SIGRTMIN + 1, "", f"the helper crashed (signal {signal.SIGRTMIN + 1})"),
    ],
)
@pytest.mark.slow
def test_a_death_by_a_signal_is_told_in_words(make: Make, number: int, doing: str, cause: str) -> None:
    child = make(f"os.kill(os.getpid(), {int(number)})")
    assert child.cause_of_death(doing) == cause
    assert not child.alive()


@pytest.mark.parametrize(
    ("doing", "cause"), [("", "the helper hung up"), ("loading", "loading broke the connection to the helper")]
)
@pytest.mark.slow
def test_one_that_hangs_up_and_lives_on_is_ended(make: Make, doing: str, cause: str) -> None:
    child = make("end.close(); time.sleep(600)")
    assert child.wait(60)
    assert child.cause_of_death(doing, grace=0.05) == cause
    wait_for(lambda: not psutil.pid_exists(child.pid) or not alive(psutil.Process(child.pid)))


def test_what_the_child_has_started_ends_with_it(make: Make) -> None:
    child = make("import subprocess; other = subprocess.Popen(['sleep', '600']); print(other.pid)\n" + ECHO)
    wait_for(lambda: not child.wait(0) and child._tail.endswith(b"\n"))
    other = psutil.Process(int(child._tail))
    child.kill()
    assert not child.alive()
    wait_for(lambda: not other.is_running() or not alive(other))


def test_who_watches_only_hears_of_the_end_and_not_of_messages(make: Make) -> None:
    child = make("connection.send(ipc.pack({'unasked': 1}))\n" + ECHO)
    assert child.wait(60)
    child.watch_only()
    assert not child.wait(0.05)
    child.kill()
    assert child.wait(60)


def test_one_may_end_by_itself_within_the_grace_period(make: Make, tmp_path: Path) -> None:
    child = make(f"connection.receive(); open({str(tmp_path / 'tidied')!r}, 'w').close()")
    child.hang_up()
    child.end(60)
    assert (tmp_path / "tidied").exists()
