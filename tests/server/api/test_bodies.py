"""Bodies of all connections together are bounded, and what is held is given back."""

from __future__ import annotations

import pytest

from server.api.bodies import Bodies
from server.errors import Overloaded, respond


def test_what_does_not_fit_is_refused_until_others_have_gone() -> None:
    bodies = Bodies(100)
    with bodies.share() as one:
        one.take(60)
        one.take(30)
        with bodies.share() as other:
            with pytest.raises(
                Overloaded, match=r"the limit over all connections is 100 \(max_bodies_bytes\)"
            ) as caught:
                other.take(20)
            assert bodies.held == 90
            other.take(10)
        assert bodies.held == 90
    assert bodies.held == 0
    status, headers, _ = respond(caught.value)
    assert status == 503
    assert (b"retry-after", b"1") in headers


def test_a_share_is_given_back_whatever_happens() -> None:
    bodies = Bodies(100)

    def fail() -> None:
        with bodies.share() as share:
            share.take(60)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert bodies.held == 0
