"""A worker's way of loading and answering, over a pair of sockets, in this process."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from adapters.base import ModelDir
from server.runtime import ipc
from server.runtime.receiving import ReceiveLimits
from server.workers import worker_main
from server.workers.messages import Hello, WorkerModel
from tests.server.stand_ins import EchoAdapter, stand_ins

Pair = tuple[ipc.Connection, ipc.Connection]


@pytest.fixture(autouse=True)
def echo(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[EchoAdapter]]:
    with stand_ins(monkeypatch) as adapter:
        yield adapter


@pytest.fixture
def pair() -> Iterator[Pair]:
    """The worker's end and the parent's."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ipc.Connection(ours), ipc.Connection(theirs)


def load(pair: Pair, folder: Path, line: str) -> object:
    (folder / "m.echo").write_text(line)
    return worker_main._load(pair[0], WorkerModel("echo", ModelDir.of(folder), "m.echo", {}))


def received(connection: ipc.Connection) -> ipc.Message:
    message = connection.receive()
    assert message is not None
    return message


def test_a_model_is_announced_with_what_it_is(pair: Pair, tmp_path: Path, echo: type[EchoAdapter]) -> None:
    assert load(pair, tmp_path, "echo") is echo.made[0]
    assert received(pair[1]).fields == {"stage": "example"}
    hello = Hello.of(*received(pair[1]))
    assert (hello.platform, hello.batchable, hello.example_error) == ("test_echo", True, "")
    assert hello.signature == echo.made[0].signature
    assert hello.example["x"].shape == (2, 2)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("echo refuse", "m.echo is refused"),
        ("echo crash", "ZeroDivisionError: by zero"),
        ("echo exit", "SystemExit: 3"),
    ],
)
def test_why_there_is_none_is_told(pair: Pair, tmp_path: Path, line: str, reason: str) -> None:
    assert load(pair, tmp_path, line) is None
    assert received(pair[1]).fields == {"reason": reason}


def test_calls_are_answered_one_by_one_until_the_parent_hangs_up(pair: Pair) -> None:
    worker, parent = pair
    arguments = (EchoAdapter("echo", {}), worker, ReceiveLimits())
    answering = threading.Thread(target=worker_main._predict_all, args=arguments)
    answering.start()
    for rows, factor in (([[1.0, 2.0]], 2), ([[-1.0, 0.0]], 2), ([[3.0, 4.0]], 5)):
        parent.send(ipc.pack({"verb": "predict", "parameters": {"factor": factor}}, {"x": np.array(rows)}))
        answer = received(parent)
        if rows[0][0] == -1:
            assert "poison" in str(answer.fields)
            assert not answer.tensors
        else:
            assert answer.tensors["y"].tolist() == (np.array(rows) * factor).tolist()
    parent.send(ipc.pack({"verb": "explain", "parameters": {}}, {"x": np.zeros((1, 2))}))
    assert "declares no explanations" in str(received(parent).fields)
    parent.socket.close()
    answering.join(60)
    assert not answering.is_alive()
