"""Ports that processes of one server share, and that nobody else does."""

from __future__ import annotations

import socket

import pytest

from server.runtime.sockets import PortTaken, check_free, shared_listener


def test_this_servers_processes_share_a_port() -> None:
    with shared_listener(0) as first:
        port = first.getsockname()[1]
        first.listen()
        with shared_listener(port) as second:
            second.listen()
            for _ in range(10):
                with socket.create_connection(("127.0.0.1", port), timeout=60):
                    pass


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])
def test_a_port_of_somebody_elses_is_taken(address: str) -> None:
    with socket.create_server((address, 0)) as other:
        with pytest.raises(PortTaken, match="Address already in use"):
            shared_listener(other.getsockname()[1])
        with pytest.raises(PortTaken, match="Address already in use"):
            check_free(other.getsockname()[1])


def test_a_second_server_is_no_partner() -> None:
    """Its port could be shared; it is taken all the same."""
    with shared_listener(0) as other:
        other.listen()
        with pytest.raises(PortTaken):
            check_free(other.getsockname()[1])


@pytest.mark.skipif(not socket.has_ipv6, reason="the machine has no IPv6")
def test_a_port_that_is_taken_in_the_other_family_is_taken() -> None:
    try:
        other = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("the machine has no IPv6")
    with other, pytest.raises(PortTaken):
        check_free(other.getsockname()[1])


def test_a_port_whose_connections_have_ended_is_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)), listener.accept()[0] as accepted:
            accepted.shutdown(socket.SHUT_RDWR)  # this side waits for stray packets then, for a minute
    check_free(port)
