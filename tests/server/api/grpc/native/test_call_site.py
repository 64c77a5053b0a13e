"""What calls share: where methods are found, and how much of answers may wait for clients."""

from __future__ import annotations

import pytest

from server.api.bodies import Bodies
from server.api.grpc.channel_limits import GrpcLimits
from server.api.grpc.native.call_site import CallSite
from server.errors import Overloaded
from tests.server.api.grpc.native.raw_calls import Obedient


def test_a_method_is_somebodys() -> None:
    site = CallSite([Obedient(), Obedient()], GrpcLimits())
    assert site.handler("/s/echo", ()) is not None
    assert site.handler("/s/none", ()) is None


class Call:
    def __init__(self, site: CallSite, idle_since: float | None) -> None:
        self.site, self.idle_since, self.left = site, idle_since, False

    def make_room(self) -> None:
        self.left = True
        self.site.calls.discard(self)


def test_a_newcomer_takes_the_place_of_who_has_kept_the_server_waiting_for_the_longest() -> None:
    site = CallSite([], GrpcLimits(max_calls=3))
    calls = [Call(site, since) for since in (2.0, 1.0, None)]
    assert all(site.admit(each) for each in calls)
    assert site.admit(Call(site, None))
    assert [each.left for each in calls] == [False, True, False]
    assert site.admit(Call(site, None))
    assert not site.admit(Call(site, None))  # all others wait for the server
    assert len(site.calls) == 3


def test_limits_that_are_none() -> None:
    assert CallSite([], GrpcLimits(), Bodies(77)).most_received == 100 * 2**20
    assert CallSite([], GrpcLimits(max_receive=-1), Bodies(77)).most_received == 77
    assert CallSite([], GrpcLimits(compression="gzip")).encoding == "gzip"


def test_answers_that_wait_are_bounded_for_all_and_for_each() -> None:
    site = CallSite([], GrpcLimits(), Bodies(1000))
    site.check_room(5000, 0)  # nobody waits: one always fits
    site.unsent = 900
    site.check_room(100, 200 - 50)
    with pytest.raises(Overloaded, match="the limit of all connections is 1000"):
        site.check_room(101, 0)
    site.unsent = 200
    with pytest.raises(Overloaded, match=r"the limit of a connection is 250 \(max_bodies_bytes\)"):
        site.check_room(60, 200)
