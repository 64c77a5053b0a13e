"""Who may load and unload is asked of the address that a call comes from, and nobody can make one up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import grpc
import pytest
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb

from server.api.access import LOOPBACK, Access
from server.api.grpc.callers import Callers
from server.api.grpc.channel_limits import GrpcLimits
from server.api.grpc.protos import message_type
from server.api.grpc.service import ASKED_HOST, CLIENT, MADE_ID, InferenceService, handlers
from server.errors import Forbidden
from server.frontends.copy_repository import CopyRepository
from server.frontends.grpc_proxy import GrpcProxy, _timeout
from server.inference.batching.queue import Limits
from server.repository.repository import Repository
from tests.server.api.grpc.fronts import FRONTS, started

METHODS = ("RepositoryModelLoad", "RepositoryModelUnload")
FORGED = "ipv4:9.9.9.9:1"
MOST = 2**20


class Seen(Access):
    """Lets nobody through, and remembers who came."""

    addresses: list[str] = []  # noqa: RUF012  (one test's: `seen` makes it anew)

    def check(self, address: str, headers: Mapping[str, str]) -> None:
        self.addresses.append(address)
        raise Forbidden("nobody may")


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    monkeypatch.setattr(Seen, "addresses", [])
    return Seen()


@asynccontextmanager
async def doors(
    kind: str, seen: Access, path: Path, callers: Callers | None = None
) -> AsyncIterator[Mapping[str, str]]:
    """Where the main process, a front process, and the main process's own socket take calls."""
    service = handlers(InferenceService(cast(Repository, None), seen, change_level=lambda level: None))
    main, port = await started(kind, service, None, GrpcLimits(MOST, MOST), str(path / "grpc"))
    with ThreadPoolExecutor(1) as pool:
        front_service = GrpcProxy(CopyRepository(pool, Limits(), log_latency=False), path, callers)
        front, front_port = await started(kind, [front_service], front_service.inference, GrpcLimits(MOST, MOST))
        yield {"main": f"127.0.0.1:{port}", "front": f"127.0.0.1:{front_port}", "socket": f"unix:{path / 'grpc'}"}
        await front.stop(None)
        await front_service._channel.close()
    await main.stop(None)


async def ask(door: str, metadata: Any) -> None:
    async with grpc.aio.insecure_channel(door, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
        for method in METHODS:
            message = pb.RepositoryModelLoadRequest(model_name="a").SerializeToString()
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await channel.unary_unary(f"/inference.GRPCInferenceService/{method}")(message, metadata=metadata)
            assert error.value.code() == grpc.StatusCode.PERMISSION_DENIED


@pytest.mark.parametrize("door", ["main", "front"])
@pytest.mark.parametrize(
    ("metadata", "code"),
    [
        ((), grpc.StatusCode.OK),
        ([("x-request-id", "a")], grpc.StatusCode.PERMISSION_DENIED),
        ([("x-request-id", "a"), (MADE_ID, "1")], grpc.StatusCode.PERMISSION_DENIED),
        ([(MADE_ID, "1")], grpc.StatusCode.PERMISSION_DENIED),
    ],
)
@pytest.mark.parametrize("kind", FRONTS)
def test_an_identifier_that_a_front_process_made_is_nobodys_header(
    tmp_path: Path, door: str, metadata: Any, code: grpc.StatusCode, kind: str
) -> None:
    """Who calls from this machine without a token has no metadata but a client's own; so it is for the log's level."""
    request = message_type("LogSettingsRequest")()
    request.settings["log_verbose_level"].uint32_param = 0

    async def run() -> grpc.StatusCode:
        async with (
            doors(kind, Access(), tmp_path, Callers(make_ids=True)) as found,
            grpc.aio.insecure_channel(found[door], options=[("grpc.use_local_subchannel_pool", 1)]) as channel,
        ):
            call = channel.unary_unary("/inference.GRPCInferenceService/LogSettings")(
                request.SerializeToString(), metadata=metadata
            )
            return await call.code()

    forged_alone = metadata == [(MADE_ID, "1")] and door == "front"  # which takes it away
    assert asyncio.run(run()) is (grpc.StatusCode.OK if forged_alone else code)


@pytest.mark.parametrize("door", ["main", "front"])
@pytest.mark.parametrize(
    ("authority", "metadata", "may"),
    [
        ("localhost:8081", (), True),
        ("evil.example", (), False),
        ("evil.example", [(ASKED_HOST, "localhost")], False),
        ("localhost", [("host", "evil.example")], False),
        ("127.0.0.1@evil", (), False),
    ],
)
def test_who_asks_another_host_is_not_this_machines_own(
    tmp_path: Path, door: str, authority: str, metadata: Any, may: bool
) -> None:
    """As over REST (grpcio does not tell what a client calls the server)."""
    request = message_type("LogSettingsRequest")()
    request.settings["log_verbose_level"].uint32_param = 0

    async def run() -> grpc.StatusCode:
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.default_authority", authority)]
        async with (
            doors("http2", Access(), tmp_path) as found,
            grpc.aio.insecure_channel(found[door], options=options) as channel,
        ):
            method = channel.unary_unary("/inference.GRPCInferenceService/LogSettings")
            return await method(request.SerializeToString(), metadata=metadata).code()

    assert (asyncio.run(run()) is grpc.StatusCode.OK) is may


@pytest.mark.parametrize("door", ["main", "front"])
@pytest.mark.parametrize(
    "metadata",
    [
        (),
        [(CLIENT, FORGED)],
        [(CLIENT, FORGED), (CLIENT, FORGED)],
        [(CLIENT, FORGED), (CLIENT + "-bin", FORGED.encode())],
        [(CLIENT + "-bin", FORGED.encode())],
    ],
)
@pytest.mark.parametrize("kind", FRONTS)
def test_what_a_caller_says_of_himself_is_not_believed(
    seen: Seen, tmp_path: Path, door: str, metadata: Any, kind: str
) -> None:
    async def run() -> None:
        async with doors(kind, seen, tmp_path) as found:
            await ask(found[door], metadata)

    asyncio.run(run())
    assert len(seen.addresses) == len(METHODS)
    assert LOOPBACK.issuperset(seen.addresses)


@pytest.mark.parametrize(
    ("metadata", "address"),
    [
        ([(CLIENT, FORGED)], "9.9.9.9"),  # as a front process says it
        ([], ""),
        ([(CLIENT, FORGED), (CLIENT, "ipv4:127.0.0.1:1")], ""),
        ([(CLIENT + "-bin", b"ipv4:127.0.0.1:1")], ""),
        ([(CLIENT, "127.0.0.1")], ""),
    ],
)
@pytest.mark.parametrize("kind", FRONTS)
def test_a_front_process_says_it_once(seen: Seen, tmp_path: Path, metadata: Any, address: str, kind: str) -> None:
    async def run() -> None:
        async with doors(kind, seen, tmp_path) as found:
            await ask(found["socket"], metadata)

    asyncio.run(run())
    assert seen.addresses == [address] * len(METHODS)


async def raw_call(door: str, method: str, *metadata: tuple[bytes, bytes]) -> tuple[int, int]:
    """Type and flags of the last frame of a call's stream: HTTP/2 by hand, as no client sends such metadata."""

    def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
        return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload

    headers = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", method.encode()), (b":authority", b"x"),
               (b"content-type", b"application/grpc"), (b"te", b"trailers"), *metadata]  # fmt: skip
    block = b"".join(b"\0" + bytes((len(key),)) + key + bytes((len(value),)) + value for key, value in headers)
    host, _, port = door.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b""))
    writer.write(frame(1, 4, 1, block) + frame(0, 1, 1, bytes(5)))
    async with asyncio.timeout(60):
        while True:
            head = await reader.readexactly(9)
            await reader.readexactly(int.from_bytes(head[:3], "big"))
            if int.from_bytes(head[5:9], "big") == 1 and (head[3] == 3 or head[4] & 1):
                writer.close()
                return head[3], head[4]


@pytest.mark.parametrize("value", [b"\xc3\xa9", b"\xff", b"a\x01"])
@pytest.mark.parametrize("kind", FRONTS)
def test_metadata_that_cannot_be_handed_on_is_refused(seen: Seen, tmp_path: Path, value: bytes, kind: str) -> None:
    """The call ends, with a status; it was left without an answer once."""

    async def run() -> None:
        async with doors(kind, seen, tmp_path) as found:
            method = "/inference.GRPCInferenceService/ModelMetadata"
            frame, flags = await raw_call(found["front"], method, (b"x-a", value))
            assert (frame, flags & 1) == (1, 1)  # trailers, and with them the stream's end

    asyncio.run(run())


@pytest.mark.parametrize("timeout", [b"99999999H", b"87600H", b"60S"])
@pytest.mark.parametrize("kind", FRONTS)
def test_a_deadline_however_far_away_is_none_that_has_passed(
    seen: Seen, tmp_path: Path, timeout: bytes, kind: str
) -> None:
    """The call reaches the main process; ten thousand years were "exceeded" at once."""

    async def run() -> None:
        async with doors(kind, seen, tmp_path) as found:
            method = "/inference.GRPCInferenceService/RepositoryModelLoad"
            await raw_call(found["front"], method, (b"grpc-timeout", timeout))

    asyncio.run(run())
    assert len(seen.addresses) == 1


def test_a_deadline_is_handed_on() -> None:
    assert _timeout(None) is None
    assert _timeout(1.5) == 1.5
    assert _timeout(float("inf")) is None
