"""Versions: which are served, by which names, and what happens when they come, fail and go."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import orjson
import pytest

from server.errors import NotFound, NotReady
from server.inference.batching.queue import Limits
from server.loading.catalog import scan
from server.loading.loader import Loader
from server.repository.repository import Repository
from server.repository.state import ModelState, ModelVersions
from tests.patience import wait_for
from tests.server import asking
from tests.server.stand_ins import EchoAdapter

pytestmark = pytest.mark.usefixtures("echo")

PATIENCE = 60.0  # a full collection of all that the whole suite has imported takes its time
BODY = b'{"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP64", "data": [1, 2]}]}'


class House:
    """A mount, looked at anew at every load, and its repository."""

    def __init__(self, root: Path, executor: ThreadPoolExecutor) -> None:
        self.root, self.executor = root, executor

    def write(self, folder: str, line: str = "echo", file: str = "model.echo") -> None:
        (self.root / folder).mkdir(parents=True, exist_ok=True)
        (self.root / folder / file).write_text(line)

    def config(self, folder: str, text: str) -> None:
        self.write(folder, text, "polyserve.yaml")

    def start(self) -> Repository:
        catalog = scan(self.root, "solo")
        may_import = threading.Event()
        may_import.set()
        loader = Loader(None, may_import)
        rescan = lambda: scan(self.root, "solo")  # noqa: E731
        self.repository = Repository(catalog, loader, self.executor, Limits(), "scan", rescan)
        done = threading.Event()
        self.repository.first_scan(loader.begin(catalog.found, 2), done.set)
        assert done.wait(PATIENCE)
        wait_for(lambda: self.repository.scanned)
        return self.repository

    def states(self) -> dict[tuple[str, str], str]:
        return {(each["name"], each["version"]): each["state"] for each in self.repository.index()}

    def answering(self, name: str, version: str | None = None) -> str:
        """The version that says that it answered."""

        async def ask() -> bytes:
            model = await self.repository.ready(name, version)
            return (await asking.ask(model, BODY, "v2")).body

        return str(orjson.loads(asyncio.run(asyncio.wait_for(ask(), PATIENCE))).get("model_version", ""))


@pytest.fixture(scope="module")
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


@pytest.fixture
def house(tmp_path: Path, executor: ThreadPoolExecutor) -> House:
    return House(tmp_path, executor)


POLICIES = [
    ("", ["10"]),
    ("versions: latest", ["10"]),
    ("versions: {latest: 2}", ["7", "10"]),
    ("versions: {latest: 99}", ["1", "7", "10"]),
    ("versions: all", ["1", "7", "10"]),
    ("versions: [1, 7]", ["1", "7"]),
    ("versions: {specific: [7]}", ["7"]),
]


@pytest.mark.parametrize(("policy", "served"), POLICIES, ids=str)
def test_the_policy_says_which_versions_are_served(house: House, policy: str, served: list[str]) -> None:
    for folder in ("1", "007", "10"):
        house.write(f"m/{folder}")
    house.config("m", policy)
    repository = house.start()
    assert repository.versions("m") == served
    assert list(house.states()) == [("m", version) for version in served]
    assert house.answering("m") == served[-1]
    for version in served:
        assert house.answering("m", version) == version
        assert house.answering("m", f"00{version}") == version
    for version in {"1", "7", "10", "11", "", "x", "-1", "7" * 5000} - set(served):
        with pytest.raises(NotFound, match="model 'm' has no version"):
            repository.ready_model("m", version)


def test_a_policy_that_names_what_is_not_there_is_told(house: House) -> None:
    house.write("m/1")
    house.config("m", "versions: [2]")
    with pytest.raises(NotReady, match="2 is not there; the folder holds 1"):
        house.start().ready_model("m")


def test_labels_name_versions(house: House) -> None:
    for version in "123":
        house.write(f"m/{version}")
    house.config("m/2", "lanes: 1")  # a version's own settings take no label away
    house.config("m", "versions: all\nlabels: {stable: 1, canary: 2, gone: 9}")
    repository = house.start()
    assert [house.answering("m", label) for label in ("stable", "canary")] == ["1", "2"]
    assert house.answering("m") == "3"
    with pytest.raises(NotFound, match="'gone'"):
        repository.ready_model("m", "gone")
    house.config("m", "versions: all\nlabels: {stable: 3}")
    assert repository.load_model("m")
    assert house.answering("m", "stable") == "3"
    with pytest.raises(NotFound):
        repository.ready_model("m", "canary")


def test_a_version_has_its_own_settings_or_the_models(house: House) -> None:
    house.write("m/1")
    house.write("m/2")
    house.config("m", "versions: all\noptions: {factor: 3}")
    house.config("m/2", "options: {factor: 5}")
    house.start()
    assert sorted(adapter.options_given["factor"] for adapter in EchoAdapter.made) == [3.0, 5.0]


def test_a_mount_that_is_one_model_with_versions(house: House) -> None:
    house.write("1")
    house.write("2")
    repository = house.start()
    assert list(house.states()) == [("solo", "2")]
    assert house.answering("solo") == "2"
    house.write("3")
    assert repository.load_model("solo")
    assert list(house.states()) == [("solo", "3")]


def test_the_newest_that_is_ready_answers(house: House) -> None:
    house.write("m/1")
    house.write("m/2", "broken")
    house.config("m", "versions: all")
    repository = house.start()
    assert house.states() == {("m", "1"): "READY", ("m", "2"): "UNAVAILABLE"}
    assert house.answering("m") == "1"
    assert repository.why_not_ready() == ""
    with pytest.raises(NotReady, match=r"model 'm' version 2 is not ready: model\.echo is damaged"):
        repository.ready_model("m", "2")


def test_a_newer_version_that_is_broken_leaves_the_older_one_serving(house: House) -> None:
    house.write("m/1")
    repository = house.start()
    house.write("m/2", "broken")
    assert not repository.load_model("m")
    assert house.states() == {("m", "1"): "READY", ("m", "2"): "UNAVAILABLE"}
    assert house.answering("m") == "1"
    house.write("m/2")
    assert repository.load_model("m")
    assert house.states() == {("m", "2"): "READY"}
    assert house.answering("m") == "2"


def test_through_a_restart_a_broken_version_leaves_the_older_one_serving(house: House) -> None:
    house.write("m/1")
    house.write("m/2", "broken")
    house.write("m/3", "broken")
    house.write("m/4", "echo refuse")
    repository = house.start()
    states = {("m", "1"): "READY", ("m", "2"): "UNAVAILABLE", ("m", "3"): "UNAVAILABLE", ("m", "4"): "UNAVAILABLE"}
    assert house.states() == states
    assert repository.why_not_ready() == ""
    assert house.answering("m") == house.answering("m", "1") == "1"
    with pytest.raises(NotReady, match=r"model 'm' version 4 is not ready: model\.echo is refused"):
        repository.ready_model("m", "4")
    assert not repository.load_model("m")  # nothing has changed
    assert house.states() == states
    house.write("m/4")
    assert repository.load_model("m")
    assert house.states() == {("m", "4"): "READY"}


def test_no_older_version_serves_where_a_newer_one_can(house: House) -> None:
    for version in "1234":
        house.write(f"m/{version}", "broken" if version in "24" else "echo")
    house.config("m", "versions: {latest: 2}")
    house.start()
    assert house.states() == {("m", "3"): "READY", ("m", "4"): "UNAVAILABLE"}


@pytest.mark.parametrize("policy", ["versions: [2, 3]", "versions: sometimes"])
def test_who_names_versions_gets_no_other(house: House, policy: str) -> None:
    house.write("m/1")
    for version in "23":
        house.write(f"m/{version}", "broken")
    house.config("m", policy)
    with pytest.raises(NotReady):
        house.start().ready_model("m")
    assert "READY" not in house.states().values()


def test_a_model_of_broken_versions_says_so_of_each(house: House) -> None:
    for version in "123":
        house.write(f"m/{version}", "broken")
    house.config("m", "versions: {latest: 2}")
    repository = house.start()
    assert house.states() == dict.fromkeys((("m", version) for version in "123"), "UNAVAILABLE")
    with pytest.raises(NotReady, match=r"model 'm' version 3 is not ready: model\.echo is damaged"):
        repository.ready_model("m")


def test_what_was_unloaded_stays_so_and_falls_back_when_it_is_loaded_again(house: House) -> None:
    house.write("m/1")
    house.write("m/2", "broken")
    repository = house.start()
    asyncio.run(repository.unload_and_wait("m"))
    assert set(house.states().values()) == {"UNAVAILABLE"}
    assert not repository.load_model("m")
    assert house.answering("m") == "1"


def test_a_version_that_came_while_the_server_ran_and_failed_needs_no_older_one(house: House) -> None:
    house.write("m/1")
    house.write("m/2")
    repository = house.start()
    house.write("m/3", "broken")
    assert not repository.load_model("m")
    assert house.states() == {("m", "2"): "READY", ("m", "3"): "UNAVAILABLE"}


def test_versions_that_the_policy_no_longer_names_go(house: House) -> None:
    house.write("m/1")
    house.write("m/2")
    house.config("m", "versions: all")
    repository = house.start()
    house.config("m", "versions: [1]")
    assert repository.load_model("m")
    assert house.states() == {("m", "1"): "READY"}
    house.config("m", "versions: sometimes")
    assert not repository.load_model("m")
    assert house.answering("m") == "1"
    house.config("m", "versions: all")
    assert repository.load_model("m")
    assert house.states() == {("m", "1"): "READY", ("m", "2"): "READY"}


def test_a_folder_may_begin_and_cease_to_hold_versions(house: House) -> None:
    house.write("m")
    repository = house.start()
    assert house.states() == {("m", ""): "READY"}
    (house.root / "m" / "model.echo").unlink()
    house.write("m/4")
    assert repository.load_model("m")
    assert house.states() == {("m", "4"): "READY"}
    house.write("m")
    assert repository.load_model("m")
    assert house.states() == {("m", ""): "READY"}
    assert house.answering("m") == ""


def test_what_comes_after_the_start_is_loaded_and_what_goes_is_forgotten(house: House) -> None:
    repository = house.start()
    with pytest.raises(NotFound):
        repository.load_model("m")
    house.write("m")
    assert repository.load_model("m")
    assert house.states() == {("m", ""): "READY"}
    (house.root / "m" / "model.echo").unlink()
    (house.root / "m").rmdir()
    with pytest.raises(NotFound, match="model 'm' does not exist"):
        repository.load_model("m")
    assert not house.states()
    with pytest.raises(NotFound):
        repository.ready_model("m")


def test_unloading_takes_every_version_out(house: House) -> None:
    house.write("m/1")
    house.write("m/2")
    house.config("m", "versions: all")
    repository = house.start()
    asyncio.run(repository.unload_and_wait("m"))
    assert set(house.states().values()) == {"UNAVAILABLE"}
    assert repository.versions("m") == []
    assert repository.load_model("m")
    assert house.answering("m") == "2"


def test_readers_are_not_disturbed_while_versions_go(house: House) -> None:
    """The event loop reads them without the lock."""
    for version in range(1, 30):
        house.write(f"m/{version}")
    house.config("m", "versions: all")
    versions = house.start().store.models["m"]
    going = iter(versions.states.items())
    next(going)
    house.repository._retirement.forget("m", {"2", "3"})
    assert len(list(going)) == 28
    before = house.repository.store.models["m"]
    house.repository._retirement.forget("m")
    assert isinstance(before.newest, ModelState)
    assert isinstance(before, ModelVersions)
