"""A system that is halted does nothing, and goes on where it was."""

from __future__ import annotations

import sys
from pathlib import Path

import psutil
import pytest

from bench.process import started
from tests.patience import wait_for

#: prints that it is there, starts a child that does the same, and both stay
PROGRAM = """
import subprocess, sys, time
again = "import time; print('here', flush=True); time.sleep(600)"
child = subprocess.Popen([sys.executable, "-c", again])
print("here", flush=True)
time.sleep(600)
"""


@pytest.mark.slow
def test_a_halted_system_goes_on_for_its_turn_alone(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with started("two", [sys.executable, "-c", PROGRAM], (1, 2), log, tmp_path, {}) as system:
        wait_for(lambda: log.read_text().count("here") == 2)
        main = psutil.Process(system.process.pid)
        family = [main, *main.children()]
        assert len(family) == 2

        def states() -> set[bool]:
            return {each.status() == psutil.STATUS_STOPPED for each in family}

        system.halt()
        wait_for(lambda: states() == {True})
        with system.awake():
            wait_for(lambda: states() == {False})
        wait_for(lambda: states() == {True})
        system.go_on()
        wait_for(lambda: states() == {False})
    wait_for(lambda: not any(each.is_running() for each in family))
