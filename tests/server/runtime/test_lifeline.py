"""A child process ends with its parent, whatever it is at, and before it when memory runs out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from server.runtime.lifeline import resident_bytes, resident_bytes_of_all
from server.runtime.own_code import SOURCE_ROOT

_TIED = """
import os, resource, sys
sys.path.insert(0, sys.argv[1])
from server.runtime.lifeline import tie_to_parent
tie_to_parent()
score = open("/proc/self/oom_score_adj").read().strip()
print(resource.getrlimit(resource.RLIMIT_CORE), score, len(sys.stdin.read()), flush=True)
while True:  # within the interpreter, as a loader may be
    pass
"""


def test_it_ends_when_its_parents_end_of_standard_input_does() -> None:
    command = [sys.executable, "-c", _TIED, str(SOURCE_ROOT)]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True, text=True)
    assert child.stdin is not None
    assert child.stdout is not None
    assert child.stdout.readline() == "(0, 0) 1000 0\n"  # no core files; first to go; nothing to be read
    assert child.poll() is None
    child.stdin.close()
    assert child.wait(60) < 0  # by the signal: it never looks
    child.stdout.close()


def test_it_ends_at_once_where_its_parent_has_ended_before() -> None:
    command = [sys.executable, "-c", _TIED, str(SOURCE_ROOT)]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.close()  # long before an interpreter has started
    assert child.wait(60) == 1
    assert child.stdout.read() == b""
    child.stdout.close()


def test_resident_memory_is_that_of_the_process() -> None:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        other.stdin.write(b"started\n")
        other.stdin.flush()
        assert other.stdout.readline() == b"started\n"  # it takes no more memory from now on
        assert resident_bytes(other.pid) == psutil.Process(other.pid).memory_info().rss > 0
        assert resident_bytes() > resident_bytes(other.pid)


def test_what_a_process_started_counts_with_it() -> None:
    """A shell whose child holds 100 MB of its own."""
    code = "x = b'x' * 100_000_000; print('there', flush=True); input()"
    with subprocess.Popen(
        ["sh", "-c", '"$0" -c "$1"; true', sys.executable, code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as shell:
        assert shell.stdin is not None
        assert shell.stdout is not None
        assert shell.stdout.readline() == b"there\n"
        assert resident_bytes(shell.pid) < 100_000_000 < resident_bytes_of_all(shell.pid)
        shell.stdin.write(b"end\n")
        shell.stdin.close()


def test_there_is_no_memory_of_a_process_that_is_not_there() -> None:
    highest = int(Path("/proc/sys/kernel/pid_max").read_text())
    with pytest.raises(OSError):
        resident_bytes(highest + 1)
