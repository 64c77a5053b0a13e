"""A version beside the one that serves: what is compared, counted and promoted."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import orjson
import pytest

from adapters.base import ModelDir
from server.errors import NotFound, NotReady
from server.inference.answer import Answer
from server.inference.batching.queue import Limits
from server.inference.request import InferenceRequest
from server.loading.catalog import scan, versions_of
from server.loading.loader import Loader
from server.repository.repository import Repository
from server.repository.shadowing import difference_of
from server.telemetry.counters import ModelMetrics
from tests.patience import becomes, wait_for
from tests.server.asking import v1
from tests.server.stand_ins import EchoAdapter

pytestmark = pytest.mark.usefixtures("echo")

BODY = b'{"instances": [[1, 2]]}'


def version(root: Path, number: int, shadow: str = "") -> None:
    folder = root / "a" / str(number)
    folder.mkdir(parents=True)
    (folder / "model.echo").write_text("echo")
    if shadow:
        (folder / "polyserve.yaml").write_text(f"shadow: {shadow}\n")


class Site:
    """A folder of models, loaded."""

    def __init__(self, root: Path, executor: ThreadPoolExecutor) -> None:
        may_import = threading.Event()
        may_import.set()
        catalog = scan(root, "model")
        self.repository = Repository(catalog, Loader(None, may_import), executor, Limits(), "scan", lambda: catalog)
        assert self.repository.load_model("a")

    def counts(self, number: int) -> ModelMetrics:
        return self.repository.store.metrics.of("a", str(number))

    def serving(self) -> str:
        return self.repository.serving["a"].version

    async def ask(self) -> Any:
        return orjson.loads(await v1(self.repository.ready_model("a"), BODY))


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


@pytest.mark.parametrize(
    ("shadows", "chosen"),
    [({}, ["3"]), ({3: "true"}, ["2", "3"]), ({2: "true"}, ["3"]), ({1: "true", 2: "true", 3: "true"}, ["3"])],
    ids=["none", "the newest", "an older one", "all"],
)
def test_the_newest_shadow_is_served_beside_the_newest_other(
    shadows: dict[int, str], chosen: list[str], tmp_path: Path
) -> None:
    for number in (1, 2, 3):
        version(tmp_path, number, shadows.get(number, ""))
    found = versions_of(ModelDir.of(tmp_path / "a", tmp_path), "a")
    assert [each.version for each in found] == chosen


def test_it_answers_nobody_and_is_compared(tmp_path: Path, executor: ThreadPoolExecutor) -> None:
    version(tmp_path, 1)
    version(tmp_path, 2, "true")
    site = Site(tmp_path, executor)

    async def ask() -> None:
        site.repository.attach_loop(asyncio.get_running_loop())
        assert site.serving() == "1"
        for _ in range(3):
            await site.ask()
            await becomes(lambda: not site.repository.store.shadows["a"].model.in_flight.count)
        await becomes(lambda: site.counts(2).shadow_agreed == 3)

    asyncio.run(asyncio.wait_for(ask(), 60))
    counts = site.counts(2)
    assert (counts.shadow_differed, counts.shadow_failed, counts.shadow_skipped) == (0, 0, 0)
    assert counts.shadow_seconds > 0 < counts.served_seconds
    assert site.counts(1).requests["v1", 200] == 3


def test_answers_that_differ_and_failures_are_counted_and_told(
    tmp_path: Path, executor: ThreadPoolExecutor, caplog: pytest.LogCaptureFixture
) -> None:
    version(tmp_path, 1)
    version(tmp_path, 2, "true")
    site = Site(tmp_path, executor)
    adapter: Any = site.repository.store.shadows["a"].model.adapter
    batcher: Any = site.repository.store.shadows["a"].model
    echo = adapter.predict

    def otherwise(inputs: Any, parameters: Any) -> Any:
        return {name: array + 1 for name, array in echo(inputs, parameters).items()}

    def fail(inputs: Any, parameters: Any) -> Any:
        raise ValueError("boom")

    async def ask() -> None:
        from server.inference.batching.merging import BatchCaller

        site.repository.attach_loop(asyncio.get_running_loop())
        batcher._batcher.calls.caller = BatchCaller(otherwise)
        await site.ask()
        await becomes(lambda: site.counts(2).shadow_differed == 1)
        batcher._batcher.calls.caller = BatchCaller(fail)
        await site.ask()
        await becomes(lambda: site.counts(2).shadow_failed == 1)

    with caplog.at_level("WARNING", "kserve"):
        asyncio.run(asyncio.wait_for(ask(), 60))
    (line,) = [text for text in caplog.messages if "answers otherwise" in text]
    assert line.startswith("model a version 2 (shadow) answers otherwise than the one that serves: predictions[0]")


def test_it_takes_over_when_it_is_promoted(tmp_path: Path, executor: ThreadPoolExecutor) -> None:
    version(tmp_path, 1)
    version(tmp_path, 2, "true")
    site = Site(tmp_path, executor)
    assert asyncio.run(site.repository.promote("a")) == "2"
    assert site.serving() == "2"
    assert site.repository.store.models["a"].of("1") is not None  # the way back
    with pytest.raises(NotReady, match="no version with `shadow: true`"):
        asyncio.run(site.repository.promote("a"))
    with pytest.raises(NotFound):
        asyncio.run(site.repository.promote("nobody"))
    assert site.repository.load_model("a")  # again: its file says what it did
    assert site.serving() == "2"


def test_it_takes_over_by_itself_after_so_many_that_agree(tmp_path: Path, executor: ThreadPoolExecutor) -> None:
    version(tmp_path, 1)
    version(tmp_path, 2, "{after: 2}")
    site = Site(tmp_path, executor)

    async def ask() -> None:
        site.repository.attach_loop(asyncio.get_running_loop())
        for wanted in (1, 2):
            await site.ask()
            await becomes(lambda wanted=wanted: site.counts(2).shadow_agreed == wanted)

    asyncio.run(asyncio.wait_for(ask(), 60))
    wait_for(lambda: site.serving() == "2")


def test_a_model_without_a_shadow_is_not_looked_at(tmp_path: Path, executor: ThreadPoolExecutor) -> None:
    version(tmp_path, 1)
    site = Site(tmp_path, executor)
    assert "start" not in vars(site.repository.serving["a"])
    assert EchoAdapter.made


@pytest.mark.parametrize(
    ("served", "answer", "difference"),
    [
        (b'{"predictions":[1.0]}', b'{"predictions":[1.0000001]}', ""),
        (b'{"predictions":[1.0]}', b'{"predictions":[1.1]}', "predictions[0]: expected 1.0, got 1.1"),
        (b'{"predictions":[1.0]}', b'{"outputs":[]}', "expected predictions, got outputs"),
        (b'{"model_version":"1","outputs":[]}', b'{"model_version":"2","outputs":[]}', ""),
        (b"raw", b"war", "the bodies differ"),
    ],
    ids=["within the tolerance", "beyond it", "another shape", "who answers", "no JSON"],
)
def test_what_differs(served: bytes, answer: bytes, difference: str) -> None:
    request = InferenceRequest("v1", "predict", "a", None, [], BODY)
    told = difference_of(request, Answer(200, [], served), Answer(200, [], answer), 1e-6)
    assert told.startswith(difference)
    assert bool(told) == bool(difference)
    assert difference_of(request, Answer(200, [], served), Answer(503, [], answer), 1e-6).startswith("status")
