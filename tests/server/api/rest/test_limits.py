"""Bodies of all connections together are bounded, and what is held is given back."""

from __future__ import annotations

import pytest

from server.api.rest.limits import Bodies, HttpLimits
from server.config.settings import Settings
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


def test_the_limits_are_the_settings() -> None:
    flags = ("max_head_bytes=1000", "max_headers=7", "max_bodies_bytes=200MiB", "first_byte_timeout=1",
             "head_timeout=2", "body_timeout=3", "send_timeout=4", "timeout_keep_alive=5")  # fmt: skip
    settings = Settings.parse([f"--{flag}" for flag in flags], {})
    assert HttpLimits.of(settings, 99) == HttpLimits(99, 1000, 7, 200 * 2**20, 1.0, 2.0, 3.0, 4.0, 5)


def test_the_defaults_are_those_of_the_settings() -> None:
    assert HttpLimits.of(Settings(), HttpLimits.max_connections) == HttpLimits()
