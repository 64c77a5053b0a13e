"""Adapters' lines appear in the server's log, each as one line that names its model."""

from __future__ import annotations

import logging

import pytest

from server.runtime import logs


def test_a_line_names_the_model_that_is_loaded(caplog: pytest.LogCaptureFixture) -> None:
    logs.forward("test_adapter_log")
    log = logging.getLogger("test_adapter_log.sklearn_")
    with caplog.at_level(logging.INFO, "kserve"):
        log.warning("before")
        with logs.about("iris"):
            log.info("saved by %s", "1.0\n2030-01-01 forged\x1b[31m")
            log.debug("nobody's business")
        log.warning("after")
    lines = [record.getMessage() for record in caplog.records if record.name == "kserve"]
    assert lines == ["before", "model iris: saved by 1.0 2030-01-01 forged [31m", "after"]


def test_the_servers_level_counts(caplog: pytest.LogCaptureFixture) -> None:
    logs.forward("test_adapter_log")
    with caplog.at_level(logging.ERROR, "kserve"):
        logging.getLogger("test_adapter_log").warning("hidden")
    assert not caplog.records


def test_an_operators_own_set_up_stays() -> None:
    mine = logging.getLogger("test_adapter_log_of_mine")
    mine.setLevel(logging.ERROR)
    logs.forward(mine.name)
    assert (mine.handlers, mine.level, mine.propagate) == ([], logging.ERROR, True)
