"""Who may load and unload models."""

from __future__ import annotations

import pytest

from server.api.access import Access, peer_address
from server.errors import Forbidden, Unauthorized, respond

HERE, ELSEWHERE = "127.0.0.1", "203.0.113.9"
GUARDED = Access.of({"ADMIN_TOKEN": "s3cret\n"})
RIGHT = {"authorization": "Bearer s3cret"}
WRONG = [
    "Bearer s3cre",
    "Bearer s3cret2",
    "Bearer ",
    "bearer",
    "",
    "Basic s3cret",
    "s3cret",
    "Bearer \udc80",
    "Bearer é",
]
#: by all of these somebody says that he asks for another, or that he is a browser; and one that nobody knows yet
PROXIED = [
    *("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "origin"),
    *(
        "x-client-ip",
        "cf-connecting-ip",
        "x-envoy-external-address",
        "true-client-ip",
        "fastly-client-ip",
        "x-request-id",
    ),
    *("x-original-forwarded-for", "x-cluster-client-ip", "referer", "sec-fetch-site", "cookie", "proxy-of-tomorrow"),
]
#: as curl, httpx, KServe's agent, the JDK's client and gRPC ask
OWN = [
    {"host": "localhost:8080", "user-agent": "curl/8", "accept": "*/*"},
    {"host": "127.0.0.1:8080", "accept-encoding": "gzip, deflate", "connection": "keep-alive", "content-length": "0"},
    {"host": "[::1]:8080", "content-type": "application/json", "user-agent": "Go-http-client/1.1"},
    {"host": "localhost", "connection": "Upgrade, HTTP2-Settings", "upgrade": "h2c", "http2-settings": "AAEAAEAAAAI"},
    {"user-agent": "grpc-python/1", "grpc-accept-encoding": "identity, gzip"},
    {"host": "127.0.0.2:1"}, {"host": "Localhost."}, {"host": "a.localhost:80"}, {},
]  # fmt: skip


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "::ffff:127.0.0.1"])
@pytest.mark.parametrize("headers", OWN)
def test_this_machine_needs_no_token_where_there_is_none(address: str, headers: dict[str, str]) -> None:
    Access().check(address, headers)


def test_where_there_is_a_token_this_machine_needs_it_too() -> None:
    with pytest.raises(Unauthorized, match="needs `Authorization: Bearer <token>`"):
        GUARDED.check(HERE, {})


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8080", "10.0.0.5:8080", "localhost.evil.example", "127.0.0.1.evil.example", "",
     "[::2]", "0.0.0.0", "localhost, evil.example", "127.0.0.1:80:80", "localhost@evil.example", "my-service",
     "[::1]evil.example", "[::1].evil.example:80", "127.0.0.1:80@evil.example", "[127.0.0.1", "::1]", "localhost:x"],
)  # fmt: skip
def test_a_name_that_was_rebound_is_not_this_machine(host: str) -> None:
    with pytest.raises(Forbidden, match="Host"):
        Access().check(HERE, {"host": host})


def test_the_rule_is_told() -> None:
    assert "this machine (loopback) only" in Access().rule
    assert "needs ADMIN_TOKEN, from this machine as well" in GUARDED.rule
    assert "s3cret" not in GUARDED.rule


@pytest.mark.parametrize("address", [ELSEWHERE, "10.0.0.1", "127.0.0.1.evil", "", "127.0.0.6"])
def test_without_a_token_nobody_else_may(address: str) -> None:
    for headers in ({}, RIGHT, {"authorization": "Bearer "}):
        with pytest.raises(Forbidden, match=r"this machine \(loopback\) only: start the server with ADMIN_TOKEN"):
            Access.of({"ADMIN_TOKEN": " \n"}).check(address, headers)


@pytest.mark.parametrize("address", [HERE, ELSEWHERE, ""])
def test_the_token_lets_everybody_through(address: str) -> None:
    GUARDED.check(address, RIGHT)
    GUARDED.check(address, {"authorization": "bearer  s3cret ", "x-forwarded-for": "1.2.3.4"})


@pytest.mark.parametrize("address", [HERE, ELSEWHERE])
@pytest.mark.parametrize("given", WRONG)
def test_a_wrong_token_is_refused_wherever_it_comes_from(address: str, given: str) -> None:
    with pytest.raises(Unauthorized, match="this is not the server's ADMIN_TOKEN"):
        GUARDED.check(address, {"authorization": given})


@pytest.mark.parametrize("header", PROXIED)
def test_what_was_passed_on_is_not_from_this_machine(header: str) -> None:
    with pytest.raises(Forbidden, match=header):
        Access().check(HERE, {header: "x"})
    with pytest.raises(Unauthorized, match="needs `Authorization: Bearer <token>`"):
        GUARDED.check(HERE, {header: "x"})


def test_the_answer_says_how_to_authenticate_and_shows_no_token() -> None:
    with pytest.raises(Unauthorized) as caught:
        GUARDED.check(ELSEWHERE, {})
    status, headers, body = respond(caught.value)
    assert status == 401
    assert (b"www-authenticate", b"Bearer") in headers
    assert b"s3cret" not in body
    assert "s3cret" not in repr(GUARDED)


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("ipv4:127.0.0.1:4711", "127.0.0.1"),
        ("ipv6:[::1]:4711", "::1"),
        ("ipv6:%5B::1%5D:4711", "::1"),
        ("ipv6:[::ffff:127.0.0.1]:4711", "::ffff:127.0.0.1"),
        ("ipv4:203.0.113.9:1", "203.0.113.9"),
        ("unix:/tmp/socket", ""),
        ("", ""),
    ],
)
def test_the_address_of_a_grpc_peer(peer: str, address: str) -> None:
    assert peer_address(peer) == address


def test_where_models_code_may_connect_this_machine_is_no_more_trusted() -> None:
    shared = Access.of({}, shared_machine=True)
    assert "open to nobody: set ADMIN_TOKEN" in shared.rule
    with pytest.raises(Forbidden, match="ADMIN_TOKEN"):
        shared.check(HERE, {"host": "localhost"})
    Access.of({"ADMIN_TOKEN": "s3cret"}, shared_machine=True).check(ELSEWHERE, RIGHT)
