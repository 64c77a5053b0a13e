"""A request's body, within its limit, and an answer to whatever comes of it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from server.api.bodies import Bodies
from server.api.rest.asgi import AsgiMessage, BodyLimits, answered, header, send_whole, with_root
from server.errors import NotReady
from server.inference.answer import Answer, StreamedAnswer

MOST = 10


class Client:
    """Sends a body in parts, and may hang up after them."""

    def __init__(self, *parts: bytes, hangs_up: bool = False) -> None:
        last = len(parts) - 1
        self.messages: list[AsgiMessage] = [
            {"type": "http.request", "body": part, "more_body": hangs_up or number < last}
            for number, part in enumerate(parts)
        ]
        self.messages += [{"type": "http.disconnect"}] * hangs_up
        self.taken = 0

    async def receive(self) -> AsgiMessage:
        self.taken += 1
        return self.messages[self.taken - 1]


async def echo(scope: Any, body: bytes, is_disconnected: Any) -> Answer:
    assert not is_disconnected()
    return Answer(200, [], body)


def ask(client: Client, handler: Any = echo, length: str | None = None) -> Answer:
    headers = [(b"content-length", length.encode())] if length is not None else []
    scope = {"method": "POST", "path": "/x", "headers": headers}
    answer = asyncio.run(answered(handler, scope, client.receive, BodyLimits(MOST, Bodies())))
    assert not isinstance(answer, StreamedAnswer)
    return answer


def error(answer: Answer) -> str:
    return str(json.loads(answer.body)["error"])


@pytest.mark.parametrize("parts", [(b"",), (b"abc",), (b"ab", b"", b"c" * 8)])
def test_a_body_comes_whole(parts: tuple[bytes, ...]) -> None:
    assert ask(Client(*parts)) == Answer(200, [], b"".join(parts))


def test_a_body_that_is_too_long_is_not_read_to_its_end() -> None:
    client = Client(b"x" * 8, b"x" * 8, b"x" * 8)
    answer = ask(client)
    assert answer.status == 413
    assert client.taken == 2
    assert "the limit is 10 (max_body_bytes)" in error(answer)


@pytest.mark.parametrize("length", ["11", "9" * 5000])
def test_one_that_says_that_it_is_too_long_is_not_read_at_all(length: str) -> None:
    client = Client(b"")
    assert ask(client, length=length).status == 413
    assert client.taken == 0


def test_who_hangs_up_within_the_body_has_sent_no_request() -> None:
    answer = ask(Client(b"abc", hangs_up=True))
    assert answer.status == 400
    assert "hung up" in error(answer)


def test_failures_become_answers(caplog: pytest.LogCaptureFixture) -> None:
    async def not_ready(*_: Any) -> Answer:
        raise NotReady("it is loading")

    async def broken(*_: Any) -> Answer:
        raise KeyError("ours")

    assert ask(Client(b""), not_ready).status == 503
    assert not caplog.records
    assert ask(Client(b""), broken).status == 500
    assert "POST /x failed" in caplog.text


def test_a_whole_answer_says_its_length() -> None:
    sent: list[AsgiMessage] = []

    async def send(message: AsgiMessage) -> None:
        sent.append(message)

    asyncio.run(send_whole(send, Answer(201, [(b"a", b"b")], b"body")))
    assert sent[0]["status"] == 201
    assert sent[0]["headers"] == [(b"a", b"b"), (b"content-length", b"4")]
    assert sent[1]["body"] == b"body"


def test_the_first_header_of_a_name_counts() -> None:
    scope = {"headers": [(b"a", b"1"), (b"b", b"\xff"), (b"a", b"2")]}
    assert [header(scope, name) for name in (b"a", b"b", b"c")] == ["1", "ÿ", None]


def test_the_root_path_stands_before_the_path_again() -> None:
    asked = {"path": "/ml/v2", "raw_path": b"/ml/v%32", "root_path": "/ml"}
    assert with_root(asked) == {"path": "/ml/ml/v2", "raw_path": b"/ml/ml/v%32", "root_path": "/ml"}
    assert with_root({"path": "/v2", "root_path": "/ml"}) == {"path": "/ml/v2", "root_path": "/ml"}
    for scope in ({"path": "/v2"}, {"path": "/v2", "root_path": ""}):
        assert with_root(scope) is scope
