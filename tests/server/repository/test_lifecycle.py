"""How models come: what is kept, and who hears. More of it is in `test_repository.py` and `test_versions.py`."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import pytest

from adapters.base import LoadError
from server.inference.batching.queue import Limits
from server.loading.catalog import Found, scan
from server.loading.loader import Loaded, Loader
from server.loading.memory_budget import LEAST, Budget, Demand, ModelKey
from server.repository.claims import ModelClaims
from server.repository.factory import ModelFactory
from server.repository.lifecycle import Lifecycle
from server.repository.replicas import NoReplicas
from server.repository.retirement import Retirement
from server.repository.state import ModelState, State
from server.repository.store import ModelStore
from tests.patience import wait_for
from tests.server.repository.kit import EXECUTOR
from tests.server.stand_ins import EchoAdapter

pytestmark = pytest.mark.usefixtures("echo")


class Parts:
    def __init__(self, root: Path, demand: Demand = Demand.TRY) -> None:
        may_import = threading.Event()
        may_import.set()
        self.root = root
        self.loader = Loader(None, may_import, budget=Budget(10 * LEAST))
        self.store = ModelStore()
        self.heard: list[str] = []
        claims, replicas = ModelClaims(self.loader.budget), NoReplicas()
        self.retirement = Retirement(self.store, claims, replicas)
        self.lifecycle = Lifecycle(
            self.store,
            self.loader,
            ModelFactory(EXECUTOR, Limits()),
            claims,
            self.retirement,
            replicas,
            lambda: scan(root),
            self.hear,
            demand,
        )

    def hear(self, found: Found) -> None:
        self.heard.append(found.name)

    def write(self, name: str, line: str = "echo") -> None:
        (self.root / name).mkdir(exist_ok=True)
        (self.root / name / "model.echo").write_text(line)

    def start(self) -> None:
        done = threading.Event()
        found = scan(self.root).found
        for each in found:
            self.store.put(ModelState(each))
        self.lifecycle.first_scan(self.loader.begin(found, 2), done.set)
        assert done.wait(60)
        wait_for(lambda: self.lifecycle.scanned)
        wait_for(lambda: self.lifecycle.scanned)

    def states(self) -> dict[str, State]:
        return {each.found.name: each.state for each in self.store.states()}


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Parts]:
    return lambda *demand: Parts(tmp_path, *demand)


def test_the_first_scan_empties_what_it_was_given(make: Callable[..., Parts]) -> None:
    """Futures would keep the models that they brought, also evicted ones, in memory."""
    parts = make()
    parts.write("a")
    parts.write("b", "echo refuse")
    found = scan(parts.root).found
    for each in found:
        parts.store.put(ModelState(each))
    loading = parts.loader.begin(found, 2)
    parts.lifecycle.first_scan(loading, lambda: None)
    wait_for(lambda: parts.lifecycle.scanned)
    assert loading == {}
    assert parts.states() == {"a": State.READY, "b": State.UNAVAILABLE}


def test_a_model_is_tried_once_all_its_versions_are(make: Callable[..., Parts]) -> None:
    parts = make()
    for folder in ("a/1", "a/2", "b"):
        (parts.root / folder).mkdir(parents=True)
        parts.write(folder)
    (parts.root / "a" / "polyserve.yaml").write_text("versions: all")
    found = scan(parts.root).found
    for each in found:
        parts.store.put(ModelState(each))
    loads: dict[ModelKey, Future[Loaded]] = {each.key: Future() for each in found}
    parts.lifecycle.first_scan(dict(loads), lambda: None)
    left = []
    for key in (("a", "2"), ("b", ""), ("a", "1")):
        left.append(set(parts.lifecycle.untried))
        loads[key].set_exception(LoadError("it is damaged"))
    assert left == [{"a", "b"}, {"a", "b"}, {"a"}]
    assert not parts.lifecycle.untried
    assert parts.lifecycle.scanned


def test_nobody_keeps_a_model_that_has_gone(make: Callable[..., Parts]) -> None:
    parts = make()
    parts.write("a")
    parts.start()
    model = parts.store.serving["a"]
    gone = weakref.ref(model)
    parts.retirement.unload("a")
    EchoAdapter.made.clear()
    del model
    wait_for(lambda: gc.collect() >= 0 and gone() is None)


def test_whoever_wants_to_hears_of_loads_but_not_of_the_first(make: Callable[..., Parts]) -> None:
    parts = make()
    parts.write("a")
    parts.start()
    assert parts.heard == []
    assert parts.lifecycle.load_model("a")
    assert parts.heard == ["a"]


def test_what_nobody_asked_for_is_treated_as_such(make: Callable[..., Parts]) -> None:
    parts = make(Demand.LOOK)
    parts.start()
    parts.write("new")
    (found,) = scan(parts.root).found
    assert not parts.lifecycle.renew("new", [found], [found])
    assert parts.states() == {"new": State.EVICTED}
    parts.lifecycle.bring(found)
    assert parts.states() == {"new": State.READY}
    assert parts.lifecycle.renew("new", [found], [found])  # it is in memory: so it is wanted there
    assert parts.lifecycle.renew("new", [], [])
    assert parts.states() == {}


def test_what_refuses_its_own_example_says_so(make: Callable[..., Parts], monkeypatch: pytest.MonkeyPatch) -> None:
    parts = make()
    parts.write("a")
    load, why = parts.loader.load, "it refuses its own example: ValueError: no"
    monkeypatch.setattr(parts.loader, "load", lambda found, demand: replace(load(found, demand), warning=why))
    parts.start()
    (state,) = parts.store.states()
    assert state.now == (State.READY, why)
