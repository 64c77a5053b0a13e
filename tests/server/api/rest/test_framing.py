"""A body's length is understood in one way, and a coding that is not read here is refused by its name."""

from __future__ import annotations

import pytest

from server.api.rest.framing import body_length, unreadable
from server.errors import InvalidInput, NotSupported
from server.repository.repository import Repository
from tests.server.api.rest.test_bounded_protocol import Client, error, run
from tests.server.api.rest.test_fast_protocol import ONE, Site
from tests.server.api.rest.test_fast_protocol import repository as repository

NOT_READ = "is not read here: chunked alone is, and Content-Encoding says how a body is compressed"
NO_END = "does not end in chunked, so that nobody can tell where the body ends"
#: lines of a head, the status, and what the answer says
REFUSED = [
    ("Transfer-Encoding: gzip, chunked", 501, f"Transfer-Encoding: gzip, chunked {NOT_READ}"),
    ("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked", 501, f"Transfer-Encoding: gzip, chunked {NOT_READ}"),
    ("transfer-encoding: Foo;q=1,\tCHUNKED", 501, NOT_READ),
    ("Transfer-Encoding: identity, chunked", 501, NOT_READ),
    ("Transfer-Encoding: gzip", 400, f"Transfer-Encoding: gzip {NO_END}"),
    ("Transfer-Encoding: identity\r\nContent-Length: 5", 400, NO_END),
    ("Transfer-Encoding: xchunked", 400, NO_END),
    ("Transfer-Encoding: chunked, gzip", 400, "Transfer-Encoding"),
    ("Transfer-Encoding: chunked, chunked", 400, "Transfer-Encoding"),
    ("Transfer-Encoding: chunked\r\nContent-Length: 5", 400, "Content-Length can't be present with Transfer-Encoding"),
    ("Content-Length: 5\r\nContent-Length: 6", 400, "Duplicate Content-Length"),
]


@pytest.mark.parametrize("path", ["/v1/models/good:predict", "/nowhere"])
def test_what_is_not_read_here_is_told_and_ends_the_connection(repository: Repository, path: str) -> None:
    smuggled = b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n"

    async def ask(here: Site) -> None:
        for lines, status, words in REFUSED:
            client = await Client.of(here)
            head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{lines}\r\n\r\n".encode()
            await client.send(head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(ONE), ONE) + smuggled)
            answer = await client.answer()
            assert answer.status.startswith(f"HTTP/1.1 {status} "), lines
            assert words in error(answer)
            await client.end()  # and what came behind it was no request

    run(repository, ask)


@pytest.mark.parametrize("value", [b"chunked", b"Chunked", b", chunked"])
def test_a_body_in_chunks_has_no_length(value: bytes) -> None:
    assert body_length([(b"host", b"x"), (b"transfer-encoding", value)]) is None


@pytest.mark.parametrize(("value", "length"), [(b"0", 0), (b"17", 17), (b"9" * 19, None)])
def test_a_length_is_what_it_says(value: bytes, length: int | None) -> None:
    assert body_length([(b"content-length", value)]) == length
    assert body_length([]) == 0


def test_what_the_parser_gives_up_is_told_by_its_reason() -> None:
    broken = ValueError("Invalid HTTP version")
    assert str(unreadable(broken, [])) == "Invalid HTTP request received: Invalid HTTP version"
    assert isinstance(unreadable(broken, [(b"transfer-encoding", b"gzip")]), InvalidInput)
    assert isinstance(unreadable(broken, [(b"transfer-encoding", b"br, chunked")]), NotSupported)
