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
def spec(tmp_path: Path) -> Callable[[], LoadSpec]:
    joblib.dump(LinearRegression().fit([[0.0], [1.0]], [0.0, 1.0]), tmp_path / "model.joblib")
    directory = ModelDir.of(tmp_path)

    def spec() -> LoadSpec:
        model = WorkerModel("sklearn", directory, "model.joblib", {})
        return LoadSpec(
            "a", "", model, stamp_of(directory), batchable=True, batching=True, max_batch_rows=None, lanes=None
        )

    return spec


@pytest.fixture
def site(spec: Callable[[], LoadSpec]) -> Iterator[Site]:
    """One front process that answers for a model, and who should answer."""
    wanted: dict[str | None, LoadSpec] = {None: spec()}
    site = FrontendManager(1, lambda: ["a"], lambda name: wanted, load_timeout=60, request_timeout=5)
    settings = Settings(http_port=free_port(), grpc_port=free_port())
    site.start({"settings": settings.plain(), "http_port": settings.http_port, "grpc_port": settings.grpc_port})
    try:
        wait_for(lambda: answers(site))
        yield site, wanted
    finally:
        site.stop(1)
        site.remove_directory()
    wait_for(lambda: not pids())
    assert not site.directory.exists()


def answers(site: FrontendManager) -> bool:
    return any(each.answers_for("a") for each in site._copies())


def pids() -> list[int]:
    return [each.pid for each in descendants() if any("polyserve_front=" in word for word in command(each))]


@pytest.mark.slow
def test_one_that_does_not_step_back_is_ended(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manager, "WITHDRAWAL_TIMEOUT", 2.0)
    (pid,) = pids()
    os.kill(pid, signal.SIGSTOP)
    with site[0].change("a"):
        assert pid not in pids()
        assert not answers(site[0])
    wait_for(lambda: answers(site[0]))  # another one does
    assert pid not in pids()


@pytest.mark.slow
def test_one_that_hangs_is_ended(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frontend, "HUNG", 3.0)
    (pid,) = pids()
    os.kill(pid, signal.SIGSTOP)
    wait_for(lambda: pid not in pids())
    wait_for(lambda: answers(site[0]))


@pytest.mark.slow
def test_a_copy_is_closed_when_another_has_taken_over(site: Site, spec: Callable[[], LoadSpec]) -> None:
    frontends, wanted = site
    (copies,) = frontends._copies()
    coming = spec()
    with frontends.change("a", coming):
        assert set(copies._copies) == {wanted[None].number, coming.number}  # it is there already, and does not answer
        assert not copies.answers_for("a")
        wanted[None] = coming
    frontends.settle("a")
    assert set(copies._copies) == {coming.number}
    assert copies.answers_for("a")
    with frontends.change("a"):
        wanted.clear()
    frontends.settle("a")
    assert not copies._copies
    assert not copies.answers_for("a")


@pytest.mark.slow
def test_what_cannot_be_copied_is_left_to_the_main_process(
    site: Site, spec: Callable[[], LoadSpec], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    frontends, wanted = site
    (copies,) = frontends._copies()
    coming = spec()
    (tmp_path / "model.joblib").write_bytes(b"something else")
    with caplog.at_level("WARNING"), frontends.change("a", coming):
        wanted[None] = coming
    assert not copies.answers_for("a")
    wait_for(lambda: "its files are no longer those that were loaded" in caplog.text)


@pytest.mark.slow
def test_changes_of_one_name_at_the_same_time(site: Site, spec: Callable[[], LoadSpec]) -> None:
    frontends, wanted = site
    first, second = spec(), spec()
    with frontends.change("a", first):
        with frontends.change("a", second):
            wanted[None] = second
        assert not answers(frontends)  # the first is not over
        wanted[None] = first
    wait_for(lambda: answers(frontends))
    (copies,) = frontends._copies()
    assert copies._routes["a"] == {None: first.number}
