"""The memory budget: who makes room for whom, and what happens to requests meanwhile."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import orjson
import pytest

from adapters.base import LoadError, ModelDir
from server.errors import DeadlineExceeded, NotReady, QueueFull
from server.inference.batching.queue import Limits
from server.loading.catalog import Catalog, Found, versions_of
from server.loading.loader import Loader
from server.loading.memory_budget import LEAST, Budget, Demand, NoRoom, NotInMemory
from server.repository.on_demand import NoMemory
from server.repository.repository import Repository
from tests.patience import becomes, wait_for
from tests.server.asking import v1
from tests.server.stand_ins import EchoAdapter

pytestmark = pytest.mark.usefixtures("echo")

BODY = b'{"instances": [[1, 2]]}'
PATIENCE = 60.0  # a full collection of all that the whole suite has imported takes its time


class Street:
    """Models of one unit each under a budget for so many units; everything happens on one event loop."""

    def __init__(self, root: Path, units: int, configs: dict[str, str], limits: Limits = Limits()) -> None:  # noqa: B008
        for name, config in configs.items():
            (root / name).mkdir()
            (root / name / "model.echo").write_text("echo")
            (root / name / "polyserve.yaml").write_text(config)
        self.root = root
        self.found = tuple(Found(name, ModelDir.of(root / name, root)) for name in configs)
        self.budget = Budget(units * LEAST, patience=PATIENCE)
        may_import = threading.Event()
        may_import.set()
        self.loader = Loader(None, may_import, budget=self.budget)
        self.executor = ThreadPoolExecutor(8)
        self.limits = limits
        self.found_repository(Demand.TRY)

    def found_repository(self, unrequested: Demand) -> None:
        catalog = Catalog(self.found, False)
        self.repository = Repository(catalog, self.loader, self.executor, self.limits, "all", unrequested=unrequested)

    def load_all(self, demand: Demand = Demand.TRY) -> None:
        done = threading.Event()
        self.found_repository(demand)
        for found in self.found:  # one after the other, so that it is known who fits
            self.repository.load_version(found, demand)
        self.repository.first_scan({}, done.set)
        assert done.wait(PATIENCE)
        wait_for(lambda: self.repository.scanned)

    async def ask(self, name: str, version: str | None = None) -> Any:
        self.repository.attach_loop(asyncio.get_running_loop())
        model: Any = await self.repository.ready(name, version)
        return orjson.loads(await v1(model, BODY))["predictions"]

    def states(self) -> dict[str, str]:
        return {entry["name"] + entry["version"]: entry["state"][0] for entry in self.repository.index()}

    @property
    def loaded(self) -> str:
        return "".join(name for name, state in self.states().items() if state == "R")


@pytest.fixture
def street(tmp_path: Path) -> Iterator[Any]:
    made: list[Street] = []

    def make(units: int, names: str = "abcd", limits: Limits | None = None, **configs: str) -> Street:
        made.append(Street(tmp_path, units, dict.fromkeys(names, "") | configs, limits or Limits()))
        return made[-1]

    yield make
    for each in made:
        each.executor.shutdown()


def run(coroutine: Any) -> Any:
    return asyncio.run(asyncio.wait_for(coroutine, PATIENCE))


def test_at_the_start_as_many_are_loaded_as_fit(street: Any) -> None:
    abcd = street(2)
    abcd.load_all()
    assert abcd.states() == {"a": "R", "b": "R", "c": "E", "d": "E"}
    assert abcd.repository.why_not_ready() == ""
    assert abcd.repository.is_ready("d")
    assert len(EchoAdapter.made) == 2
    assert abcd.budget.used == 2 * LEAST


def test_the_least_recently_used_makes_room_and_comes_back(street: Any) -> None:
    abcd = street(2)
    abcd.load_all()

    async def ask() -> None:
        for name, loaded in [("a", "ab"), ("c", "ac"), ("a", "ac"), ("d", "ad"), ("b", "bd"), ("a", "ab"), ("b", "ab")]:
            assert await abcd.ask(name) == [[2.0, 4.0]]
            assert abcd.loaded == loaded
            assert abcd.budget.used <= 2 * LEAST

    run(ask())
    metrics = {name: abcd.repository.metrics.of(name).evictions for name in "abcd"}
    assert metrics == {"a": 1, "b": 1, "c": 1, "d": 1}


def test_pinned_models_come_first_and_stay(street: Any) -> None:
    abcp = street(2, "abc", p="pinned: true")
    abcp.load_all()
    assert "p" in abcp.loaded
    assert len(abcp.loaded) == 2

    async def ask() -> None:
        for name in "abcabc":
            await abcp.ask(name)
            assert "p" in abcp.loaded

    run(ask())


def test_when_pinned_models_hold_everything_the_others_are_told(street: Any) -> None:
    ap = street(1, "a", p="pinned: true")
    ap.load_all()
    with pytest.raises(NoMemory, match=r"model 'a' is not ready: .* is taken by pinned models") as caught:
        run(ap.ask("a"))
    assert caught.value.retry_after
    assert run(ap.ask("p"))
    assert ap.states() == {"a": "E", "p": "R"}


def test_models_in_use_stay_and_room_is_made_once_they_are_idle(street: Any) -> None:
    ab = street(1, "ab")
    ab.load_all()
    model = ab.repository.ready_model("a")
    model.in_flight.begin()

    async def ask() -> None:
        ab.budget.patience = 0.3
        with pytest.raises(NoMemory, match="in use or pinned"):
            await ab.ask("b")
        assert ab.loaded == "a"
        ab.budget.patience = PATIENCE
        waiting = asyncio.create_task(ab.ask("b"))
        await asyncio.sleep(0.1)
        assert not waiting.done()
        model.in_flight.end()
        assert await waiting == [[2.0, 4.0]]

    run(ask())
    assert ab.loaded == "b"


def test_all_who_wait_share_one_load_and_others_do_not_wait(street: Any) -> None:
    ab = street(2, "ab")
    ab.load_all(Demand.LOOK)
    assert ab.states() == {"a": "E", "b": "E"}
    assert not EchoAdapter.begun

    async def ask() -> None:
        await ab.ask("b")
        EchoAdapter.begun.clear()
        (ab.root / "a" / "model.echo").write_text("echo wait")
        EchoAdapter.gate.clear()
        waiting = [asyncio.create_task(ab.ask("a")) for _ in range(50)]
        await asyncio.sleep(0.1)
        assert await ab.ask("b") == [[2.0, 4.0]]
        assert ab.repository.why_not_ready() == ""
        waiting[0].cancel()  # whoever leaves does not take the others along
        EchoAdapter.gate.set()
        assert await asyncio.gather(*waiting[1:]) == [[[2.0, 4.0]]] * 49

    run(ask())
    assert EchoAdapter.begun == ["echo wait"]


@pytest.mark.parametrize(
    ("limits", "error"), [(Limits(timeout=3), DeadlineExceeded), (Limits(max_queue=1, timeout=60), QueueFull)]
)
def test_waiting_is_bounded(street: Any, limits: Limits, error: type[Exception]) -> None:
    a = street(1, "a", limits)
    a.load_all(Demand.LOOK)
    (a.root / "a" / "model.echo").write_text("echo wait")
    EchoAdapter.gate.clear()

    async def ask() -> None:
        answers = [asyncio.create_task(a.ask("a")) for _ in range(2)]
        with pytest.raises(error):
            await answers[1]
        EchoAdapter.gate.set()
        await asyncio.gather(*answers, return_exceptions=True)
        await becomes(lambda: a.loaded == "a")  # who waits for that waits no longer than the others
        assert await a.ask("a")

    run(ask())


def test_a_model_that_does_not_come_back_says_why(street: Any) -> None:
    ab = street(1, "ab")
    ab.load_all()
    (ab.root / "b" / "model.echo").write_text("echo refuse")
    with pytest.raises(NotReady, match=r"model 'b' is not ready: model\.echo is refused"):
        run(ab.ask("b"))
    assert ab.states()["b"] == "U"
    assert ab.repository.why_not_ready()


def test_a_model_larger_than_the_budget_is_refused(street: Any) -> None:
    a = street(1, "a")
    (a.root / "a" / "weights").write_bytes(bytes(2 * LEAST))
    a.load_all()
    (entry,) = a.repository.index()
    assert entry["state"] == "UNAVAILABLE"
    assert entry["reason"] == "it takes 0.1 MiB, more than the whole memory budget (0.1 MiB)"


def test_a_model_may_be_loaded_again_where_only_one_fits(street: Any) -> None:
    a = street(1, "a")
    a.load_all()
    assert a.repository.load_model("a")
    assert run(a.ask("a"))
    deadline = time.monotonic() + PATIENCE
    while a.budget.used != LEAST:  # the old one's memory is given back
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_loading_and_unloading_by_hand(street: Any) -> None:
    ab = street(1, "ab")
    ab.load_all()
    assert ab.repository.load_model("b")
    assert ab.loaded == "b"
    ab.repository.unload("a")
    assert ab.states() == {"a": "U", "b": "R"}
    with pytest.raises(NotReady, match="unloaded"):
        run(ab.ask("a"))
    assert ab.repository.load_model("a")
    assert ab.states() == {"a": "R", "b": "E"}


def test_something_new_of_a_model_that_is_not_in_memory_makes_nobody_leave(street: Any) -> None:
    ab = street(1, "ab")
    ab.load_all()
    (ab.root / "b" / "model.echo").write_text("echo new")
    ab.repository.renew("b", [ab.found[1]], [ab.found[1]])
    assert ab.states() == {"a": "R", "b": "E"}
    assert run(ab.ask("b"))
    assert EchoAdapter.begun[-1] == "echo new"


def test_the_newest_version_answers_whether_or_not_it_is_in_memory(tmp_path: Path, street: Any) -> None:
    av = street(2, "a")
    for version in "12":
        (tmp_path / "v" / version).mkdir(parents=True)
        (tmp_path / "v" / version / "model.echo").write_text(f"echo {version}")
    (tmp_path / "v" / "polyserve.yaml").write_text("versions: all\nlabels: {old: 1}")
    both = versions_of(ModelDir.of(tmp_path / "v", tmp_path), "v")
    for found in both:
        av.repository.load_version(found)
    av.repository.load_version(av.found[0])

    async def ask() -> None:
        for name, version, line in [("v", "1", "1"), ("a", None, ""), ("v", None, "2"), ("v", "old", "1")]:
            model = await av.repository.ready(name, version)
            av.repository.attach_loop(asyncio.get_running_loop())
            assert model.adapter.line == f"echo {line}".strip()
            assert av.repository.versions("v") == ["1", "2"]

    run(ask())


def test_lazy_folders_are_matched_and_pinned_ones_loaded(street: Any) -> None:
    lazy = street(2, "a", p="pinned: true", broken="adapter: echos")
    lazy.load_all(Demand.LOOK)
    assert lazy.states() == {"a": "E", "p": "R", "broken": "U"}


def test_a_request_for_a_version_that_does_not_load_is_answered_by_the_older_one(tmp_path: Path, street: Any) -> None:
    lazy = street(2, "a")
    for version, line in (("1", "echo"), ("2", "echo refuse")):
        (tmp_path / "v" / version).mkdir(parents=True)
        (tmp_path / "v" / version / "model.echo").write_text(line)
    lazy.found_repository(Demand.LOOK)
    (newest,) = versions_of(ModelDir.of(tmp_path / "v", tmp_path), "v")
    assert not lazy.repository.load_version(newest, Demand.LOOK)
    assert lazy.states() == {"a": "L", "v2": "E"}
    assert run(lazy.ask("v")) == [[2.0, 4.0]]
    assert lazy.states() == {"a": "L", "v1": "R", "v2": "U"}


def test_the_ledger_gives_way_only_to_what_can_fit() -> None:
    budget = Budget(10 * LEAST, patience=0.05)
    first = budget.take(("a", ""), 6 * LEAST)
    with pytest.raises(NotInMemory, match="a request will load it"):
        budget.take(("b", ""), 5 * LEAST, evict=False)
    with pytest.raises(NoRoom):
        budget.take(("b", ""), 5 * LEAST)
    with pytest.raises(LoadError, match="more than the whole memory budget"):
        budget.take(("b", ""), 11 * LEAST)
    budget.release(first)
    assert budget.take(("b", ""), 5 * LEAST).memory == 5 * LEAST
    assert budget.take(("c", ""), 0).memory == LEAST
    assert budget.used == 6 * LEAST
