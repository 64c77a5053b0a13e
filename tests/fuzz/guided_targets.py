"""What coverage-guided fuzzing is about: a name, what bytes do to the product, and what is told of them.

A check returns whatever it likes and raises where the product does what it must not: each keeps to what the fuzzers by
chance beside it keep to, with bytes that come from a program which sees what code they reach.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from random import Random
from typing import Any

import httptools

from adapters.base import LoadError
from adapters.formats.pickles import inspect, load
from adapters.generation.job import Job
from adapters.generation.refusal import RefusedJob
from server.api.openai.request_fields import ChatRequest, CompletionRequest, packed, read_request
from server.api.openai.response_fields import ResponseRequest
from server.api.openai.transcription_form import read_transcription
from server.api.rest.head_cache import HeadCache
from server.codec import grpc_messages, v1, v2
from server.codec.fast import grpc_templates, json_rows
from server.errors import ServingError
from tests.fuzz import frames, guided_seeds, http2
from tests.fuzz.folders import look
from tests.fuzz.pickles import watched
from tests.server.api.http2.client import HELLO
from tests.server.codec.signatures import SIGNATURES

_SIGNATURE = SIGNATURES["matrix"]


@dataclass(frozen=True)
class Target:
    """One thing that bytes are given to."""

    check: Callable[[bytes], object]
    seeds: Callable[[], Iterable[bytes]]


def head(data: bytes) -> None:
    """A head that the short way takes is what uvicorn's parser makes of it, and one of a plain request."""
    data = data[: data.find(b"\r\n\r\n") + 4]  # as `fast_protocol` cuts them
    asked = HeadCache().parse(data)
    if asked is None:
        return
    told = _Told()
    parser: Any = httptools.HttpRequestParser(told)
    parser.feed_data(data + bytes(asked.length))
    assert told.whole == 1, "the parser sees another end of the body"
    assert parser.get_method() == b"POST"
    names = [name.lower() for name, _ in told.headers]
    assert names.count(b"content-length") == 1
    assert b"transfer-encoding" not in names
    assert told.url.endswith(asked.path)


class _Told:
    def __init__(self) -> None:
        self.url, self.whole = b"", 0
        self.headers: list[tuple[bytes, bytes]] = []

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name, value))

    def on_message_complete(self) -> None:
        self.whole += 1


@cache
def _loop() -> tuple[asyncio.AbstractEventLoop, http2.World]:
    return asyncio.new_event_loop(), http2.World()


def connection(data: bytes, greeting: bytes = b"") -> None:
    """Bytes of a connection of gRPC, or of REST behind HTTP/2: whole frames, and nothing is left of it."""
    loop, world = _loop()

    async def talk() -> None:
        protocol, transport = world.connected()
        for piece in (greeting + data[: len(data) // 2], data[len(data) // 2 :]):
            if piece and not transport.ended:
                protocol.data_received(piece)
                await asyncio.sleep(0)
        http2.split(bytes(transport.written))
        protocol.connection_lost(None)
        async with asyncio.timeout(60):
            while any(world.left()):  # noqa: ASYNC110  (tasks end in their own time)
                await asyncio.sleep(0)

    loop.run_until_complete(talk())


def message(data: bytes) -> None:
    """A gRPC request by a template, by the way for usual ones and by the general one: the same inputs, or refusals."""
    from google.protobuf.message import DecodeError
    from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb

    try:
        grpc_messages.check_fields(data)
        request = pb.ModelInferRequest.FromString(data)
    except (ServingError, DecodeError):
        return
    general = _inputs(lambda: grpc_messages.decode(request, _SIGNATURE))
    assert general == _inputs(lambda: grpc_templates.grpc_decoder(_SIGNATURE)(request))
    templates = grpc_templates.TemplateCache()
    templates.learn(data, request)
    if (known := templates.find(data)) is not None:
        assert general == _inputs(lambda: grpc_templates.known_decoder(_SIGNATURE)(known, data))


def body(data: bytes) -> None:
    """Bodies of V1 and V2, by the short way and by the general one: the same inputs, or both are refused."""
    short, general = json_rows.v1_decoder(_SIGNATURE), v1.decode
    assert _inputs(lambda: short(data)) == _inputs(lambda: general(data, _SIGNATURE))
    assert _inputs(lambda: json_rows.v2_decoder(_SIGNATURE)(data, None)) == _inputs(
        lambda: v2.decode(data, None, _SIGNATURE)
    )


def _inputs(decode: Callable[[], Any]) -> Any:
    try:
        call = decode()
    except ServingError:
        return "refused"
    return [(name, array.dtype, array.shape, array.tobytes()) for name, array in call.inputs.items()]


def openai(data: bytes) -> None:
    """Bodies of OpenAI's API: a job, or a refusal that is no longer than it has to be."""
    for kind in (ChatRequest, CompletionRequest, ResponseRequest):
        try:
            job = read_request(data, kind).job()
            packed(job)
            Job.of(job)
        except (ServingError, RefusedJob) as error:
            told = str(error)
        else:
            told = ""
        assert len(told) < _LONGEST_REFUSAL, told[:200]


_LONGEST_REFUSAL = 2000


def form(data: bytes) -> None:
    """The form of a transcription."""
    with contextlib.suppress(ServingError):
        read_transcription("multipart/form-data; boundary=b", data, translates=False)


def pickled(data: bytes) -> None:
    """What the scan refuses, the loader refuses, and neither does more than make a model."""
    path = _folder("pickle") / "model.pkl"
    path.write_bytes(data)
    scanned = loaded = False
    with contextlib.suppress(LoadError):
        scanned = not inspect(path).refused
    with watched() as acts, contextlib.suppress(LoadError):
        load(path)
        loaded = True
    assert acts == []
    assert scanned or not loaded


def read(name: str, data: bytes) -> str:
    """A folder with a file of that name, as the server looks at it before it trusts it."""
    folder = _folder(name)
    (folder / name).write_bytes(data)
    return look(folder)


@cache
def _root() -> tempfile.TemporaryDirectory[str]:
    """Removed when the process ends."""
    return tempfile.TemporaryDirectory(prefix="guided-")


@cache
def _folder(name: str) -> Path:
    folder = Path(_root().name) / name / "model"
    folder.mkdir(parents=True)
    for beside, content in guided_seeds.BESIDE.get(name, {}).items():
        (folder / beside).write_bytes(content)
    return folder


def _hpack(data: bytes) -> str:
    return http2.compare_blocks([part for part in data.split(b"\xfe\xff", 8) if part])


TARGETS: dict[str, Target] = {
    "http1-heads": Target(head, guided_seeds.heads),
    "http2-frames": Target(partial(connection, greeting=HELLO), guided_seeds.conversations),
    "http1-and-2": Target(connection, guided_seeds.connections),
    "hpack": Target(_hpack, guided_seeds.blocks),
    "grpc-messages": Target(message, guided_seeds.messages),
    "bodies": Target(body, guided_seeds.bodies),
    "openai": Target(openai, guided_seeds.openai),
    "forms": Target(form, guided_seeds.forms),
    "worker-frames": Target(frames.received, lambda: [frames.sound(Random(seed)) for seed in range(20)]),
    "pickles": Target(pickled, guided_seeds.pickles),
    **{name: Target(partial(read, name), partial(guided_seeds.file, name)) for name in guided_seeds.FILES},
}
