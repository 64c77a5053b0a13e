"""A folder that hangs holds the look at itself alone, for as long as it hangs."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from server.loading import lookout
from server.loading.lookout import Lookout, NoAnswer, at, left_out, within
from tests.patience import wait_for

#: seconds; a busy machine may take folders for hanging that do not, and these answer at the next look
SOON = 0.2


class Disk:
    """Folders that answer unless they are closed."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.gates: dict[str, threading.Event] = {}
        self.asked: list[str] = []

    def hang(self, name: str) -> None:
        self.gates[name] = threading.Event()

    def answer(self) -> None:
        for gate in self.gates.values():
            gate.set()

    def look(self) -> list[str]:
        """Ask `a`, `b` and `c`: those that have answered."""
        found = []
        for name in ("a", "b", "c"):
            if at(f"{self.root}/{name}/1/file"):
                self.asked.append(name)
                if name in self.gates:
                    self.gates[name].wait()
                found.append(name)
        return found


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    made = Disk(tmp_path)
    yield made
    made.answer()


def test_the_others_are_looked_at_and_it_is_again_when_it_answers(disk: Disk) -> None:
    watch = Lookout(disk.root, SOON)
    disk.hang("b")
    wait_for(lambda: watch.look(disk.look) == ["a", "c"])
    assert watch.hanging == {"b"}
    asked = disk.asked.count("b")
    wait_for(lambda: watch.look(disk.look) == ["a", "c"])
    assert disk.asked.count("b") == asked  # one thread waits for it, and no other joins it
    disk.answer()
    wait_for(lambda: not watch.hanging)
    wait_for(lambda: watch.look(disk.look) == ["a", "b", "c"])


def test_what_is_left_behind_goes_no_further(disk: Disk) -> None:
    watch = Lookout(disk.root, SOON)
    disk.hang("b")
    wait_for(lambda: watch.look(disk.look) == ["a", "c"])
    asked = disk.asked.count("c")
    disk.answer()
    wait_for(lambda: not watch.hanging)
    assert disk.asked.count("c") == asked


def test_where_the_directory_itself_hangs_nobody_waits(disk: Disk) -> None:
    watch = Lookout(disk.root, SOON)
    gate = disk.gates["root"] = threading.Event()

    def look() -> bool:
        at(str(disk.root))
        return gate.wait()

    with pytest.raises(NoAnswer, match=r"does not answer: its disk, or what is mounted there, hangs"):
        watch.look(look)
    gate.set()
    wait_for(lambda: not watch.hanging)
    assert watch.look(look) is True


def test_outside_a_look_every_folder_is_asked(disk: Disk) -> None:
    assert disk.look() == ["a", "b", "c"]
    assert left_out() == frozenset()
    watch = Lookout(disk.root)
    assert watch.look(lambda: (at("/elsewhere"), left_out())) == (True, frozenset())
    with pytest.raises(ZeroDivisionError):
        watch.look(lambda: 1 / 0)


def test_the_thread_has_ended_when_the_outcome_is_there(disk: Disk) -> None:
    """Trials are forked off a process that has one thread."""
    seen: list[int] = []

    def look() -> None:
        seen.append(threading.get_native_id())

    Lookout(disk.root).look(look)
    assert not Path(f"/proc/self/task/{seen[0]}").exists()


def test_one_folder_within_a_time() -> None:
    gate = threading.Event()
    with pytest.raises(NoAnswer, match=r"within 0\.01 s"):
        within(0.01, gate.wait)
    gate.set()
    assert within(lookout.PATIENCE, gate.wait) is True

    def fail() -> Callable[[], None]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        within(lookout.PATIENCE, fail)


def test_threads_that_are_left_behind_are_nobody_elses() -> None:
    """What comes next has a thread of its own, and later ones share that of the one that ended."""
    gate, left = threading.Event(), []

    def hang() -> None:
        left.append(threading.get_ident())
        gate.wait()

    with pytest.raises(NoAnswer):
        within(0.01, hang)
    after = [within(lookout.PATIENCE, threading.get_ident) for _ in range(3)]
    wait_for(lambda: left)
    assert left[0] not in after
    gate.set()
    assert len(set(after)) == 1


def test_a_thread_ends_that_has_nothing_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookout, "_RESTS", 0.01)
    monkeypatch.setattr(lookout._Aside, "_resting", [])
    thread = within(lookout.PATIENCE, threading.current_thread)
    thread.join()
    assert within(lookout.PATIENCE, threading.current_thread) is not thread


def test_a_fork_has_no_threads_to_reuse() -> None:
    within(lookout.PATIENCE, threading.get_ident)
    assert lookout._Aside._resting
    pid = os.fork()
    if not pid:
        os._exit(len(lookout._Aside._resting))
    assert os.waitpid(pid, 0)[1] == 0


def test_who_computes_does_not_hang() -> None:
    """However long: a busy machine has threads wait for a processor, too."""
    gate, done = threading.Event(), threading.Event()

    def compute() -> None:
        gate.wait()
        while not done.is_set():
            sum(range(10_000))

    thread = threading.Thread(target=compute)
    thread.start()
    if not Path(f"/proc/self/task/{thread.native_id}/stat").exists():
        gate.set()
        done.set()
        pytest.skip("the kernel does not tell what threads do")
    try:
        wait_for(lambda: lookout._worked(thread) == lookout._worked(thread))
        waiting = lookout._worked(thread)
        gate.set()
        wait_for(lambda: lookout._worked(thread) != waiting)
    finally:
        gate.set()
        done.set()
        thread.join()
