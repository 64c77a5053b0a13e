"""Lines from before logging is set up appear once it is, as far as it lets them through."""

from __future__ import annotations

import logging
import logging.config
from collections.abc import Iterator

import pytest

from server.runtime import logs


class Lines(logging.Handler):
    """Where KServe would write to."""

    written: list[str]

    def emit(self, record: logging.LogRecord) -> None:
        self.written.append(record.getMessage())


@pytest.fixture
def written() -> Iterator[list[str]]:
    """What is written; the logger is as before KServe's import, and afterwards as it was."""
    log = logs.log
    handlers, level, propagate = log.handlers[:], log.level, log.propagate
    log.handlers.clear()
    log.setLevel(logging.NOTSET)
    Lines.written = []
    yield Lines.written
    log.handlers[:] = handlers
    log.setLevel(level)
    log.propagate = propagate


def configure(level: str) -> None:
    handler = {"()": Lines}
    logger = {"handlers": ["lines"], "level": level, "propagate": False}
    config = {"version": 1, "disable_existing_loggers": False, "handlers": {"lines": handler}}
    logging.config.dictConfig({**config, "loggers": {"kserve": logger}})


@pytest.mark.parametrize(("level", "expected"), [("INFO", ["one", "two", "three"]), ("WARNING", ["two"])])
def test_lines_wait_for_the_configuration(level: str, expected: list[str], written: list[str]) -> None:
    with logs.kept():
        logs.log.info("one")
        logs.log.warning("two")
        assert written == []
        configure(level)
    logs.log.info("three")
    assert written == expected


def failing_start() -> None:
    with logs.kept():
        logs.log.warning("why")
        configure("INFO")
        raise SystemExit(2)


def test_lines_are_not_lost_when_the_start_fails(written: list[str]) -> None:
    with pytest.raises(SystemExit):
        failing_start()
    assert written == ["why"]


def test_kserve_finds_no_handler(written: list[str]) -> None:
    """It would take the logger for one that somebody else has set up."""
    with logs.kept():
        assert logs.log.handlers == []


def test_without_a_configuration_everything_is_as_before(written: list[str]) -> None:
    with logs.kept():
        logs.log.info("one")
    assert logs.log.handlers == []
    assert logs.log.level == logging.NOTSET
