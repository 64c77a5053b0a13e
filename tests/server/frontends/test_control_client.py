"""Requests to a front process from the main one: each gets its answer, or hears that the process has ended."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator

import pytest

from server.frontends import control_client
from server.frontends.control_client import ControlClient, FrontendEnded
from server.runtime.child_process import ChildProcess
from server.runtime.own_code import SOURCE_ROOT
from tests.patience import wait_for

_BOOT = (
    "import sys; sys.path.insert(0, sys.argv[2]); import os, socket, time; from server.runtime import ipc; "
    "connection = ipc.Connection(socket.socket(fileno=int(sys.argv[1])))\n"
)
#: answers two requests at a time, the later first
BACKWARDS = """
while True:
    asked = [connection.receive().fields for _ in range(2)]
    for fields in reversed(asked):
        connection.send(ipc.pack({"id": fields["id"], "error": "", "did": fields["do"], "with": fields["what"]}))
"""

Make = Callable[[str], tuple[ControlClient, ChildProcess, threading.Event]]


@pytest.fixture
def make() -> Iterator[Make]:
    """A process that runs this code, whose answers are listened for; the event says that there was a quiet time."""
    made: list[tuple[ChildProcess, threading.Thread]] = []

    def make(code: str) -> tuple[ControlClient, ChildProcess, threading.Event]:
        child = ChildProcess(
            "process", lambda end: [sys.executable, "-c", _BOOT + code, str(end), str(SOURCE_ROOT)], os.environ
        )
        client, quiet = ControlClient(child), threading.Event()
        thread = threading.Thread(target=client.listen, args=(quiet.set,))
        thread.start()
        made.append((child, thread))
        return client, child, quiet

    yield make
    for child, thread in made:
        child.kill()
        thread.join(60)
        assert not thread.is_alive()
        child.reap()


def test_each_request_gets_its_own_answer_from_whatever_thread(make: Make) -> None:
    client, _, _ = make(BACKWARDS)
    answers = {what: client.request("something", what=what) for what in range(10)}
    for what, answer in answers.items():
        assert answer.result(60)["did"] == "something"
        assert answer.result()["with"] == what


def test_what_was_asked_of_a_process_that_ends_is_not_waited_for(make: Make) -> None:
    client, _, _ = make("connection.receive(); connection.receive(); os._exit(1)")
    answers = [client.request("something") for _ in range(2)]
    for answer in answers:
        assert isinstance(answer.exception(60), FrontendEnded)
    assert isinstance(client.request("more").exception(0), FrontendEnded)


def test_one_that_says_nothing_is_looked_after(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_client, "POLL_INTERVAL", 0.01)
    _, child, quiet = make("time.sleep(600)")
    assert quiet.wait(60)
    assert child.alive()


def test_one_that_takes_no_more_is_ended(
    make: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(control_client, "SEND_TIMEOUT", 0.2)
    client, child, _ = make("time.sleep(600)")
    answer = client.request("something", what="x" * 10_000_000)
    assert isinstance(answer.exception(60), FrontendEnded)
    assert not child.alive()
    assert "takes no more messages" in caplog.text


def test_one_that_cannot_be_understood_is_given_up(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    client, _, _ = make("connection.receive(); connection.socket.sendall(b'\\xff' * 1000); time.sleep(600)")
    assert isinstance(client.request("something").exception(60), FrontendEnded)
    wait_for(lambda: "cannot be understood" in caplog.text)
