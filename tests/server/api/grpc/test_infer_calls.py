"""A request whose head is known is answered as any other: status, message and bytes."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias
from unittest import mock

import grpc
import numpy as np
import pytest
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb

from bench.ports import free_port
from server.api.grpc.channel_limits import GrpcLimits
from server.api.grpc.service import InferenceService, handlers, serve
from server.codec import grpc_messages
from server.codec.fast.grpc_templates import TemplateCache
from server.inference.batching.queue import Limits
from server.loading.catalog import scan
from server.loading.loader import Loader
from server.repository.repository import Repository
from tests.server.api.grpc.fronts import started
from tests.server.inference.test_passthrough_model import Gate
from tests.server.inference.test_passthrough_model import model as whole_model
from tests.server.stand_ins import stand_ins

METHOD = "/inference.GRPCInferenceService/ModelInfer"
MOST = 2**20
#: sends a serialized message; gives the status, its text, and the serialized answer
Ask: TypeAlias = Callable[[bytes], Awaitable[tuple[Any, str | None, bytes]]]


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    for name, line in {"good/1": "echo", "good/2": "echo", "bad": "echo refuse"}.items():
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "model.echo").write_text(line)
    (tmp_path / "good" / "polyserve.yaml").write_text("versions: all\n")
    may_import = threading.Event()
    may_import.set()
    with stand_ins(monkeypatch), ThreadPoolExecutor(4) as pool:
        repository = Repository(scan(tmp_path), Loader(None, may_import), pool, Limits(), "scan")
        for name in ("good", "bad"):
            repository.load_model(name)
        yield repository


def service(repository: Any) -> InferenceService:
    return InferenceService(repository)


@asynccontextmanager
async def calling(server: Any, port: int) -> AsyncIterator[Ask]:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        method = channel.unary_unary(METHOD)

        async def ask(raw: bytes) -> tuple[Any, str | None, bytes]:
            try:
                return grpc.StatusCode.OK, "", await method(raw, timeout=60)
            except grpc.aio.AioRpcError as error:
                return error.code(), error.details(), b""

        try:
            yield ask
        finally:
            await server.stop(None)


@asynccontextmanager
async def short_way(repository: Any) -> AsyncIterator[Ask]:
    port = free_port()
    async with calling((await serve(handlers(service(repository)), port, GrpcLimits(MOST, MOST)))[0], port) as ask:
        yield ask


@asynccontextmanager
async def callback_way(repository: Any) -> AsyncIterator[Ask]:
    """By our own HTTP/2, which asks models without a coroutine."""
    own = service(repository)
    server, port = await started("http2", handlers(own), own.inference, GrpcLimits(MOST, MOST))
    async with calling(server, port) as ask:
        yield ask


@asynccontextmanager
async def long_way(repository: Any) -> AsyncIterator[Ask]:
    """The same service, by which no head is ever known: protobuf reads every message."""
    port, forgetful = free_port(), service(repository)
    forgetful.inference._templates = Forgetful()
    async with calling((await serve(handlers(forgetful), port, GrpcLimits(MOST, MOST)))[0], port) as ask:
        yield ask


class Forgetful(TemplateCache):
    def find(self, raw: bytes) -> None:
        return None


def request(values: Any = ((1.0, 2.0),), dtype: str = "FP64", name: str = "x", **more: Any) -> Any:
    """A usual request, unless `more` makes it another."""
    matrix = np.array(values, {"FP64": np.float64, "FP32": np.float32, "INT64": np.int64}[dtype])
    message = pb.ModelInferRequest(**{"model_name": "good", **more})
    message.inputs.add(name=name, datatype=dtype, shape=matrix.shape)
    message.raw_input_contents.append(matrix.tobytes())
    return message


def changed(message: Any, change: Callable[[Any], object]) -> bytes:
    change(message)
    raw: bytes = message.SerializeToString()
    return raw


def backwards(message: Any) -> bytes:
    """The same message with the values first, as a serializer of another kind may write it."""
    values = pb.ModelInferRequest(raw_input_contents=message.raw_input_contents).SerializeToString()
    return values + changed(message, lambda it: it.ClearField("raw_input_contents"))


CORPUS: dict[str, bytes] = {
    name: message if isinstance(message, bytes) else message.SerializeToString()
    for name, message in {
        "usual": request(),
        "other values": request([[3.0, -0.0]]),
        "several rows": request([[1.0, 2.0], [3.0, 4.0]]),
        "narrow": request(dtype="FP32"),
        "extreme": request([[1.7e308, 5e-324]]),
        "the model fails": request([[-1.0, 2.0]]),
        "not finite": request([[1.0, np.nan]]),
        "infinite": request([[np.inf, 1.0]], dtype="FP32"),
        "whole numbers": request([[1, 2]], dtype="INT64"),
        "too wide": request([[1.0, 2.0, 3.0]]),
        "no rows": request(np.empty((0, 2))),
        "one dimension": request([1.0, 2.0]),
        "another name": request(name="z"),
        "a column's name": request(name="a"),
        "no such model": request(model_name="none"),
        "a broken model": request(model_name="bad"),
        "no name": request(model_name=""),
        "a version": request(model_version="1"),
        "no such version": request(model_version="7"),
        "an id": request(id="seven"),
        "a parameter": changed(
            request(), lambda it: it.parameters["factor"].CopyFrom(pb.InferParameter(int64_param=3))
        ),
        "a wrong parameter": changed(
            request(), lambda it: it.parameters["factor"].CopyFrom(pb.InferParameter(bool_param=True))
        ),
        "a tensor's parameter": changed(
            request(), lambda it: it.inputs[0].parameters["n"].CopyFrom(pb.InferParameter(int64_param=3))
        ),
        "an output": changed(request(), lambda it: it.outputs.add(name="y")),
        "no such output": changed(request(), lambda it: it.outputs.add(name="z")),
        "typed": pb.ModelInferRequest(
            model_name="good",
            inputs=[
                pb.ModelInferRequest.InferInputTensor(
                    name="x", datatype="FP64", shape=[1, 2], contents=pb.InferTensorContents(fp64_contents=[1, 2])
                )
            ],
        ),
        "typed and raw": changed(request(), lambda it: it.inputs[0].contents.fp64_contents.extend([1, 2])),
        "two tensors": changed(request(), lambda it: it.inputs.add(name="x", datatype="FP64", shape=[1, 2])),
        "values twice": changed(request(), lambda it: it.raw_input_contents.append(bytes(16))),
        "too few values": changed(request(), lambda it: it.raw_input_contents.__setitem__(0, bytes(15))),
        "a shape of another size": changed(request(), lambda it: it.inputs[0].shape.__setitem__(0, 2)),
        "columns": pb.ModelInferRequest(
            model_name="good",
            inputs=[{"name": name, "datatype": "FP64", "shape": [1]} for name in "ab"],
            raw_input_contents=[bytes(8), bytes(8)],
        ),
        "large": request(np.ones((5000, 2))),
        "backwards": backwards(request()),
        "a field from the future": request().SerializeToString() + bytes.fromhex("9a0601ff"),
        "nothing": b"",
    }.items()
}

NO_MESSAGES = {
    "no message": b"\xff" * 60,
    "cut short": request().SerializeToString()[:-1],
    "no text": request(model_name="goad").SerializeToString().replace(b"goad", b"go\xffd"),
}


@pytest.mark.filterwarnings("ignore:overflow")
def test_known_heads_are_answered_as_others_are(repository: Repository) -> None:
    """Twice in both orders: a head is known once it was seen, and what is like it must not be taken for it."""

    async def test() -> None:
        async with short_way(repository) as short, long_way(repository) as long, callback_way(repository) as callbacks:
            for name in [*CORPUS, *reversed(CORPUS), *CORPUS]:
                wanted = (name, await long(CORPUS[name]))
                assert (name, await short(CORPUS[name])) == wanted
                assert (name, await callbacks(CORPUS[name])) == wanted

    asyncio.run(test())


@pytest.mark.parametrize("way", [short_way, callback_way])
def test_what_is_no_message_is_the_callers_fault(repository: Repository, way: Any) -> None:
    """gRPC itself would answer UNKNOWN, which means a fault of the server's."""

    async def test() -> None:
        async with way(repository) as ask:
            for name in [*NO_MESSAGES, *NO_MESSAGES]:
                await ask(CORPUS["usual"])
                code, details, _ = await ask(NO_MESSAGES[name])
                assert (name, code) == (name, grpc.StatusCode.INVALID_ARGUMENT)
                assert "no ModelInferRequest" in details

    asyncio.run(test())


@pytest.mark.parametrize("way", [short_way, callback_way])
def test_a_known_head_spares_protobuf(repository: Repository, monkeypatch: pytest.MonkeyPatch, way: Any) -> None:
    async def test() -> None:
        async with way(repository) as ask:
            for _ in range(2):  # the head of the request, then that of the answer
                await ask(CORPUS["usual"])
            for function in ("decode", "encode"):
                monkeypatch.setattr(grpc_messages, function, lambda *_: pytest.fail("protobuf was asked"))
            code, details, answer = await ask(CORPUS["other values"])
            assert (code, details) == (grpc.StatusCode.OK, "")
            response = pb.ModelInferResponse.FromString(answer)
            assert np.frombuffer(response.raw_output_contents[0]).tolist() == [6.0, -0.0]

    asyncio.run(test())


def test_each_of_many_gets_its_own_answer(repository: Repository) -> None:
    async def test() -> None:
        async with short_way(repository) as ask:
            raws = [request([[float(i), 0.0]]).SerializeToString() for i in range(40)]
            answers = await asyncio.gather(*[ask(raw) for raw in raws])
            values = [
                np.frombuffer(pb.ModelInferResponse.FromString(raw).raw_output_contents[0]) for *_, raw in answers
            ]
            assert [first for first, _ in values] == [2.0 * i for i in range(40)]

    asyncio.run(test())


def test_a_model_that_reads_whole_requests_may_come_under_a_known_name() -> None:
    class Replaced:
        async def ready(self, name: str, version: str | None) -> Any:
            gate = Gate()
            gate.open.set()
            return whole_model(gate)

    context = mock.Mock()
    context.invocation_metadata.return_value = (("id", "7"),)

    async def test() -> None:
        shell = service(Replaced())
        for _ in range(2):
            answer = await shell.infer(CORPUS["usual"], context)
            assert pb.ModelInferResponse.FromString(answer).id == "7"

    asyncio.run(test())


def test_requests_are_counted_alike(repository: Repository) -> None:
    async def test() -> None:
        async with short_way(repository) as ask:
            for _ in range(3):
                await ask(CORPUS["usual"])
                await ask(CORPUS["the model fails"])
        assert dict(repository.metrics.of("good").requests) == {("grpc", 200): 3, ("grpc", 500): 3}

    asyncio.run(test())
