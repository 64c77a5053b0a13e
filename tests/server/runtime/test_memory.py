"""What was there before `settle` is no garbage collector's business; what is in memory is no other process's."""

from __future__ import annotations

import gc
import subprocess
import sys
from pathlib import Path

import pytest

from server.runtime import memory

ROOT = Path(__file__).resolve().parents[3]

CODE = """
import gc, resource, server.runtime.memory
server.runtime.memory.limit_arenas()
before = [object() for _ in range(100)], {str(n): [n] for n in range(50_000)}
server.runtime.memory.settle()
assert gc.get_freeze_count() > 50_000, gc.get_freeze_count()
assert gc.get_threshold()[0] >= 10_000
print(len(gc.get_objects()))
"""


def test_what_was_loaded_is_frozen() -> None:
    answer = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert int(answer.stdout) < 5_000


KEPT = """
import gc, weakref, server.runtime.memory as memory
class Cycle:
    def __init__(self):
        self.me = self
gc.disable()
imported = weakref.ref(Cycle())
memory.keep()
loaded = weakref.ref(Cycle())
memory.settle()
assert imported() is not None, "it was looked through"
assert loaded() is None, "what loading left is still there"
memory.give_back(born=0.0)
assert imported() is None, "it is never looked through"
"""


def test_what_is_kept_is_not_looked_through_when_the_server_settles() -> None:
    subprocess.run([sys.executable, "-c", KEPT], check=True)


def test_what_is_imported_is_looked_through_rarely() -> None:
    before = gc.get_threshold()
    with memory.collected_rarely():
        assert gc.get_threshold()[0] > 10 * before[0]
        assert gc.isenabled()  # a load that leaves cycles without end is collected all the same
    assert gc.get_threshold() == before


def test_thresholds_that_a_model_has_set_stay() -> None:
    before = gc.get_threshold()
    try:
        with memory.collected_rarely():
            gc.set_threshold(5, 6, 7)
        assert gc.get_threshold() == (5, 6, 7)
    finally:
        gc.set_threshold(*before)


SHUT = """
import ctypes, os, subprocess, server.runtime.memory
if os.getuid() == 0:  # who may look into everything
    os.setgroups([]), os.setgid(65534), os.setuid(65534)
    ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # as a process is that began so
if {shut}:
    server.runtime.memory.shut()
print(subprocess.run(["cat", f"/proc/{{os.getpid()}}/environ"], capture_output=True).stdout)
"""


@pytest.mark.parametrize("shut", [False, True])
def test_no_child_reads_the_servers_environment(shut: bool) -> None:
    command = [sys.executable, "-c", SHUT.format(shut=shut)]
    environ = {"SECRET": "hush", "PATH": "/bin:/usr/bin"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environ, cwd=ROOT)
    assert ("hush" in done.stdout) is not shut


@pytest.mark.parametrize(
    ("available", "most", "used", "free"),
    [
        ("600 kB", "", "", True),
        ("400 kB", "", "", False),
        ("600 kB", "max", "999", True),
        ("600 kB", "1000", "500", True),
        ("600 kB", "1000", "501", False),
        ("", "", "", False),
    ],
)
def test_whether_half_of_the_memory_is_free(tmp_path: Path, available: str, most: str, used: str, free: bool) -> None:
    for path, text in (
        ("proc/meminfo", f"MemTotal:  1000 kB\nMemAvailable: {available}\n"),
        ("sys/fs/cgroup/memory.max", f"{most}\n"),
        ("sys/fs/cgroup/memory.current", f"{used}\n"),
    ):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    assert memory.is_half_free(tmp_path) == free
    assert not memory.is_half_free(tmp_path / "none")
