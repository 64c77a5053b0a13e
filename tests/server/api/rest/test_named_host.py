"""Which host a request names, and that whoever guards the server and whoever is on the way read the same."""

from __future__ import annotations

import asyncio

import pytest

from server.api.rest.named_host import one_host
from server.errors import InvalidInput
from server.repository.repository import Repository
from tests.server.api.rest.test_fast_protocol import ONE, PATIENCE, V1, site
from tests.server.api.rest.test_fast_protocol import repository as repository

UNLOAD = "/v2/repository/models/double/unload"


@pytest.mark.parametrize(
    ("target", "version", "hosts", "named"),
    [
        ("/a", "1.1", ["here:80"], ["here:80"]),
        ("/a?to=http://b/", "1.1", ["here"], ["here"]),
        ("/a", "1.1", [""], [""]),
        ("/a", "1.1", ["here\t"], ["here\t"]),
        ("*", "1.1", ["[::1]:80"], ["[::1]:80"]),
        ("/a", "1.0", [], []),
        ("http://there:81/a", "1.1", ["here"], ["there:81"]),
        ("HTTPS://there?a", "1.0", [], ["there"]),
        ("http://here/a", "1.1", ["here"], ["here"]),
    ],
)
def test_a_request_names_one_host(target: str, version: str, hosts: list[str], named: list[str]) -> None:
    headers = [(b"host", host.encode()) for host in hosts] + [(b"a", b"b")]
    one_host(target.encode(), version, headers)
    assert [value.decode() for name, value in headers if name == b"host"] == named
    assert (b"a", b"b") in headers


@pytest.mark.parametrize(
    ("target", "version", "hosts", "told"),
    [
        ("/a", "1.1", [], "send the header Host"),
        ("http://there/a", "1.1", [], "send the header Host"),
        ("/a", "2.0", [], "send the header Host"),
        ("/a", "1.1", ["here", "here"], "2 hosts"),
        ("/a", "1.0", ["here", "there"], "2 hosts"),
        *[("/a", "1.1", [host], "no name of a host") for host in ("a b", "a/b", "a@b", "a\0", "a#b", "a\\b", "\xe9")],
        ("http://me@there/a", "1.1", ["here"], "no name of a host"),
    ],
)
def test_another_one_is_refused(target: str, version: str, hosts: list[str], told: str) -> None:
    with pytest.raises(InvalidInput, match=told):
        one_host(target.encode(), version, [(b"host", host.encode("latin-1")) for host in hosts])


def test_over_a_connection(repository: Repository) -> None:
    """The short way and the general one; loading from this machine is for who names this machine."""
    length, nothing = f"Content-Length: {len(ONE)}\r\n", "Content-Length: 0\r\n"
    asked = [
        (f"POST {V1} HTTP/1.1\r\nHost: x\r\n{length}\r\n", 200),
        (f"POST {V1} HTTP/1.1\r\n{length}\r\n", 400),
        (f"POST {V1} HTTP/1.1\r\nHost: x\r\nHost: x\r\n{length}\r\n", 400),
        (f"POST {V1} HTTP/1.1\r\nHost: x@y\r\n{length}\r\n", 400),
        (f"POST {V1} HTTP/1.0\r\n{length}\r\n", 200),
        (f"POST http://y{V1} HTTP/1.1\r\nHost: x\r\n{length}\r\n", 200),
        (f"POST {UNLOAD} HTTP/1.0\r\n{nothing}\r\n", 403),
        (f"POST http://evil.example{UNLOAD} HTTP/1.1\r\nHost: localhost\r\n{nothing}\r\n", 403),
        (f"POST http://localhost{UNLOAD} HTTP/1.1\r\nHost: evil.example\r\n{nothing}\r\n", 404),  # there is none
    ]

    async def ask() -> list[int]:
        async with site(repository) as here, asyncio.timeout(PATIENCE):
            return [
                int((await here.ask(head.encode() + (b"" if nothing in head else ONE)))[0].status.split()[1])
                for head, _ in asked
            ]

    assert asyncio.run(ask()) == [status for _, status in asked]
