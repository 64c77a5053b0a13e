"""The short way answers as the long way does, in whatever pieces the bytes come, and loses nobody's answer."""

from __future__ import annotations

import asyncio
import threading
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import orjson
import pytest
import uvicorn
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.api.credentials import KeyFile, KeyGuard
from server.api.rest.bounded_protocol import Bounds
from server.api.rest.fast_protocol import FastProtocol, ServerContext
from server.api.rest.head_cache import MAX_HEADS, HeadCache, HeadRules
from server.api.rest.keyed_routes import KeyedRoutes
from server.api.rest.limits import HttpLimits
from server.api.rest.manners import Manners
from server.api.rest.routes import Routes
from server.codec.decoded_request import DecodedRequest
from server.inference.batching.merging import BatchCaller
from server.inference.batching.queue import Limits
from server.loading.catalog import scan
from server.loading.loader import Loader
from server.repository.repository import Repository
from server.runtime.busy_poll import BusyPoll
from tests.patience import becomes
from tests.server.stand_ins import stand_ins

MAX_BODY = 5000
PATIENCE = 60.0


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repository]:
    root: Path = tmp_path_factory.mktemp("models")
    for name, line in {"good": "echo", "bad": "echo refuse"}.items():
        (root / name).mkdir()
        (root / name / "model.echo").write_text(line)
    with pytest.MonkeyPatch.context() as patch, stand_ins(patch), ThreadPoolExecutor(4) as pool:
        may_import = threading.Event()
        may_import.set()
        repository = Repository(scan(root), Loader(None, may_import), pool, Limits(max_queue=40), "scan")
        for name in ("good", "bad"):
            repository.load_model(name)
        yield repository


async def behind(scope: Any, receive: Any, send: Any) -> None:
    """The application behind: says how it was asked."""
    body = orjson.dumps({"behind": scope["path"]})
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 404, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@dataclass
class Site:
    server: uvicorn.Server
    shared: ServerContext
    port: int

    async def ask(self, *pieces: bytes, answers: int = 1) -> list[Answer]:
        """The answers to what is sent in these pieces."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.001 if len(pieces) > 1 else 0)
        found = [await read(reader) for _ in range(answers)]
        writer.close()
        return found


@dataclass(frozen=True)
class Answer:
    status: str
    headers: dict[str, str]
    body: bytes

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Answer) and self.comparable == other.comparable

    @property
    def comparable(self) -> Any:
        headers = [(name, value) for name, value in self.headers.items() if name not in ("date", "content-length")]
        body = orjson.loads(self.body) if self.headers["content-type"] == "application/json" else self.body
        if isinstance(body, dict) and "-" in str(body.get("id")):  # made up where the request has none
            body = {**body, "id": "made up"}
        return self.status, headers, body


async def read(reader: asyncio.StreamReader) -> Answer:
    async with asyncio.timeout(PATIENCE):
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.split(": ", 1) for line in head[1:] if line)
        assert len(headers) == len(head) - 3
        return Answer(head[0], headers, await reader.readexactly(int(headers["content-length"])))


@asynccontextmanager
async def site(
    repository: Repository,
    limits: HttpLimits | None = None,
    rules: HeadRules | None = None,
    guard: KeyGuard | None = None,
    **options: Any,
) -> AsyncIterator[Site]:
    bounds, rules = Bounds(limits), rules or HeadRules()
    shared = ServerContext(repository, MAX_BODY, bounds=bounds, rules=rules, guard=guard)
    routes: Any = Routes(behind, repository, MAX_BODY, bodies=bounds.bodies)
    app = Manners(KeyedRoutes(routes, guard) if guard else routes, rules.root.decode(), make_ids=rules.make_ids)
    async with serving(app, partial(FastProtocol, shared), shared, **options) as here:
        yield here


@asynccontextmanager
async def serving(app: Any, protocol: Any, shared: ServerContext, **options: Any) -> AsyncIterator[Site]:
    options = {"access_log": False, "lifespan": "off", "log_level": "critical", **options}
    config = uvicorn.Config(app, port=0, http=protocol, **options)
    server = uvicorn.Server(config)
    with mock.patch.object(server, "capture_signals"):
        running = asyncio.create_task(server.serve())
        while not server.started:  # noqa: ASYNC110  (uvicorn has no event for it)
            await asyncio.sleep(0.01)
        try:
            yield Site(server, shared, server.servers[0].sockets[0].getsockname()[1])
        finally:
            server.should_exit = True
            await running


def post(path: str, body: bytes, *headers: str) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: x", *headers, f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


def the_long_way(path: str, body: bytes, *headers: str) -> bytes:
    """The same request in a form that the short way leaves alone."""
    lines = [f"POST {path} HTTP/1.1", "Host: x", *headers, "Transfer-Encoding: chunked", "", ""]
    chunks = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
    return "\r\n".join(lines).encode() + chunks + b"0\r\n\r\n"


V1 = "/v1/models/good:predict"
V2 = "/v2/models/good/infer"
ONE = b'{"instances": [[1, 2]]}'
TENSOR = {"name": "x", "shape": [1, 2], "datatype": "FP64"}
TENSORS = orjson.dumps({"id": "7", "inputs": [{**TENSOR, "data": [1, 2]}]})
RAW_HEAD = orjson.dumps(
    {
        "id": "7",
        "inputs": [{**TENSOR, "parameters": {"binary_data_size": 16}}],
        "parameters": {"binary_data_output": True},
    }
)
RAW = RAW_HEAD + bytes(16)
LENGTH = f"Inference-Header-Content-Length: {len(RAW_HEAD)}"

CORPUS: list[tuple[Any, ...]] = [
    (V1, ONE), (V1, b'{"instances": [[1, 2], [3.5, -4]]}'), (V1, b'{"instances": [{"b": 1, "a": 2}]}'),
    (V1, b'{"instances": [[1, 2]], "parameters": {"factor": 3}}'), (V1, b'{"instances": [[1]]}'), (V1, b"{}"),
    (V1, b'{"instances": [[-1, -1]]}'), (V1, b""), (V1, b"{"), (V1, b"\xff\x00"), (V1, b"[]"), (V1, b" " * 100),
    (V1, ONE, "Content-Type: application/json"), (V1, ONE, "Content-Type: text/plain", "X-Odd: \xe9"),
    (V1, ONE, "ce-id: 1", "ce-type: a", "ce-source: b", "ce-specversion: 1.0"),
    (V1, b"x" * (MAX_BODY + 1)), (V1, ONE + b" " * (MAX_BODY - len(ONE))),
    (V2, TENSORS), (V2, b"{}"), (V2, orjson.dumps({"inputs": [{**TENSOR, "data": [1]}]})), (V2, RAW, LENGTH),
    (V2, RAW), (V2, RAW, "Inference-Header-Content-Length: nonsense"), (V2, RAW, LENGTH + "0"),
    ("/v2/models/good/versions/1/infer", TENSORS), ("/v2/models/good/versions//infer", TENSORS),
    ("/v1/models/bad:predict", ONE), ("/v1/models/nobody:predict", ONE), ("/v1/models/:predict", ONE),
    ("/v2/models//infer", TENSORS), ("/v1/models/g%6fod:predict", ONE), (V1 + "?a=b", ONE),
    ("/v1/models/good:explain", ONE), ("/elsewhere", ONE), ("//v1/models/good:predict", ONE),
    ("http://elsewhere" + V1, ONE), (V1, ONE, "X-Request-Id: abc-1"), (V1, b"{", "x-request-id: abc-2"),
    (V1, ONE, "X-Request-Id: a b"), (V1, ONE, "X-Request-Id: a", "X-Request-Id: b"),
    (V1, ONE, "Accept-Encoding: gzip, deflate"), (V1, ONE, "Content-Type: application/json; charset=klingon"),
    (V1, b"\xef\xbb\xbf" + ONE),
]  # fmt: skip


def test_both_ways_answer_the_same(repository: Repository) -> None:
    async def ask() -> None:
        async with site(repository) as here:
            for request in CORPUS * 2:  # the second time the heads are known
                short, long = [await here.ask(form(*request)) for form in (post, the_long_way)]
                assert short == long, request

    asyncio.run(ask())


@pytest.mark.parametrize("form", [post, the_long_way])
def test_an_answer_keeps_the_loop_awake_for_a_while(form: Callable[..., bytes], repository: Repository) -> None:
    async def ask() -> None:
        now = [1.0]
        poll = BusyPoll(1.0, lambda: now[0])
        async with site(repository) as here:
            here.shared.busy_poll = poll
            await here.ask(form(V1, ONE))
            await becomes(lambda: poll.is_polling)
            now[0] = 2.0
            await becomes(lambda: not poll.is_polling)

    asyncio.run(ask())


def test_identifiers_root_path_and_keys_hold_on_both_ways(repository: Repository, tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("- {key: key-0123456789abcdef, models: [good]}")
    key, wrong = "X-API-Key: key-0123456789abcdef", "X-API-Key: key-0123456789abcdeg"
    corpus = [(V1, ONE), (V1, ONE, wrong), (V1, ONE, key, "X-Request-Id: a"), ("/ml" + V1, ONE, key),
              ("/v1/models/bad:predict", ONE, key), ("/v1/models/nobody:predict", ONE, key)]  # fmt: skip
    rules = HeadRules(b"/ml", hide_credentials=True)

    async def ask() -> list[str]:
        found = []
        async with site(repository, None, rules, KeyGuard(KeyFile(tmp_path / "keys"))) as here:
            for request in corpus * 2:
                (short,), (long,) = [await here.ask(form(*request)) for form in (post, the_long_way)]
                assert short == long, request
                found.append(short.status.split()[1])
        return found

    assert asyncio.run(ask()) == ["401", "401", "200", "200", "403", "403"] * 2


def test_an_identifier_is_made_on_both_ways(repository: Repository) -> None:
    async def ask() -> None:
        async with site(repository, None, HeadRules(make_ids=True)) as here:
            answers = [(await here.ask(form(V1, ONE)))[0] for form in (post, the_long_way, post)]
            assert len({answer.headers["x-request-id"] for answer in answers}) == 3

    asyncio.run(ask())


def test_a_large_answer_is_compressed_for_who_offers_to_take_it(repository: Repository) -> None:
    rows = b'{"instances": [' + b",".join([b"[1,2]"] * 500) + b"]}"

    async def ask() -> None:
        with (
            mock.patch("server.api.rest.fast_protocol.OFFERED", 100),
            mock.patch("server.api.rest.routes.answered", side_effect=AssertionError),
        ):
            async with site(repository) as here:
                offer = post(V1, rows, "Accept-Encoding: deflate, br")
                packed, small = await here.ask(offer, post(V1, ONE, "Accept-Encoding: deflate, br"), answers=2)
                (plain,) = await here.ask(post(V1, rows))
        assert (packed.headers["content-encoding"], packed.headers["vary"]) == ("deflate", "Accept-Encoding")
        assert zlib.decompress(packed.body) == plain.body
        assert "content-encoding" not in small.headers

    asyncio.run(ask())


def test_the_short_way_is_taken(repository: Repository) -> None:
    async def ask() -> list[Any]:
        with mock.patch("server.api.rest.routes.answered", side_effect=AssertionError):
            async with site(repository) as here:
                answers = [
                    await here.ask(post(V1, ONE)),
                    await here.ask(post(V2, TENSORS)),
                    await here.ask(post(V2, RAW, LENGTH)),
                ]
        return [answer.status for (answer,) in answers]

    assert asyncio.run(ask()) == ["HTTP/1.1 200 OK"] * 3


def test_an_access_log_sees_every_request(repository: Repository) -> None:
    async def ask() -> None:
        async with site(repository, access_log=True) as here:
            await here.ask(post(V1, ONE), post(V1, ONE), answers=2)

    with mock.patch.object(HeadCache, "parse", side_effect=AssertionError):
        asyncio.run(ask())


REQUESTS = [post(*request) for request in CORPUS if len(request[1]) < 1000] + [
    b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n",
    the_long_way(V1, ONE),
    b"\r\n" + post(V1, ONE),
]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
@pytest.mark.slow
def test_any_requests_in_any_pieces_are_answered_in_order(repository: Repository, data: st.DataObject) -> None:
    requests = data.draw(st.lists(st.sampled_from(REQUESTS), min_size=1, max_size=8))
    sent = b"".join(requests)
    cuts = sorted(data.draw(st.sets(st.integers(1, len(sent) - 1), max_size=6)))
    pieces = [sent[start:end] for start, end in zip([0, *cuts], [*cuts, len(sent)], strict=True)]

    async def ask() -> None:
        async with site(repository) as here:
            alone = [(await here.ask(request))[0] for request in requests]
            assert await here.ask(*pieces, answers=len(requests)) == alone

    asyncio.run(ask())


@pytest.mark.slow
def test_clients_that_send_without_reading_wait(repository: Repository) -> None:
    """Thousands of requests at once on one connection: all are answered, and what waits is bounded meanwhile."""

    async def ask() -> None:
        async with site(repository) as here:
            reader, writer = await asyncio.open_connection("127.0.0.1", here.port)
            writer.write(post(V1, ONE) * 5000)
            await asyncio.sleep(0.3)
            await becomes(lambda: here.server.server_state.connections)
            (connection,) = here.server.server_state.connections
            assert len(connection._early) < 600_000  # what one read brings, and no more
            for _ in range(5000):
                assert (await read(reader)).body == b'{"predictions":[[2.0,4.0]]}'
            writer.close()

    asyncio.run(ask())


def test_a_client_that_hangs_up_leaves_no_trace(repository: Repository) -> None:
    async def ask() -> None:
        async with site(repository) as here:
            for cut in (5, len(post(V1, ONE)) - 3, len(post(V1, ONE))):
                _, writer = await asyncio.open_connection("127.0.0.1", here.port)
                writer.write(post(V1, ONE)[:cut])
                await writer.drain()
                writer.close()
            assert (await here.ask(post(V1, ONE)))[0].status == "HTTP/1.1 200 OK"
            await becomes(lambda: not here.server.server_state.connections)

    asyncio.run(ask())


def test_what_is_in_flight_is_answered_when_the_server_stops(repository: Repository) -> None:
    async def ask() -> Answer:
        entered, held = threading.Event(), threading.Event()

        def slow(self: BatchCaller, call: DecodedRequest) -> Any:
            entered.set()
            held.wait(PATIENCE)
            return {"y": call.inputs["x"]}

        with mock.patch.object(BatchCaller, "_one", slow):
            async with site(repository) as here:
                waiting = asyncio.create_task(here.ask(post(V1, ONE)))
                assert await asyncio.to_thread(entered.wait, PATIENCE)
                here.server.should_exit = True
                await becomes(lambda: not here.server.servers[0].is_serving())
                held.set()
                (answer,) = await waiting
        return answer

    answer = asyncio.run(ask())
    assert answer.body == b'{"predictions":[[1.0,2.0]]}'
    assert answer.headers["connection"] == "close"


@pytest.mark.slow
def test_idle_connections_are_closed_busy_ones_kept(repository: Repository) -> None:
    async def ask(seconds: float) -> bool:
        """Whether the busy one was kept for longer than an idle one, and closed once it was idle."""
        async with site(repository, HttpLimits(timeout_keep_alive=seconds)) as here:
            idle, asking = await asyncio.open_connection("127.0.0.1", here.port)
            asking.write(post(V1, ONE))
            await read(idle)
            reader, writer = await asyncio.open_connection("127.0.0.1", here.port)
            closed = asyncio.ensure_future(idle.read())
            try:
                while not closed.done():
                    await asyncio.sleep(seconds / 20)
                    writer.write(post(V1, ONE))
                    await read(reader)
            except (OSError, asyncio.IncompleteReadError):
                return False
            assert (await closed, await reader.read()) == (b"", b"")
            return True

    assert any(asyncio.run(ask(seconds)) for seconds in (1.0, 5.0, 25.0))  # this machine may stand still meanwhile


def test_heads_that_never_repeat_do_not_fill_the_memory() -> None:
    heads = HeadCache()
    for i in range(3 * MAX_HEADS):
        assert heads.parse(post(V1, b"", f"X-Id: {i}").replace(b"Length: 0", b"Length: 5")) is not None
    assert len(heads._known) <= MAX_HEADS


@pytest.mark.parametrize(
    "head",
    [
        "POST /v1/models/a:predict HTTP/1.0\r\nContent-Length: 5",
        "POST /v1/models/a:predict HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6",
        "POST /v1/models/a:predict HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 5",
        "POST /v1/models/a:predict HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked",
        "POST /v1/models/a:predict HTTP/1.1\r\nContent-Length: 5\r\nExpect: 100-continue",
        "POST /v1/models/a:predict HTTP/1.1\r\nContent-Length: 5\r\nConnection: close",
        "POST /v1/models/a:predict HTTP/1.1\r\nContent-Length: 5\r\nConnection: upgrade\r\nUpgrade: h2c",
        "POST /v1/models/a:predict HTTP/1.1\r\nContent-Length: -5",
        "POST /v1/models/a:predict HTTP/1.1\r\nContent-Length: +5",
        "POST /v1/models/a:predict HTTP/1.1\r\nContent-Length: 99999999999999999999",
        "POST /v1/models/a:predict HTTP/1.1\r\nContent-Length : 5",
        "POST /v1/models/a:predict HTTP/1.1\r\nX: 1\n\nContent-Length: 5",
        "GET /v1/models/a:predict HTTP/1.1\r\nContent-Length: 5",
        "nonsense",
        "",
    ],
)
def test_odd_heads_are_left_to_uvicorn(head: str) -> None:
    assert HeadCache().parse(f"{head}\r\n\r\n".encode()) is None
