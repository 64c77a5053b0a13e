"""What holds for the whole suite: which tests share a worker of pytest-xdist, in which order, and which models."""

from __future__ import annotations

import gc
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from hypothesis import HealthCheck, settings

from tests.shared import Shared

if TYPE_CHECKING:
    from xdist.scheduler import Scheduling

# Hypothesis times nothing either: on a busy machine making two small arrays has taken eight seconds.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

# The five seconds that httpx gives an answer, unless it is told, would be a measure of this machine as well.
for _phase in ("connect", "read", "write", "pool"):
    setattr(httpx._config.DEFAULT_TIMEOUT_CONFIG, _phase, 240.0)

_E2E = Path(__file__).parent / "e2e"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> Scheduling | None:
    """`--dist=loadfile`, but that the tests of one framework, and those of one server, are run by one worker."""
    if config.getoption("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    #: one worker runs all modules that ask the one server with every case's model, which takes two minutes to start
    house = {f"tests/e2e/{path.name}" for path in _E2E.glob("test_*.py") if "house: House" in path.read_text()}

    class ByModule(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            module: str = super()._split_scope(nodeid)
            folder = module.rpartition("/")[0]
            return "house" if module in house else folder if folder.startswith("tests/adapters/") else module

    return ByModule(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long comes first, so that no worker is left alone with it in the end."""
    items.sort(key=_rank)


def _rank(item: pytest.Item) -> int:
    marks = {mark.name for mark in item.iter_markers()}
    return 0 if "e2e" in marks else 1 if "slow" in marks else 2


@pytest.fixture(scope="module", autouse=True)
def small_heap() -> None:
    """What came before is left out of collections from here on.

    A model that is let go takes a full collection with it. Over all that ten frameworks have brought it takes a second.
    """
    gc.collect()
    gc.freeze()


#: who says how much, and to whom, in one process for all tests
_LOGGERS = ("", "adapters", "kserve", "kserve.trace", "uvicorn", "uvicorn.access", "uvicorn.error")


@pytest.fixture(autouse=True)
def same_log() -> Iterator[None]:
    """What a test sets up of the log is undone after it: the next one may look for a line that would not be there.

    Each test finds the log as it is in a process that has set up nothing. KServe keeps its lines from the root's
    handlers, `caplog` among them, and leaves out those below INFO, wherever it was imported first.
    """
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    before = [(each.level, each.propagate, each.disabled, each.filters[:]) for each in loggers]
    for each in loggers[1:]:
        each.setLevel(logging.NOTSET)
        each.propagate, each.disabled, each.filters[:] = True, False, ()
    yield
    for each, (level, propagate, disabled, filters) in zip(loggers, before, strict=True):
        each.setLevel(level)
        each.propagate, each.disabled, each.filters[:] = propagate, disabled, filters


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Shared:
    """What all workers of this run make once, together."""
    base = tmp_path_factory.getbasetemp()
    return Shared((base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared")
