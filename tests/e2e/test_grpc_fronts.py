"""Both ways of gRPC (`--grpc_frontend`) answer a corpus of calls alike, and so does the one that shares REST's port.

Status, details, answers, initial and trailing metadata of every method: inference, its errors, streams, compression,
deadlines, loading and unloading, statistics, health, reflection. And node's client, whose HTTP/2 is another, gets the
same of ours.
"""

from __future__ import annotations

import shutil
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb

from server.api.grpc.protos import STREAM, message_type
from tests import cases
from tests.certificates import Authority
from tests.e2e.grpc_calls import (
    SERVICE_PATH,
    GrpcCase,
    Outcome,
    health,
    infer,
    inference,
    outcomes,
    reflected,
    unary,
)
from tests.e2e.grpc_js import asked
from tests.e2e.process import READY_SECONDS, Server
from tests.patience import wait_for

pytestmark = pytest.mark.slow

ROW = [[5.1, 3.5, 1.4, 0.2]]
STREAM_PATH = f"{SERVICE_PATH}/{STREAM}"
TOKEN = "token-0123456789"
ADMIN = (("authorization", f"Bearer {TOKEN}"),)
CUSTOM = """
import asyncio, kserve

class Custom(kserve.Model):
    def __init__(self, name):
        super().__init__(name)
        self.ready = True

    async def predict(self, payload, headers=None):
        {line}
"""
FRONTS = {"http2": ("--grpc_frontend=http2",), "grpcio": ("--grpc_frontend=grpcio",), "one port": ()}


def words(text: str, model: str = "streaming") -> Any:
    request = pb.ModelInferRequest(model_name=model, id="s")
    request.inputs.add(name="text", datatype="BYTES", shape=[1]).contents.bytes_contents.append(text.encode())
    return request


def parts(*messages: Any, **how: Any) -> GrpcCase:
    return GrpcCase(STREAM_PATH, messages, message_type("ModelStreamInferResponse"), stream=True, **how)


def raw_row() -> Any:
    request = pb.ModelInferRequest(model_name="iris", id="7", raw_input_contents=[struct.pack("<4d", *ROW[0])])
    request.inputs.add(name="x", datatype="FP64", shape=[1, 4])
    return request


def admin(verb: str, model: str, metadata: Any = ADMIN) -> GrpcCase:
    case = unary(f"RepositoryModel{verb}", model_name=model)
    return GrpcCase(case.path, case.messages, case.answer, metadata=metadata)


NOTHING = pb.ModelInferResponse
CASES: dict[str, GrpcCase] = {
    "a row": inference(infer("iris", ROW, id="1")),
    "again": inference(infer("iris", ROW, id="1")),
    "raw": inference(raw_row()),
    "rows": inference(infer("iris", ROW * 300, id="2")),
    "with an identifier": inference(infer("iris", ROW, id="3"), metadata=(("x-request-id", "abc-1"),)),
    "with one that is none": inference(infer("iris", ROW, id="3"), metadata=(("x-request-id", "a b"),)),
    "with metadata": inference(infer("iris", ROW, id="3"), metadata=(("x-a", "1"), ("x-a", "2"), ("x-bin", b"\0\1"))),
    "of a version": inference(infer("iris", ROW, "1", id="4")),
    "of another": inference(infer("iris", ROW, "9", id="4")),
    "nobody's": inference(infer("nobody", ROW)),
    "no name": inference(infer("", ROW)),
    "too few columns": inference(infer("iris", [[1.0, 2.0]])),
    "another type": inference(infer("iris", ROW, datatype="FP61")),
    "no tensor": inference(pb.ModelInferRequest(model_name="iris")),
    "no message of its kind": inference(b"\xff\xff\xff"),
    "an empty message": inference(b""),
    "compressed": inference(infer("iris", ROW * 300, id="5"), compression=grpc.Compression.Gzip),
    "compressed otherwise": inference(infer("iris", ROW * 300, id="5"), compression=grpc.Compression.Deflate),
    "custom code fails": inference(words("a", "failing")),
    "too late": inference(words("a", "slow"), timeout=0.3),
    "a stream": parts(words("one two three")),
    "several": parts(words("one two"), words("three"), infer("iris", ROW, id="6")),
    "a stream, compressed": parts(words("one two three"), compression=grpc.Compression.Gzip),
    "a stream of none": parts(),
    "a stream that fails": parts(words("one"), infer("nobody", ROW, id="8"), words("two")),
    "a stream of what is none": parts(b"\xff\xff"),
    "no such method": GrpcCase(f"{SERVICE_PATH}/Nothing", [b""], NOTHING),
    "no such service": GrpcCase("/no.Service/Nothing", [b""], NOTHING),
    "live": unary("ServerLive"),
    "ready": unary("ServerReady"),
    "metadata": unary("ServerMetadata"),
    "a model's": unary("ModelMetadata", name="iris"),
    "nobody's metadata": unary("ModelMetadata", name="nobody"),
    "a model ready": unary("ModelReady", name="iris"),
    "nobody ready": unary("ModelReady", name="nobody"),
    "config": unary("ModelConfig", name="iris"),
    "nobody's config": unary("ModelConfig", name="nobody"),
    "index": unary("RepositoryIndex"),
    "statistics": unary("ModelStatistics", name="iris", loose=True),
    "nobody's statistics": unary("ModelStatistics", name="nobody"),
    "trace": unary("TraceSetting"),
    "logging": unary("LogSettings"),
    "shared memory": unary("SystemSharedMemoryStatus"),
    "unloading without the token": admin("Unload", "iris", ()),
    "unloading with another": admin("Unload", "iris", (("authorization", "Bearer wrong"),)),
    "unloading": admin("Unload", "iris"),
    "asked meanwhile": inference(infer("iris", ROW, id="9")),
    "loading": admin("Load", "iris"),
    "asked again": inference(infer("iris", ROW, id="9")),
    "loading nobody": admin("Load", "nobody"),
    "health": health(),
    "health of the service": health(service="inference.GRPCInferenceService"),
    "health of nobody": health(service="nobody"),
    **{f"reflection by {name}": case for name, case in reflected()},
}  # fmt: skip
#: what both answer so, to be sure that the corpus says something
CODES = {
    "OK": (
        "a row",
        "raw",
        "rows",
        "with metadata",
        "compressed",
        "a stream",
        "several",
        "config",
        "unloading",
        "health",
    ),
    "NOT_FOUND": ("nobody's", "of another", "nobody ready", "nobody's config", "loading nobody", "health of nobody"),
    "INVALID_ARGUMENT": ("too few columns", "another type", "no tensor", "with one that is none"),
    "UNIMPLEMENTED": ("no such method", "no such service", "shared memory"),
    "DEADLINE_EXCEEDED": ("too late",),
    "UNAUTHENTICATED": ("unloading without the token", "unloading with another"),
}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("models")
    (root / "iris").mkdir()
    cases.sklearn_logistic(root / "iris")
    custom = Path(__file__).parents[1] / "custom_models"
    shutil.copytree(custom / "streaming", root / "streaming")
    for name, line in {"slow": "await asyncio.sleep(3600)", "failing": 'raise ValueError("a failure")'}.items():
        (root / name).mkdir()
        (root / name / "model.py").write_text(CUSTOM.format(line=line))
    return root


@pytest.fixture(scope="module")
def servers(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Server]]:
    logs = tmp_path_factory.mktemp("logs")
    begun = {
        name: Server(models, logs / name, "--watch=false", *flags, one_port=name == "one port", ADMIN_TOKEN=TOKEN)
        for name, flags in FRONTS.items()
    }
    yield {name: server.wait_ready() for name, server in begun.items()}
    for server in begun.values():
        server.kill()


@pytest.fixture(scope="module")
def found(servers: dict[str, Server]) -> dict[str, dict[str, Outcome]]:
    return {name: outcomes(server.grpc, CASES) for name, server in servers.items()}


@pytest.mark.parametrize("front", ["http2", "one port"])
@pytest.mark.parametrize("case", CASES)
def test_both_answer_alike(found: dict[str, dict[str, Outcome]], case: str, front: str) -> None:
    assert found[front][case] == found["grpcio"][case]


@pytest.mark.parametrize("code", CODES)
def test_what_they_answer(found: dict[str, dict[str, Outcome]], code: str) -> None:
    assert {name: found["http2"][name].code for name in CODES[code]} == dict.fromkeys(CODES[code], code)


def test_nothing_went_wrong_inside(servers: dict[str, Server], found: dict[str, dict[str, Outcome]]) -> None:
    for name in ("http2", "one port"):
        assert "/server/api/" not in servers[name].log, servers[name].log


#: those that node's client asks, each as often at once
OF_NODE = {name: 20 if name == "a row" else 1 for name in (
    "a row", "raw", "rows", "with an identifier", "nobody's", "too few columns", "no message of its kind", "compressed",
    "too late", "several", "a stream that fails", "a stream, compressed", "no such method", "config", "index",
    "unloading with another", "health of nobody",
    *(name for name in CASES if name.startswith("reflection")))}  # fmt: skip


def js_call(case: GrpcCase, times: int) -> dict[str, Any]:
    return {
        "path": case.path,
        "messages": [each if isinstance(each, bytes) else each.SerializeToString() for each in case.messages],
        "stream": case.stream,
        "metadata": dict(case.metadata),
        "timeout": case.timeout,
        "compressed": case.compression is not None,
        "times": times,
    }


@pytest.mark.parametrize("front", ["http2", "one port"])
def test_nodes_client_gets_the_same(
    servers: dict[str, Server], found: dict[str, dict[str, Outcome]], front: str
) -> None:
    calls = {name: js_call(CASES[name], times) for name, times in OF_NODE.items()}
    for name, ended in asked(servers[front].grpc, calls).items():
        wanted = found[front][name]
        assert len(ended) == OF_NODE[name]
        for each in ended:
            assert each.code == wanted.code, name
            if each.code != "DEADLINE_EXCEEDED":  # each client words its own
                assert each.details == wanted.details, name
            answers = [CASES[name].answer.FromString(part) for part in each.answers]
            assert len(answers) == len(wanted.answers), name
            assert dict(wanted.initial).items() <= each.initial.items() or not wanted.initial


def test_nodes_client_may_leave_in_the_middle(servers: dict[str, Server]) -> None:
    call = {**js_call(parts(words("word " * 10_000)), 1), "cancel": True}
    (ended,) = asked(servers["http2"].grpc, {"left": call})["left"]
    assert ended.code == "CANCELLED"
    assert ended.answers


@pytest.mark.parametrize("one_port", [False, True], ids=["two ports", "one port"])
def test_nodes_client_by_tls(models: Path, tmp_path: Path, one_port: bool) -> None:
    authority = Authority(tmp_path)
    pair = authority.sign("server")
    flags = (f"--ssl_certfile={pair.chain}", f"--ssl_keyfile={pair.key}", "--watch=false")
    server = Server(models, tmp_path / "log", *flags, one_port=one_port)
    try:
        wait_for(lambda: "PolyServe" in server.log and " listens" in server.log, "the server", READY_SECONDS)
        (ended,) = asked(f"localhost:{server.grpc_port}", {"live": js_call(CASES["live"], 1)}, authority.file)["live"]
        assert (ended.code, len(ended.answers)) == ("OK", 1), ended
    finally:
        server.kill()
