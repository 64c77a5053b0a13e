"""What counts as a change, when it counts as settled, and what is loaded then."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from server.inference.batching.queue import Limits
from server.loading import catalog as catalogs
from server.loading import changes, files
from server.loading.catalog import Catalog, Found, scan
from server.loading.loader import Loader
from server.loading.lookout import HANGS, Lookout
from server.repository.repository import Repository, State
from server.repository.watcher import Watcher
from tests.patience import wait_for
from tests.server.stand_ins import EchoAdapter

PATIENCE = 60.0
SETTLE = 0.2


class Mount:
    """A watched folder of models, each an `.echo` file of one line."""

    def __init__(self, root: Path, executor: ThreadPoolExecutor) -> None:
        self.root = root
        may_import = threading.Event()
        may_import.set()
        self.loader = Loader(None, may_import)
        self.executor = executor

    def write(self, folder: str, line: str) -> None:
        """In one step: a disk that halts between two may make half a file look settled."""
        (self.root / folder).mkdir(parents=True, exist_ok=True)
        written = self.root.with_name("written")
        written.write_text(line)
        written.replace(self.root / folder / "model.echo")

    def start(
        self,
        settle: float = SETTLE,
        before_load: Callable[[Found], None] | None = None,
        watch: Lookout | None = None,
        before_watch: Callable[[], None] = lambda: None,
        interval: float = 0.02,
    ) -> None:
        lookout = watch or Lookout(self.root)

        def look() -> Catalog:
            return lookout.look(lambda: scan(self.root))

        catalog = look()
        self.watcher = Watcher(self.root, catalog.found, look, interval, settle, lookout=lookout)
        self.repository = Repository(
            catalog,
            self.loader,
            self.executor,
            Limits(),
            "scan",
            look,
            before_load=before_load or self.watcher.note,
        )
        done = threading.Event()
        self.repository.first_scan(self.loader.begin(catalog.found, 2), done.set)
        assert done.wait(PATIENCE)
        wait_for(lambda: self.repository.scanned)
        before_watch()
        self.watcher.start(self.repository, 2)

    def states(self) -> dict[tuple[str, str], tuple[str, str]]:
        return {(each["name"], each["version"]): (each["state"], each["reason"]) for each in self.repository.index()}

    def ready(self) -> list[str]:
        return [f"{name}{version}" for (name, version), (state, _) in self.states().items() if state == State.READY]

    def serves(self, name: str) -> str:
        model = self.repository.serving.get(name)
        return model.adapter.line if model is not None and isinstance(model.adapter, EchoAdapter) else ""


@pytest.fixture
def mount(tmp_path: Path, echo: type[EchoAdapter]) -> Iterator[Mount]:
    with ThreadPoolExecutor(4) as executor:
        mount = Mount(tmp_path / "models", executor)
        mount.root.mkdir()
        yield mount
        mount.watcher.stop()


def until(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def later() -> None:
    """Long enough for whatever should not happen."""
    time.sleep(4 * SETTLE)


def test_what_is_unchanged_is_not_loaded_again(mount: Mount) -> None:
    mount.write("a", "echo")
    mount.write("v/1", "echo 1")
    mount.start()
    later()
    assert sorted(EchoAdapter.begun) == ["echo", "echo 1"]  # two threads load them


@pytest.mark.slow
def test_a_change_is_loaded_and_a_failure_is_tried_once(mount: Mount) -> None:
    mount.write("a", "echo")
    mount.start()
    mount.write("a", "echo refuse")
    until(lambda: "refused" in mount.states()["a", ""][1])
    later()
    assert mount.states()["a", ""] == ("READY", "loading it again failed: model.echo is refused")
    assert mount.serves("a") == "echo"
    assert EchoAdapter.begun.count("echo refuse") == 1
    mount.write("a", "echo better")
    until(lambda: mount.serves("a") == "echo better")
    assert mount.states()["a", ""] == ("READY", "")
    counts = mount.repository.metrics.of("a")
    assert (counts.swaps, counts.failed_reloads) == (1, 1)


def test_a_folder_that_comes_back_while_its_model_is_unloaded_is_loaded(
    mount: Mount, monkeypatch: pytest.MonkeyPatch
) -> None:
    mount.write("a", "echo")
    mount.start(interval=1000.0)
    over, renew = threading.Event(), mount.repository.renew

    def slow(*args: Any) -> None:
        renew(*args)
        assert over.wait(PATIENCE)

    monkeypatch.setattr(mount.repository, "renew", slow)
    aside = (mount.root / "a").rename(mount.root.parent / "a")
    for _ in range(4):  # the last ones find nothing there, as those before did
        mount.watcher.look(1.0, 1.0)
    until(lambda: not mount.states())
    mount.watcher.look(1.0, 1.0)
    aside.rename(mount.root / "a")
    mount.watcher.look(1.0, 1.0)
    over.set()
    until(lambda: mount.watcher.look(1.0, 1.0) or mount.ready() == ["a"])


@pytest.mark.slow
def test_folders_come_and_go(mount: Mount) -> None:
    mount.start()
    (mount.root / "a").mkdir()
    later()
    assert not mount.states()  # an empty folder is no model yet
    mount.write("a", "echo")
    until(lambda: mount.ready() == ["a"])
    (mount.root / "a").rename(mount.root.parent / "a")
    until(lambda: not mount.states())
    (mount.root.parent / "a").rename(mount.root / "a")
    until(lambda: mount.ready() == ["a"])


def test_a_folder_that_has_gone_before_the_first_look_is_missed(mount: Mount) -> None:
    for name in ("a", "leaves"):
        mount.write(name, "echo")
    mount.start(before_watch=lambda: shutil.rmtree(mount.root / "leaves"))
    until(lambda: mount.ready() == ["a"])


def test_a_folder_that_was_ready_elsewhere_is_loaded_at_once(mount: Mount, monkeypatch: pytest.MonkeyPatch) -> None:
    if not changes.is_local(mount.root):
        pytest.skip("the clock of a network mount is not trusted")
    clock = time.time
    mount.write("../a", "echo")
    mount.start(settle=1000.0)  # longer than anybody waits here
    monkeypatch.setattr(time, "time", lambda: clock() + 2000.0)
    (mount.root.parent / "a").rename(mount.root / "a")
    until(lambda: mount.ready() == ["a"])


def test_nothing_is_loaded_while_files_still_come(mount: Mount, monkeypatch: pytest.MonkeyPatch) -> None:
    """The looks are ours, and so are the seconds between them, however long a write takes here."""
    monkeypatch.setattr(changes, "is_local", lambda _folder: False)  # or its files' times count, too
    mount.start(settle=2.0, interval=1000.0)
    for size in range(20):
        mount.write("a", "echo " + "x" * size)
        mount.watcher.look(1.0, 1.0)
        mount.watcher.look(0.5, 1000.0)  # a halt, and whoever writes goes on after it
    assert not EchoAdapter.begun
    mount.watcher.look(1.0, 1.0)
    mount.watcher.look(1.0, 1.0)
    until(lambda: mount.serves("a") == "echo " + "x" * 19)
    assert len(EchoAdapter.begun) == 1


@pytest.mark.slow
def test_the_old_version_serves_until_the_new_one_is_ready(mount: Mount) -> None:
    mount.write("v/1", "echo 1")
    mount.start()
    mount.write("v/2", "echo refuse")
    until(lambda: ("v", "2") in mount.states() and mount.states()["v", "2"][0] == "UNAVAILABLE")
    later()
    assert mount.serves("v") == "echo 1"
    assert mount.ready() == ["v1"]
    mount.write("v/2", "echo 2")
    until(lambda: mount.ready() == ["v2"])
    assert mount.serves("v") == "echo 2"
    assert list(mount.states()) == [("v", "2")]


def test_the_policy_may_change(mount: Mount) -> None:
    for version in "123":
        mount.write(f"v/{version}", f"echo {version}")
    mount.start()
    assert mount.ready() == ["v3"]
    (mount.root / "v" / "polyserve.yaml").write_text("versions: all")
    until(lambda: mount.ready() == ["v1", "v2", "v3"])
    (mount.root / "v" / "polyserve.yaml").write_text("versions: sometimes")
    until(lambda: ("v", "") in mount.states() and "sometimes" in mount.states()["v", ""][1])
    assert mount.ready() == ["v1", "v2", "v3"]
    (mount.root / "v" / "polyserve.yaml").write_text("versions: [2]")
    until(lambda: list(mount.states()) == [("v", "2")] and mount.ready() == ["v2"])


@pytest.mark.slow
def test_what_was_unloaded_stays_so_until_its_files_change(mount: Mount) -> None:
    mount.write("a", "echo")
    mount.start()
    mount.repository.unload("a")
    until(lambda: mount.states()["a", ""][0] == "UNAVAILABLE")
    later()
    assert mount.states()["a", ""] == ("UNAVAILABLE", "unloaded")
    mount.write("a", "echo again")
    until(lambda: mount.serves("a") == "echo again")


def test_a_load_that_somebody_asked_for_is_not_repeated(mount: Mount) -> None:
    mount.start(settle=3.0, interval=1000.0)
    mount.write("a", "echo")
    assert mount.repository.load_model("a")
    for line in ("echo b", "echo better"):
        mount.write("b", line)
        until(lambda line=line: mount.watcher.look(1.0, 1.0) or mount.serves("b") == line)  # type: ignore[misc]
    assert EchoAdapter.begun.count("echo") == 1


def test_a_model_that_fills_the_mount_changes_with_any_file(mount: Mount) -> None:
    (mount.root / "model.echo").write_text("echo")
    mount.start()
    assert mount.ready() == ["model"]
    (mount.root / "model.echo").write_text("echo anew")
    until(lambda: mount.serves("model") == "echo anew")


@pytest.mark.slow
def test_a_mount_that_cannot_be_read_takes_nothing_away(mount: Mount, caplog: pytest.LogCaptureFixture) -> None:
    mount.write("a", "echo")
    mount.start()
    aside = mount.root.with_name("aside")
    mount.root.rename(aside)
    later()
    assert mount.ready() == ["a"]
    assert sum("cannot be looked at" in record.message for record in caplog.records) <= 1
    aside.rename(mount.root)
    mount.write("a", "echo back")
    until(lambda: mount.serves("a") == "echo back")


def test_one_that_writes_into_its_folder_is_loaded_again(mount: Mount) -> None:
    """Each time it has to settle longer (`test_settling`)."""
    mount.write("a", "echo")

    def note_and_write(found: Found) -> None:
        mount.watcher.note(found)
        (mount.root / "a" / "count.txt").write_text(str(len(EchoAdapter.begun)))

    mount.start(settle=0.02, before_load=note_and_write)
    mount.write("a", "echo changed")
    until(lambda: len(EchoAdapter.begun) > 4)


@pytest.mark.slow
def test_a_folder_with_too_much_in_it_is_looked_through_seldom(mount: Mount, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its walk costs as much as hundreds of others' do, at every look; who mends it waits for some looks."""
    mount.write("a", "echo")
    mount.write("b", "echo")
    for number in range(9):
        (mount.root / "b" / f"{number}.txt").touch()
    monkeypatch.setattr(files, "MOST_ENTRIES", 8)
    walked: list[Path] = []
    of_folder = changes.of_folder
    monkeypatch.setattr(changes, "of_folder", lambda path, root: (walked.append(Path(path)), of_folder(path, root))[1])
    mount.start()
    assert mount.ready() == ["a"]
    until(lambda: walked.count(mount.root / "a") > 40)
    assert 0 < walked.count(mount.root / "b") < 20
    for number in range(9):
        (mount.root / "b" / f"{number}.txt").unlink()
    until(lambda: sorted(mount.ready()) == ["a", "b"])


class Hanging:
    """A disk on which one folder does not answer."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.name = ""
        for module, function in ((changes, "stamp_folder"), (catalogs, "is_crowded_inside")):
            monkeypatch.setattr(module, function, partial(self._asked, getattr(module, function)))

    def _asked(self, ask: Callable[..., Any], folder: Path | str, *more: Any, **named: Any) -> Any:
        if self.name and self.name in Path(folder).parts:
            self.gate.wait()
        return ask(folder, *more, **named)

    def hang(self, name: str) -> None:
        self.gate.clear()
        self.name = name


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hanging]:
    made = Hanging(monkeypatch)
    yield made
    made.gate.set()


def test_a_folder_that_hangs_is_named_and_keeps_nobody(mount: Mount, disk: Hanging) -> None:
    """It serves as it did; others come, change and go; and when it answers it is loaded anew."""
    for name in ("a", "hung/1", "leaves"):
        mount.write(name, "echo")
    watch = Lookout(mount.root, 0.2)
    mount.start(watch=watch)
    disk.hang("hung")
    mount.write("comes", "echo")
    mount.write("a", "echo better")
    shutil.rmtree(mount.root / "leaves")
    until(lambda: mount.serves("comes") == "echo" and mount.serves("a") == "echo better" and not mount.serves("leaves"))
    until(lambda: HANGS in mount.states()["hung", "1"][1])
    assert mount.states()["hung", "1"][0] == State.READY
    assert mount.serves("hung") == "echo"
    mount.write("hung/1", "echo anew")
    disk.gate.set()
    until(lambda: mount.serves("hung") == "echo anew")
    until(lambda: mount.states()["hung", "1"] == ("READY", ""))


def test_a_folder_that_hangs_from_the_beginning_comes_when_it_answers(mount: Mount, disk: Hanging) -> None:
    for name in ("a", "hung"):
        mount.write(name, "echo")
    disk.hang("hung")
    mount.start(watch=Lookout(mount.root, 0.2))
    until(lambda: mount.states()["hung", ""] == ("UNAVAILABLE", HANGS))
    until(lambda: mount.serves("a") == "echo")
    disk.gate.set()
    until(lambda: mount.serves("hung") == "echo")
