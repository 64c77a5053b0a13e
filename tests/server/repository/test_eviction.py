"""Who makes room: the least recently used of those that nobody needs now."""

from __future__ import annotations

from dataclasses import replace

import pytest

from server.loading.memory_budget import LEAST, Budget, ModelKey
from server.repository.claims import ModelClaims
from server.repository.eviction import REASON, Evictor
from server.repository.replicas import NoReplicas
from server.repository.retirement import Retirement
from server.repository.state import State
from server.repository.store import ModelStore
from tests.patience import wait_for
from tests.server.repository.kit import ready


class Parts:
    """Three models, of which "a" was used last, then "c", then "b"."""

    def __init__(self) -> None:
        self.store = ModelStore()
        self.budget = Budget(10 * LEAST)
        self.claims = ModelClaims(self.budget)
        self.awaited: set[ModelKey] = set()
        retirement = Retirement(self.store, self.claims, NoReplicas())
        self.evictor = Evictor(self.store, self.claims, retirement, self.awaited.__contains__)
        for name, last in (("a", 3.0), ("b", 1.0), ("c", 2.0)):
            state = ready(name)
            assert state.model is not None
            state.model.in_flight.last = last
            self.store.put(state)
            self.claims.hold(state.model, self.budget.take((name, ""), LEAST))

    def idle(self) -> list[str]:
        return [claim.key[0] for claim in self.evictor.idle()]


@pytest.fixture
def parts() -> Parts:
    return Parts()


def test_the_least_recently_used_comes_first(parts: Parts) -> None:
    assert parts.idle() == ["b", "c", "a"]


def test_who_is_pinned_loading_awaited_or_in_use_does_not_go(parts: Parts) -> None:
    a, b, c = parts.store.states()
    assert a.model is not None
    parts.store.put(replace(b, pinned=True))
    assert parts.idle() == ["c", "a"]
    parts.store.put(replace(c, loading=True))
    assert parts.idle() == ["a"]
    a.model.in_flight.begin()
    assert parts.idle() == []
    a.model.in_flight.end()
    parts.awaited.add(("a", ""))
    assert parts.idle() == []


def test_an_evicted_model_can_be_asked_for_and_its_claim_comes_back(parts: Parts) -> None:
    claim = parts.evictor.idle()[0]
    parts.evictor.evict(claim)
    state = parts.store.get(("b", ""))
    assert state is not None
    assert (state.state, state.reason, state.available) == (State.EVICTED, REASON, True)
    assert parts.store.metrics.of("b").evictions == 1
    wait_for(lambda: parts.budget.used == 2 * LEAST)
    parts.evictor.evict(claim)  # nobody holds it any more
    assert parts.store.metrics.of("b").evictions == 1
