"""The same bytes to the short way of small requests and to the general one: both answer the same, whatever they are.

python -m tests.fuzz.parsers --seed 1 --cases 20000
"""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random
from threading import Event

import pytest

from server.api.rest.limits import HttpLimits
from server.inference.batching.queue import Limits
from server.loading.catalog import scan
from server.loading.loader import Loader
from server.repository.repository import Repository
from tests.fuzz.arguments import arguments
from tests.server.api.rest.test_fast_protocol import ONE, TENSORS, V1, V2, Site, site
from tests.server.stand_ins import stand_ins

#: connections at once
CLIENTS = 20
#: half requests end by this, so that every connection is closed by the server; how soon does not matter
LIMITS = HttpLimits(first_byte_timeout=15, head_timeout=15, body_timeout=15, timeout_keep_alive=15)
PATIENCE = 120.0
LAST = b"GET /v2/health/live HTTP/1.1\r\nHost: s\r\nConnection: close\r\n\r\n"

_PATHS = [
    *(V1, V2, "/v2/models/good/versions/1/infer", "/v2/models/good/versions//infer", f"{V1}?x=1", f"{V1}#f", f"{V1}/"),
    *("/v1/models/good/versions/1:predict", "http://h/v1/models/good:predict", "/v1/models/go%6Fd:predict", "*", "/"),
    *("/v1/models/good%3Apredict", "/v1/models/%00:predict", "/v1/models/../models/good:predict", "//" + V1[1:]),
    *("/v1/models/\xe9:predict", "/v1/models/%ff:predict", "/v1/models/a%0d%0aX-Injected:%201:predict"),
    *("/v2/models/a%0d%0aX:1/infer", "/v1/models/:predict", "/v1/models/good:explain", "/v1/models/good"),
    *("/predictions/good", "/v1/models/good :predict", "/v1/models/a/b:predict", "/v2/models/infer"),
    *("/v1/models/bad:predict", "/v1/models/" + "a" * 5000 + ":predict"),
]
_HEADERS = [
    *("Content-Length: 5", "content-length: 23", "Content-Length : 23", "Content-Length: +23", "Content-Length: 0x17"),
    *("Content-Length: 23, 23", "Content-Length: 023", "Content-Length: -1", "Content-Length: 99999999999999999999"),
    *("Content-Length:\t23", "Content-Length: 2\x0b3", "Transfer-Encoding: chunked", "Transfer-Encoding: identity"),
    *("Transfer-Encoding: gzip, chunked", "Transfer-Encoding : chunked", "Transfer-Encoding: xchunked", "X: a\r\n b"),
    *("X: a\n b", "X: a\nY: b", "X: \x00", "X\x00: a", "X Y: a", "Expect: 200-ok", "Connection: close", ": empty", ""),
    "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA",
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: AAAA\r\nSec-WebSocket-Version: 13",
    *("Connection: keep-alive", "Connection: keep-alive, close", "Connection: upgrade", "Connection: Content-Length"),
    *("Content-Encoding: gzip", "Content-Encoding: identity", "Inference-Header-Content-Length: 10", "Host: other"),
    *("Inference-Header-Content-Length: -1", "Content-Type: text/plain", "Big: " + "x" * 9000, "Huge: " + "x" * 70000),
    *("X-Forwarded-For: 1.2.3.4", "\xff: 1", "X: \xff", "Trailer: X", "Origin: http://a", "Accept-Encoding: gzip"),
]  # fmt: skip
_VERSIONS = ["HTTP/1.1"] * 10 + ["HTTP/1.0", "HTTP/0.9", "HTTP/2.0", "HTTP/1.2", "http/1.1", "HTTP/1.1 ", ""]
_METHODS = ["POST"] * 12 + ["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE", "post", "POST "]
_BODIES = [
    *(b"", b"{", b"5\r\nhello\r\n0\r\n\r\n", b"17\r\n" + ONE + b"\r\n0\r\n\r\n", b"0\r\n\r\n", ONE + b"\r\n\r\n"),
    *(b"\r\n\r\n" + ONE, ONE * 2, b"[]", b"null", b"\xef\xbb\xbf" + ONE, b'{"instances": [[NaN, 1]]}', b"[" * 1000),
    *(b'{"instances": [[1e999, 1]]}', b'{"instances": [[1,2]], "instances": [[5,6]]}', b'{"a":' * 3000, b"x" * 70000),
]  # fmt: skip


def case(rng: Random) -> list[bytes]:
    """Some requests, and then the last, in pieces."""
    data = b"".join(_request(rng) for _ in range(rng.choice([1, 1, 1, 2, 3]))) + LAST
    cuts = sorted(rng.randrange(len(data) + 1) for _ in range(rng.choice([0, 0, 0, 1, 2])))
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]


def _request(rng: Random) -> bytes:
    if rng.random() < 0.4:
        path, body = rng.choice([(V1, ONE), (V2, TENSORS), ("/v1/models/nobody:predict", ONE)])
        return f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    body = rng.choice(_BODIES) if rng.random() < 0.4 else rng.choice([ONE, TENSORS])
    path = rng.choice(_PATHS) if rng.random() < 0.4 else rng.choice(_PATHS[:2])
    lines = ["Host: localhost", "Content-Type: application/json"]
    if length := rng.choice([len(body)] * 6 + [None, len(body) + rng.choice([-3, 3, 100]), -1]):
        lines.append("Transfer-Encoding: chunked" if length < 0 else f"Content-Length: {length}")
    lines += [rng.choice(_HEADERS) for _ in range(rng.choice([0, 0, 1, 1, 2, 3]))]
    end = rng.choice(["\r\n"] * 12 + ["\n"])
    head = end.join([f"{rng.choice(_METHODS)} {path} {rng.choice(_VERSIONS)}", *lines, "", ""])
    found = head.encode("latin-1") + body
    return _mutated(rng, found) if rng.random() < 0.5 else found


def _mutated(rng: Random, sent: bytes) -> bytes:
    data = bytearray(sent)
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        at = rng.randrange(len(data) or 1)
        match rng.randrange(4):
            case 0 if data:
                data[at] = rng.choice(b"\r\n\t \x00\x0b:,;/%?#{}[]0159aA\xff\x7f")
            case 1:
                data[at:at] = rng.choice([b"\r", b"\n", b"\r\n", b" ", b"\t", b"\r\n\r\n", b"\n\n", b"\x00", b":"])
            case 2:
                del data[at : at + rng.choice([1, 1, 2, 8])]
            case _:
                if (line := data.find(b"\r\n")) >= 0:
                    data[line : line + 2] = rng.choice([b"\n", b"\r", b"\r\r\n", b"\n\r", b"\r\n "])
    return bytes(data)


async def _ask(here: Site, pieces: list[bytes]) -> bytes:
    """All that is answered, until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", here.port)
    answers = bytearray()
    with suppress(ConnectionError):
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
    with suppress(ConnectionError):
        while part := await reader.read(65536):
            answers += part
    writer.close()
    return bytes(answers)


def comparable(answers: bytes) -> list[bytes]:
    """The answers one by one, without what is another each time."""
    found = re.sub(rb"date: [^\r]*\r\n|connection: (?:close|keep-alive)\r\n", b"", answers)
    found = re.sub(rb'"id":"[0-9a-f-]{30,}"', b'"id":""', found)
    return [each for each in re.split(rb"(?=HTTP/1\.1 \d\d\d )", found) if each]


@contextmanager
def models(root: Path) -> Iterator[Repository]:
    """A model that answers, and one that is not ready."""
    for name, line in {"good": "echo", "bad": "echo refuse"}.items():
        (root / name).mkdir()
        (root / name / "model.echo").write_text(line)
    with pytest.MonkeyPatch.context() as patch, stand_ins(patch), ThreadPoolExecutor(4) as pool:
        may_import = Event()
        may_import.set()
        repository = Repository(scan(root), Loader(None, may_import), pool, Limits(), "scan")
        for name in ("good", "bad"):
            repository.load_model(name)
        yield repository


def run(seed: int, cases: int) -> Counter[str]:
    """Send so many cases both ways; the statuses that were answered.

    Raises:
        AssertionError: the answers differ, or are what no client may get.
    """
    rng, told = Random(seed), Counter[str]()
    todo = iter([case(rng) for _ in range(cases)])

    async def client(short: Site, general: Site) -> None:
        for pieces in todo:
            async with asyncio.timeout(PATIENCE):
                one, other = await asyncio.gather(_ask(short, pieces), _ask(general, pieces))
            assert comparable(one) == comparable(other), pieces
            assert b"HTTP/1.1 500" not in one, pieces
            assert b"\r\nx-injected" not in one.lower(), pieces
            told.update(status.decode() for status in re.findall(rb"HTTP/1\.1 (\d\d\d) ", one))

    async def serve(repository: Repository) -> None:
        async with site(repository, LIMITS) as short, site(repository, LIMITS, access_log=True) as general:
            async with asyncio.TaskGroup() as group:
                for _ in range(CLIENTS):
                    group.create_task(client(short, general))
            assert short.shared.bounds.bodies.held == general.shared.bounds.bodies.held == 0

    with tempfile.TemporaryDirectory() as directory, models(Path(directory)) as repository:
        asyncio.run(serve(repository))
    return told


if __name__ == "__main__":
    given = arguments(__doc__, 20_000)
    print(dict(run(given.seed, given.cases)))
