"""Connections leave descriptors for everything else."""

from __future__ import annotations

import subprocess
import sys

import pytest

from server.runtime.descriptors import ENOUGH, Shares

SHOW = (
    "from server.runtime.descriptors import raise_limit; import resource; print(raise_limit(), *resource.getrlimit(7))"
)


@pytest.mark.parametrize(("soft", "hard", "taken"), [(256, 1024, 1024), (1024, 1024, 1024), (512, 4096, 4096)])
def test_the_limit_is_raised_as_far_as_the_system_lets(soft: int, hard: int, taken: int) -> None:
    limited = f"ulimit -S -n {soft} && ulimit -H -n {hard} && exec {sys.executable} -c '{SHOW}'"
    told = subprocess.run(["bash", "-c", limited], capture_output=True, text=True, check=True, timeout=60).stdout
    assert told.split() == [str(taken), str(taken), str(hard)]
    assert taken <= ENOUGH


@pytest.mark.parametrize("descriptors", [256, 1024, 65536])
@pytest.mark.parametrize("processes", [1, 2, 8, 64])
def test_the_shares_of_all_processes_leave_a_quarter(descriptors: int, processes: int) -> None:
    share = Shares.within(10**6, processes, descriptors)
    assert min(share) >= 1
    in_the_main_process = share.http * processes + share.grpc
    assert in_the_main_process <= descriptors * 3 // 4 + processes


def test_no_more_than_was_asked_for() -> None:
    assert Shares.within(100, 1, 65536) == (100, 100)
    assert Shares.within(100, 4, 65536) == (25, 25)
    assert min(Shares.of(100, 1)) <= 100
