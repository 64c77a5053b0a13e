"""What is taken from KServe's package beside its routes."""

from __future__ import annotations

import json
import logging
import logging.config
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kserve.logging
import pytest
from prometheus_client import generate_latest

from server.api.kserve.host import configure_logging, wanted_level
from server.config.settings import Settings, SettingsError
from server.runtime.log_lines import JsonLines, TextLines
from tests.server.telemetry.test_metrics import metrics

NAMES = ("kserve", "kserve.trace", "uvicorn", "uvicorn.error", "uvicorn.access", "adapters")


def test_it_stands_in_for_kserves_histograms() -> None:
    _, registry = metrics()
    text = generate_latest(registry).decode()
    for name in ("preprocess", "predict", "postprocess", "explain"):
        assert text.count(f"# TYPE request_{name}_seconds histogram") == 1


@pytest.fixture
def loggers() -> Iterator[None]:
    """They are afterwards as they were."""
    known = [logging.getLogger(name) for name in NAMES]
    before = [(each.handlers[:], each.filters[:], each.level, each.propagate) for each in known]
    yield
    for each, (handlers, filters, level, propagate) in zip(known, before, strict=True):
        each.handlers[:], each.filters[:], each.propagate = handlers, filters, propagate
        each.setLevel(level)


def set_up(**told: Any) -> None:
    """In a process whose log nobody has set up: KServe lets alone what has handlers, as pytest's are."""
    for name in NAMES:
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = False
    configure_logging(Settings(**told))


def forms(*names: str) -> list[Any]:
    """Of the handlers that were set up, which pytest's own are not."""
    handlers = [handler for name in names for handler in logging.getLogger(name).handlers]
    return [type(each.formatter) for each in handlers if type(each) in (logging.StreamHandler, logging.NullHandler)]


@pytest.mark.usefixtures("loggers")
def test_lines_have_the_form_and_the_level_that_are_told() -> None:
    set_up(log_format="json", log_level="warning")
    assert forms("kserve", "kserve.trace", "uvicorn", "uvicorn.access") == [JsonLines] * 4
    assert logging.getLogger("kserve").level == logging.WARNING
    assert not logging.getLogger("uvicorn.error").isEnabledFor(logging.INFO)


@pytest.mark.usefixtures("loggers")
def test_by_default_there_is_text_and_the_servers_own_chatter_is_left_out() -> None:
    set_up()
    assert forms("kserve", "uvicorn") == [TextLines] * 2
    log = logging.getLogger("kserve")
    theirs = log.makeRecord("kserve", logging.INFO, kserve.logging.__file__, 1, "not registered", (), None)
    ours = log.makeRecord("kserve", logging.INFO, __file__, 1, "ready", (), None)
    worse = log.makeRecord("kserve", logging.ERROR, kserve.logging.__file__, 1, "broken", (), None)
    assert [bool(log.filter(each)) for each in (theirs, ours, worse)] == [False, True, True]
    log.setLevel(logging.DEBUG)
    assert log.filter(theirs)


@pytest.mark.usefixtures("loggers")
def test_an_operators_own_configuration_stays_but_for_the_level(tmp_path: Path) -> None:
    file = tmp_path / "log.json"
    handler = {"class": "logging.NullHandler"}
    file.write_text(
        json.dumps(
            {
                "version": 1,
                "disable_existing_loggers": False,
                "handlers": {"mine": handler},
                "loggers": {"kserve": {"handlers": ["mine"], "level": "ERROR", "propagate": False}},
            }
        )
    )
    configure_logging(Settings(log_config_file=str(file)))
    assert forms("kserve") == [type(None)]
    assert logging.getLogger("kserve").level == logging.ERROR
    configure_logging(Settings(log_config_file=str(file), log_level="debug"))
    assert logging.getLogger("kserve").level == logging.DEBUG
    configure_logging(Settings(configure_logging=False, log_level="error"))
    assert logging.getLogger("kserve").level == logging.DEBUG


def test_a_form_is_for_the_servers_own_log(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="and --configure_logging=false sets up another"):
        Settings(log_format="json", configure_logging=False)
    with pytest.raises(SettingsError, match="and --log_config_file sets up another"):
        Settings(log_format="json", log_config_file=str(tmp_path))


def test_kserves_variable_counts_where_no_level_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kserve.logging, "KSERVE_LOGLEVEL", "ERROR")
    assert wanted_level(Settings()) == logging.ERROR
    assert wanted_level(Settings(log_level="debug")) == logging.DEBUG
