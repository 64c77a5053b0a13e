"""Front processes that hang, die or cannot start: nobody waits for them, and nothing that they counted is lost."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import joblib
import pytest
from sklearn.linear_model import LinearRegression

from adapters.base import ModelDir
from bench.ports import free_port
from server.config.settings import Settings
from server.frontends import frontend, manager
from server.frontends.manager import FrontendManager
from server.loading.files import stamp_of
from server.loading.load_spec import LoadSpec
from server.workers.messages import WorkerModel
from tests.patience import wait_for
from tests.processes import command, descendants

Site = tuple[FrontendManager, dict[str | None, LoadSpec]]


@pytest.fixture
def recipe(tmp_path: Path) -> Callable[[], LoadSpec]:
    joblib.dump(LinearRegression().fit([[0.0], [1.0]], [0.0, 1.0]), tmp_path / "model.joblib")
    directory = ModelDir.of(tmp_path)

    def recipe() -> LoadSpec:
        model = WorkerModel("sklearn", directory, "model.joblib", {})
        return LoadSpec(
            "a", "", model, stamp_of(directory), batchable=True, batching=True, max_batch_rows=None, lanes=None
        )

    return recipe


@pytest.fixture
def site(recipe: Callable[[], LoadSpec]) -> Iterator[Site]:
    """One front process that answers for a model, and who should answer."""
    wanted: dict[str | None, LoadSpec] = {None: recipe()}
    site = FrontendManager(1, lambda: ["a"], lambda name: wanted, load_timeout=60, request_timeout=5)
    settings = Settings(http_port=free_port(), grpc_port=free_port())
    site.start({"settings": settings.plain(), "http_port": settings.http_port, "grpc_port": settings.grpc_port})
    wait_for(lambda: answers(site))
    yield site, wanted
    site.stop(1)
    site.tidy()
    wait_for(lambda: not pids())
    assert not site.directory.exists()


def answers(site: FrontendManager) -> bool:
    return any(each.answers_for("a") for each in site._holdings())


def pids() -> list[int]:
    return [each.pid for each in descendants() if any("polyserve_front=" in word for word in command(each))]


def test_one_that_does_not_step_back_is_ended(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manager, "WITHDRAWAL", 2.0)
    (pid,) = pids()
    os.kill(pid, signal.SIGSTOP)
    with site[0].change("a"):
        assert pid not in pids()
        assert not answers(site[0])
    wait_for(lambda: answers(site[0]))  # another one does
    assert pid not in pids()


def test_one_that_hangs_is_ended(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frontend, "HUNG", 3.0)
    (pid,) = pids()
    os.kill(pid, signal.SIGSTOP)
    wait_for(lambda: pid not in pids())
    wait_for(lambda: answers(site[0]))


def test_a_copy_is_closed_when_another_has_taken_over(site: Site, recipe: Callable[[], LoadSpec]) -> None:
    house, wanted = site
    (holdings,) = house._holdings()
    coming = recipe()
    with house.change("a", coming):
        assert set(holdings._copies) == {wanted[None].number, coming.number}  # it is there already, and does not answer
        assert not holdings.answers_for("a")
        wanted[None] = coming
    house.settle("a")
    assert set(holdings._copies) == {coming.number}
    assert holdings.answers_for("a")
    with house.change("a"):
        wanted.clear()
    house.settle("a")
    assert not holdings._copies
    assert not holdings.answers_for("a")


def test_what_cannot_be_copied_is_left_to_the_main_process(
    site: Site, recipe: Callable[[], LoadSpec], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    house, wanted = site
    (holdings,) = house._holdings()
    coming = recipe()
    (tmp_path / "model.joblib").write_bytes(b"something else")
    with caplog.at_level("WARNING"), house.change("a", coming):
        wanted[None] = coming
    assert not holdings.answers_for("a")
    wait_for(lambda: "its files are no longer those that were loaded" in caplog.text)


def test_changes_of_one_name_at_the_same_time(site: Site, recipe: Callable[[], LoadSpec]) -> None:
    house, wanted = site
    first, second = recipe(), recipe()
    with house.change("a", first):
        with house.change("a", second):
            wanted[None] = second
        assert not answers(house)  # the first is not over
        wanted[None] = first
    wait_for(lambda: answers(house))
    (holdings,) = house._holdings()
    assert holdings._routes["a"] == {None: first.number}
