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
PROXIED = ["forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "origin"]


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "::ffff:127.0.0.1"])
@pytest.mark.parametrize("access", [Access(), GUARDED], ids=["open", "guarded"])
def test_this_machine_needs_no_token(access: Access, address: str) -> None:
    access.check(address, {})


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
    with pytest.raises(Forbidden):
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
