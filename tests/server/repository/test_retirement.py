"""How models go: nobody reaches them any more, the last request is answered, then they are closed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator

import pytest

from server.errors import NotFound
from server.loading.load_spec import LoadSpec
from server.loading.memory_budget import Budget
from server.repository.claims import ModelClaims
from server.repository.replicas import NoReplicas
from server.repository.retirement import Retirement
from server.repository.state import ModelState, State
from server.repository.store import ModelStore
from tests.patience import becomes, wait_for
from tests.server.repository.kit import found, ready


class Changes(NoReplicas):
    """Remembers which names were changed, and whether somebody still served them when the change was over."""

    def __init__(self, store: ModelStore) -> None:
        self.store = store
        self.seen: list[tuple[str, bool]] = []
        self.settled: list[str] = []

    @contextlib.contextmanager
    def change(self, name: str, coming: LoadSpec | None = None) -> Iterator[None]:
        yield
        self.seen.append((name, name in self.store.serving))

    def settle(self, name: str) -> None:
        self.settled.append(name)


class Parts:
    def __init__(self) -> None:
        self.store = ModelStore()
        self.replicas = Changes(self.store)
        self.retirement = Retirement(self.store, ModelClaims(Budget()), self.replicas)

    def state(self, version: str = "") -> State:
        state = self.store.get(("m", version))
        assert state is not None
        return state.state


@pytest.fixture
def parts() -> Parts:
    return Parts()


def test_an_unloaded_model_is_closed_once_its_requests_are_answered(
    parts: Parts, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "kserve")
    served = ready()
    assert served.model is not None
    parts.store.put(served)
    served.model.in_flight.begin()
    parts.retirement.unload("m")
    assert parts.state() is State.UNLOADING
    assert parts.replicas.seen == [("m", False)]
    assert "model m is unloaded, as a request asks" in caplog.text
    served.model.in_flight.end()
    wait_for(lambda: parts.state() is State.UNAVAILABLE)
    with pytest.raises(KeyError, match="nobody"):
        parts.retirement.unload("nobody")


def test_who_unloads_can_wait_until_it_is_closed(parts: Parts) -> None:
    served = [ready(version="1"), ready(version="2")]
    for state in served:
        parts.store.put(state)

    async def unload() -> None:
        parts.retirement.attach_loop(asyncio.get_running_loop())
        assert served[0].model is not None
        served[0].model.in_flight.begin()
        waiting = asyncio.create_task(parts.retirement.unload_and_wait("m"))
        await becomes(lambda: parts.state("2") is State.UNAVAILABLE)
        assert not waiting.done()
        served[0].model.in_flight.end()
        await waiting
        assert parts.state("1") is State.UNAVAILABLE
        assert parts.replicas.settled == ["m"]
        with pytest.raises(NotFound):
            await parts.retirement.unload_and_wait("nobody")

    asyncio.run(unload())


def test_an_evicted_model_can_be_asked_for_at_once(parts: Parts) -> None:
    served = ready()
    assert served.model is not None
    parts.store.put(served)
    served.model.in_flight.begin()
    told: list[State] = []
    parts.retirement.take_out(served, "for others", State.EVICTED, lambda: told.append(parts.state()))
    assert parts.state() is State.EVICTED
    assert not told
    served.model.in_flight.end()
    wait_for(lambda: told == [State.EVICTED])


def test_who_has_changed_meanwhile_is_left_alone(parts: Parts) -> None:
    old, new = ready(), ready()
    parts.store.put(new)
    told: list[bool] = []
    parts.retirement.take_out(old, "unloaded", State.UNAVAILABLE, lambda: told.append(True))
    assert parts.store.get(("m", "")) is new
    assert told == [True]
    assert new.model is not None
    assert new.model.ready


def test_what_a_folder_no_longer_holds_is_forgotten(parts: Parts) -> None:
    for version in ("1", "2", "3"):
        parts.store.put(ready(version=version))
    parts.store.put(ModelState(found("other")))
    parts.retirement.keep_only([found(version="2"), found(version="3")])
    assert list(parts.store.models["m"].states) == ["2", "3"]
    parts.retirement.keep_only([found(version="2"), found(version="3")])
    assert parts.replicas.seen == [("m", True)]
    parts.retirement.forget("m")
    assert parts.store.names() == ["other"]
    assert not parts.store.serving
