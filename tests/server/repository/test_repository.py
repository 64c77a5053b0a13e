"""States, reasons and readiness; loading again, unloading, and all of them at once."""

from __future__ import annotations

import asyncio
import gc
import re
import threading
import weakref
from collections.abc import Coroutine, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import orjson
import pytest
from kserve.errors import ModelNotFound
from kserve.protocol.dataplane import DataPlane

from adapters.base import LoadError, ModelDir
from server.api.kserve.dataplane import PolyRepositoryExtension
from server.api.kserve.models import KServeRegistry
from server.errors import NotFound, NotReady
from server.inference.batching.queue import Limits
from server.loading.catalog import Catalog, Found
from server.loading.loader import Loaded, Loader
from server.repository.repository import Repository, State
from server.repository.state import ModelState
from server.telemetry.counters import ModelMetrics
from tests.patience import wait_for
from tests.server.asking import v1
from tests.server.stand_ins import EchoAdapter

pytestmark = pytest.mark.usefixtures("echo")

T = TypeVar("T")

PATIENCE = 60.0  # a full collection of all that the whole suite has imported takes its time
BODY = b'{"instances": [[1, 2]]}'


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(asyncio.wait_for(coroutine, PATIENCE))


class Mount:
    """A folder of models by name, each an `.echo` file of one line, and a repository over it."""

    def __init__(
        self, root: Path, executor: ThreadPoolExecutor, rule: str, single: bool, lines: dict[str, str]
    ) -> None:
        self.root = root
        for name, line in lines.items():
            (root / name).mkdir()
            self.write(name, line)
        self.catalog = Catalog(tuple(Found(name, ModelDir.of(root / name, root)) for name in lines), single)
        may_import = threading.Event()
        may_import.set()
        self.loader = Loader(None, may_import)
        self.repository = Repository(self.catalog, self.loader, executor, Limits(), rule)

    def write(self, name: str, line: str) -> None:
        (self.root / name / "model.echo").write_text(line)

    def load_all(self) -> Repository:
        done = threading.Event()
        self.repository.first_scan(self.loader.begin(self.catalog.found, 4), done.set)
        assert done.wait(PATIENCE)
        wait_for(lambda: self.repository.scanned)
        return self.repository

    def states(self) -> dict[str, tuple[str, str]]:
        return {entry["name"]: (entry["state"], entry["reason"]) for entry in self.repository.index()}


@pytest.fixture(scope="module")
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


@pytest.fixture
def mount(tmp_path: Path, executor: ThreadPoolExecutor) -> Any:
    def make(rule: str = "scan", single: bool = False, **lines: str) -> Mount:
        return Mount(tmp_path, executor, rule, single, lines)

    return make


def answer(repository: Repository, name: str) -> Any:
    async def ask() -> bytes:
        return await v1(repository.ready_model(name), BODY)

    return orjson.loads(run(ask()))["predictions"]


# states


def test_every_directory_has_a_state_and_a_reason(mount: Any) -> None:
    house = mount(good="echo", refused="echo refuse", crashed="echo crash", exits="echo exit", broken="broken")
    assert set(house.states().values()) == {("LOADING", "waiting to be loaded")}
    repository = house.load_all()
    assert house.states() == {
        "good": ("READY", ""),
        "refused": ("UNAVAILABLE", "model.echo is refused"),
        "crashed": ("UNAVAILABLE", "ZeroDivisionError: by zero"),
        "exits": ("UNAVAILABLE", "SystemExit: 3"),
        "broken": ("UNAVAILABLE", "model.echo is damaged"),
    }
    assert [entry["name"] for entry in repository.index(ready=True)] == ["good"]
    assert {name for name, model in repository.get_models().items() if model} == {"good"}
    assert answer(repository, "good") == [[2.0, 4.0]]
    assert repository.is_ready("good")
    assert not repository.is_ready("broken")
    assert not repository.is_ready("nobody")


def test_a_model_that_is_not_ready_says_why(mount: Any) -> None:
    house = mount(good="echo", broken="broken")
    with pytest.raises(NotReady, match="model 'good' is not ready: waiting to be loaded"):
        house.repository.ready_model("good")
    repository = house.load_all()
    with pytest.raises(NotReady, match=r"model 'broken' is not ready: model\.echo is damaged"):
        repository.ready_model("broken")
    with pytest.raises(NotFound, match=r"model 'nobody' does not exist$"):
        repository.ready_model("nobody")


def test_a_name_that_is_nearly_a_models_names_it(mount: Any) -> None:
    repository = mount(iris="echo", broken="broken").load_all()
    said = "model 'irsi' does not exist; did you mean 'iris'\\?$"
    for asked in (repository.ready_model, repository.check_known, repository.states, repository.load_model):
        with pytest.raises(NotFound, match=said):
            asked("irsi")
    for later in (repository.ready, repository.load, repository.unload_and_wait, repository.promote):
        with pytest.raises(NotFound, match=said):
            run(later("irsi"))
    with pytest.raises(NotFound, match=r"did you mean 'broken'\?"):
        repository.ready_model("borken")


def test_kserves_data_plane_gets_the_model_or_the_reason(mount: Any) -> None:
    repository = mount(good="echo", broken="broken").load_all()
    data_plane = DataPlane(KServeRegistry(repository))
    assert data_plane.get_model_from_registry("good").get_input_types()[0]["name"] == "a"
    with pytest.raises(ModelNotFound):
        data_plane.get_model_from_registry("nobody")
    with pytest.raises(NotReady, match="damaged"):
        data_plane.get_model_from_registry("broken")


def test_a_reason_can_be_sent_whatever_it_holds(mount: Any) -> None:
    house = mount(a="echo")
    failed: Future[Loaded] = Future()
    failed.set_exception(LoadError("cannot open model\udcff.onnx: " + "x" * 1_000_000))
    house.repository.first_scan({("a", ""): failed}, lambda: None)
    assert len(orjson.dumps(house.repository.index())) < 2000
    assert "model\\udcff.onnx" in house.states()["a"][1]


def test_a_failure_of_our_own_is_a_reason_too(mount: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first scan ends, whatever goes wrong with one model after it was loaded."""
    house = mount(a="echo", b="echo")
    monkeypatch.setattr(
        house.repository.store.metrics, "of", lambda name, version: ModelMetrics() if name == "b" else 1 / 0
    )
    repository = house.load_all()
    assert house.states() == {"a": ("UNAVAILABLE", "division by zero"), "b": ("READY", "")}
    assert repository.scanned


# readiness

READINESS: list[tuple[str, bool, dict[str, str], str]] = [
    ("scan", False, {"a": "echo", "b": "broken"}, ""),
    ("scan", False, {"b": "broken"}, ""),
    ("scan", False, {}, ""),
    ("any", False, {"a": "echo", "b": "broken"}, ""),
    ("any", False, {"b": "broken", "c": "broken"}, "b: model.echo is damaged; c: model.echo is damaged"),
    ("any", False, {}, "there is no model"),
    ("all", False, {"a": "echo", "b": "echo"}, ""),
    ("all", False, {"a": "echo", "b": "broken"}, "b: model.echo is damaged"),
    ("all", False, {}, ""),
    ("scan", True, {"a": "echo"}, ""),
    ("scan", True, {"a": "broken"}, "a: model.echo is damaged"),
    ("any", True, {"a": "broken"}, "a: model.echo is damaged"),
]


@pytest.mark.parametrize(("rule", "single", "lines", "why"), READINESS, ids=str)
def test_readiness_follows_the_rule(mount: Any, rule: str, single: bool, lines: dict[str, str], why: str) -> None:
    house = mount(rule, single, **lines)
    assert house.load_all().why_not_ready() == why


@pytest.mark.parametrize("rule", ["scan", "any", "all"])
def test_no_rule_is_met_before_every_directory_was_tried(mount: Any, rule: str) -> None:
    house = mount(rule, a="echo", b="echo wait", c="broken")
    EchoAdapter.gate.clear()
    done = threading.Event()
    loading = house.loader.begin(house.catalog.found, 4)
    broken = loading["c", ""]
    house.repository.first_scan(loading, done.set)
    assert broken.exception(PATIENCE)
    wait_for(lambda: ("c", "") not in loading)
    # who loads a format first may have the next one of it wait
    assert re.fullmatch("[12] of 3 models are still loading", house.repository.why_not_ready())
    assert not done.is_set()
    EchoAdapter.gate.set()
    assert done.wait(PATIENCE)
    wait_for(lambda: house.repository.scanned)
    assert house.repository.scanned


def test_an_empty_mount_is_scanned_at_once(mount: Any) -> None:
    told: list[bool] = []
    house = mount()
    house.repository.first_scan({}, lambda: told.append(True))
    assert told == [True]
    assert house.repository.scanned


# loading again


def test_loading_again_swaps_the_model(mount: Any) -> None:
    house = mount(a="echo")
    repository = house.load_all()
    first = repository.ready_model("a")
    run(repository.load("a"))
    second = repository.ready_model("a")
    assert second is not first
    assert [adapter.closed for adapter in EchoAdapter.made] == [1, 0]
    assert house.states() == {"a": ("READY", "")}
    assert answer(repository, "a") == [[2.0, 4.0]]


def test_a_model_serves_on_while_it_is_loaded_again_and_when_that_fails(mount: Any) -> None:
    house = mount("all", a="echo")
    repository = house.load_all()
    first = repository.ready_model("a")
    house.write("a", "echo wait refuse")
    EchoAdapter.gate.clear()
    with ThreadPoolExecutor(1) as pool:
        loading = pool.submit(repository.load_model, "a")
        wait_for(lambda: len(EchoAdapter.begun) == 2)
        assert house.states() == {"a": ("READY", "being loaded again")}
        assert repository.why_not_ready() == ""
        assert answer(repository, "a") == [[2.0, 4.0]]
        EchoAdapter.gate.set()
        assert loading.result(PATIENCE) is False
    assert house.states() == {"a": ("READY", "loading it again failed: model.echo is refused")}
    assert repository.ready_model("a") is first
    assert answer(repository, "a") == [[2.0, 4.0]]
    assert EchoAdapter.made[0].closed == 0
    with pytest.raises(NotReady, match="model 'a' was not loaded: loading it again failed: model"):
        run(repository.load("a"))
    house.write("a", "echo")
    run(repository.load("a"))
    assert house.states() == {"a": ("READY", "")}
    assert EchoAdapter.made[0].closed == 1


def test_a_model_that_failed_can_be_mended(mount: Any) -> None:
    house = mount("all", a="broken")
    repository = house.load_all()
    with pytest.raises(NotReady, match="damaged"):
        run(repository.load("a"))
    house.write("a", "echo")
    run(repository.load("a"))
    assert repository.why_not_ready() == ""


def test_nobody_is_loaded_by_an_unknown_name(mount: Any) -> None:
    repository = mount(a="echo").load_all()
    for name in ("nobody", "", "../a", "a/"):
        with pytest.raises(NotFound):
            run(repository.load(name))
        with pytest.raises(KeyError):
            repository.unload(name)


def test_kserves_route_to_loading_keeps_our_errors(mount: Any) -> None:
    repository = mount(a="echo", broken="broken").load_all()
    extension = PolyRepositoryExtension(repository)
    run(extension.load("a"))
    with pytest.raises(NotFound, match="model 'nobody' does not exist"):
        run(extension.load("nobody"))
    with pytest.raises(NotReady, match="model 'broken' was not loaded: model"):
        run(extension.load("broken"))
    run(extension.unload("a"))
    with pytest.raises(NotFound, match="model 'nobody' does not exist"):
        run(extension.unload("nobody"))


def test_loads_of_one_model_at_the_same_time_are_one(mount: Any) -> None:
    house = mount(a="echo wait", b="echo wait")
    repository = house.load_all()
    EchoAdapter.gate.clear()
    with ThreadPoolExecutor(8) as pool:
        loading = [pool.submit(repository.load_model, name) for name in ["a", "b"] * 4]
        wait_for(lambda: len(EchoAdapter.begun) == 4)
        EchoAdapter.gate.set()
        assert all(each.result(PATIENCE) for each in loading)
    assert house.states() == {"a": ("READY", ""), "b": ("READY", "")}
    assert repository.load_model("a")  # the next one is a load of its own
    serving = {id(model.adapter) for model in repository.get_models().values() if model}
    assert len(EchoAdapter.made) == 5
    assert [adapter.closed for adapter in EchoAdapter.made] == [int(id(a) not in serving) for a in EchoAdapter.made]
    assert answer(repository, "a") == [[2.0, 4.0]]


# unloading


def test_unloading_takes_a_model_out_and_loading_brings_it_back(mount: Any) -> None:
    house = mount(a="echo", b="echo")
    repository = house.load_all()
    for _ in range(2):
        repository.unload("a")
        assert house.states() == {"a": ("UNAVAILABLE", "unloaded"), "b": ("READY", "")}
    assert EchoAdapter.made[0].closed + EchoAdapter.made[1].closed == 1
    with pytest.raises(NotReady, match="model 'a' is not ready: unloaded"):
        repository.ready_model("a")
    run(repository.load("a"))
    assert answer(repository, "a") == [[2.0, 4.0]]


@pytest.mark.parametrize("line", ["echo wait", "echo wait refuse"])
@pytest.mark.parametrize("again", [True, False])
def test_a_model_unloaded_while_it_loads_stays_unloaded(mount: Any, line: str, again: bool) -> None:
    house = mount(a="echo" if again else line)
    repository = house.load_all() if again else house.repository
    before = len(EchoAdapter.begun)
    house.write("a", line)
    EchoAdapter.gate.clear()
    with ThreadPoolExecutor(1) as pool:
        loading = pool.submit(repository.load_model, "a")
        wait_for(lambda: len(EchoAdapter.begun) > before)
        repository.unload("a")
        EchoAdapter.gate.set()
        assert loading.result(PATIENCE) is False
    assert house.states() == {"a": ("UNAVAILABLE", "unloaded")}
    assert all(adapter.closed == 1 for adapter in EchoAdapter.made)


def test_a_model_unloaded_during_the_first_scan_stays_unloaded(mount: Any) -> None:
    house = mount(a="echo wait")
    EchoAdapter.gate.clear()
    done = threading.Event()
    house.repository.first_scan(house.loader.begin(house.catalog.found, 1), done.set)
    house.repository.unload("a")
    EchoAdapter.gate.set()
    assert done.wait(PATIENCE)
    wait_for(lambda: house.repository.scanned)
    assert house.states() == {"a": ("UNAVAILABLE", "unloaded")}
    assert house.repository.scanned


def test_requests_that_run_while_a_model_is_loaded_again_are_answered(mount: Any) -> None:
    """Whoever asks gets an answer from the old model or from the new one."""
    house = mount(a="echo")
    repository = house.load_all()

    async def ask() -> int:
        answered = 0
        loading = asyncio.create_task(repository.load("a"))
        while not loading.done() or answered < 50:
            body = orjson.loads(await v1(repository.ready_model("a"), BODY))
            assert body == {"predictions": [[2.0, 4.0]]}
            answered += 1
        await loading
        return answered

    assert run(ask()) >= 50


def test_a_model_that_was_replaced_is_let_go(mount: Any) -> None:
    repository = mount(a="echo").load_all()
    assert answer(repository, "a")
    replaced = weakref.ref(EchoAdapter.made.pop())
    run(repository.load("a"))
    wait_for(lambda: gc.collect() >= 0 and replaced() is None)  # a thread cleans up


def test_which_models_openai_s_api_may_reach(mount: Any) -> None:
    repository = mount(a="echo").load_all()
    found = Found("b", ModelDir.of(Path("nowhere")))
    assert not repository.may_be_of_language("a")
    assert not repository.may_be_of_language("b")
    for known, expected in ((None, True), (True, True), (False, False)):
        repository.store.put(ModelState(found, State.EVICTED, of_language=known))
        assert repository.may_be_of_language("b") is expected


def test_states_are_tritons_words_and_one_more() -> None:
    assert [str(state) for state in State] == ["UNAVAILABLE", "LOADING", "READY", "UNLOADING", "EVICTED"]
