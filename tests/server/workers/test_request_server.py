"""The child's side of whole requests, over a socket pair, without a child."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Self

import numpy as np
import pytest

from adapters.base import (
    Adapter,
    InvalidInput,
    Match,
    ModelDir,
    Parameters,
    RefusedAs,
    Reply,
    ReplyStream,
    Request,
    Signature,
    StreamFailed,
    Tensors,
    TooLong,
)
from server.runtime import ipc
from server.workers import request_server
from server.workers.request_server import RequestServer, answer_all, failure_fields
from server.workers.streams import WINDOW_PARTS
from tests.patience import becomes


class Scripted(Adapter):
    """Answers with what the body names: a method of this class."""

    name = "scripted"
    platform = "test"

    def __init__(self) -> None:
        super().__init__(Signature((), (), whole=True))
        self.made = self.closed = 0

    @classmethod
    def match(cls, model_dir: ModelDir) -> Match | None:
        return None

    @classmethod
    def load(cls, model_dir: ModelDir, file: str, options: Parameters) -> Self:
        return cls()

    def predict(self, inputs: Tensors, parameters: Parameters) -> Tensors:
        raise NotImplementedError

    async def answer(self, request: Request) -> Reply | ReplyStream:
        verb = request.body.decode()
        if verb == "wait":
            await asyncio.Event().wait()
        if verb == "refuse":
            raise InvalidInput("not that")
        return Reply(b"whole", {"a": "b"}, 201) if verb == "whole" else ReplyStream(Endless(self), {"a": "b"}, 202)


class Endless:
    """Parts without an end; the model counts them."""

    def __init__(self, model: Scripted) -> None:
        self.model = model

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        self.model.made += 1
        return b"part"

    async def aclose(self) -> None:
        self.model.closed += 1


class Parent:
    """The other end."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer

    def send(self, *messages: dict[str, Any], body: bytes | None = None) -> None:
        tensors = {} if body is None else {"body": np.frombuffer(body, np.uint8)}
        self.writer.write(b"".join(part for fields in messages for part in map(bytes, ipc.pack(fields, tensors))))

    def ask(self, number: int, body: bytes) -> None:
        self.send({"id": number, "verb": "predict", "protocol": "v1", "headers": {}}, body=body)

    async def hear(self) -> tuple[dict[str, Any], bytes]:
        message = await asyncio.wait_for(ipc.read(self._reader), 60)
        assert message is not None
        return message.fields, message.tensors["body"].tobytes() if message.tensors else b""


@asynccontextmanager
async def parent_of(model: Adapter) -> AsyncIterator[Parent]:
    ours, theirs = socket.socketpair()
    serving = asyncio.create_task(answer_all(model, theirs))
    parent = Parent(*await asyncio.open_unix_connection(sock=ours))
    yield parent
    parent.writer.close()
    await parent.writer.wait_closed()
    await serving


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(main())


def test_whole_answers_and_errors() -> None:
    async def main() -> None:
        async with parent_of(Scripted()) as parent:
            parent.ask(0, b"whole")
            assert await parent.hear() == ({"id": 0, "headers": {"a": "b"}, "status": 201}, b"whole")
            parent.ask(1, b"refuse")
            assert await parent.hear() == ({"id": 1, "error": "not that", "kind": "input"}, b"")

    run(main)


def test_a_stream_makes_what_it_may_send_until_it_is_cancelled() -> None:
    async def main() -> None:
        async with parent_of(model := Scripted()) as parent:
            parent.ask(0, b"stream")
            opening = {"id": 0, "headers": {"a": "b"}, "status": 202, "stream": True}
            assert await parent.hear() == (opening, b"")
            for _ in range(WINDOW_PARTS):
                assert await parent.hear() == ({"id": 0, "part": True}, b"part")
            parent.ask(1, b"whole")
            assert (await parent.hear())[0]["id"] == 1
            assert model.made == WINDOW_PARTS
            parent.send({"credit": 0, "parts": 2, "bytes": 100}, {"credit": 7, "parts": 2, "bytes": 100})
            assert [(await parent.hear())[0] for _ in range(2)] == [{"id": 0, "part": True}] * 2
            parent.send({"cancel": 0}, {"cancel": 0}, {"cancel": 7})
            fields, _ = await parent.hear()
            assert (fields["id"], fields["end"]) == (0, True)
            assert (model.made, model.closed) == (WINDOW_PARTS + 2, 1)

    run(main)


@pytest.mark.parametrize("body", [b"wait", b"stream", b"whole"])
def test_who_is_cancelled_before_it_began_is_answered_once(body: bytes) -> None:
    """Request and cancel come together."""

    async def main() -> None:
        async with parent_of(model := Scripted()) as parent:
            head = {"verb": "predict", "protocol": "v1", "headers": {}}
            parent.send({"id": 0, **head}, body=body)
            parent.send({"cancel": 0})
            parent.send({"id": 1, **head}, body=b"whole")
            answers = [(await parent.hear())[0] for _ in range(2)]
            assert {fields["id"]: "error" in fields for fields in answers} == {0: True, 1: False}
            await becomes(lambda: model.closed == model.made == 0)

    run(main)


class Timing:
    """A part that is waited for within a timeout of the model's own, which a test makes run out."""

    def __init__(self, model: Scripted) -> None:
        self.model = model
        self.waiting: asyncio.Timeout | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        try:
            async with asyncio.timeout(None) as self.waiting:
                await asyncio.Event().wait()
        except TimeoutError:
            pass
        return b"late"

    async def aclose(self) -> None:
        self.model.closed += 1


def test_a_cancel_counts_in_the_moment_in_which_a_timeout_of_the_model_s_own_runs_out() -> None:
    async def main() -> None:
        model = Scripted()
        parts = Timing(model)

        async def answer(request: Request) -> ReplyStream:
            return ReplyStream(parts, {})

        model.answer = answer  # type: ignore[method-assign]
        reader, ours = asyncio.StreamReader(), socket.socketpair()
        _, writer = await asyncio.open_unix_connection(sock=ours[0])
        serving = asyncio.create_task(RequestServer(model, writer).serve(reader))
        body = {"body": np.frombuffer(b"x", np.uint8)}
        asked = ipc.pack({"id": 1, "verb": "predict", "protocol": "v1", "headers": {}}, body)
        reader.feed_data(b"".join(map(bytes, asked)))
        await becomes(lambda: parts.waiting is not None)
        waiting = parts.waiting
        assert waiting is not None
        waiting.reschedule(0)  # it runs out in the next step of the loop, in which the cancel is read
        reader.feed_data(b"".join(map(bytes, ipc.pack({"cancel": 1}))))
        await becomes(lambda: model.closed)
        reader.feed_eof()
        await serving
        writer.close()
        ours[1].close()

    run(main)


def test_what_the_parent_is_told_of_errors() -> None:
    class Speechless(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert failure_fields(InvalidInput("x" * 5000)) == {"error": "x" * 4000, "kind": "input"}
    assert failure_fields(TooLong("9 tokens")) == {"error": "9 tokens", "kind": "too_long"}
    assert failure_fields(RefusedAs("no picture", 422)) == {"error": "no picture", "kind": "input", "status": 422}
    assert failure_fields(StreamFailed("busy")) == {"error": "busy", "kind": "model"}
    assert failure_fields(KeyError("a"))["error"] == "KeyError: 'a'"
    assert failure_fields(Speechless())["error"] == "Speechless"
    assert "KeyError" in failure_fields(KeyError("a"))["stack"]


def test_the_stack_begins_where_the_models_own_code_does() -> None:
    def way(file: str, then: Callable[[], None]) -> Callable[[], None]:
        names: dict[str, Any] = {"then": then}
        exec(compile("def step():\n    then()\n", file, "exec"), names)
        step: Callable[[], None] = names["step"]
        return step

    def stack_of(step: Callable[[], None]) -> list[str]:
        try:
            step()
        except ZeroDivisionError as error:
            error.__traceback__ = error.__traceback__ and error.__traceback__.tb_next  # without this test itself
            stack: str = failure_fields(error)["stack"]
        return re.findall(r'File "(.*?)"', stack)

    def fails() -> None:
        raise ZeroDivisionError

    ours = request_server.__file__
    theirs, library = "/models/mine/model.py", "/site-packages/numpy/core.py"
    assert stack_of(way(ours, way(theirs, way(library, fails)))) == [theirs, library, __file__]
    names: dict[str, Any] = {}
    exec(compile("def fails():\n    1 / 0\n", ours, "exec"), names)
    assert stack_of(way(ours, names["fails"])) == [ours, ours], "nobody else's: it is all that is known"
