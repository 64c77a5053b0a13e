"""Settings of traces are told as they are; those of the log as well, and its level is changed."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from server.api.triton.server_settings import log_settings, trace_settings
from server.errors import InvalidInput, NotSupported
from server.runtime import logs
from server.runtime.log_lines import JsonLines


def test_nothing_is_traced_and_to_trace_nothing_is_fine() -> None:
    known = trace_settings({}, {})
    assert known["trace_level"] == ["OFF"]
    assert trace_settings({"trace_level": ["OFF"], "trace_rate": None}, {}) == known


@pytest.mark.parametrize(
    ("wanted", "error", "says"),
    [
        ({"trace_level": ["TIMESTAMPS"]}, NotSupported, "'trace_level' stays as it is"),
        ({"trace_rate": "1"}, NotSupported, "the string '1'"),
        ({"trace_colour": "1"}, InvalidInput, "no trace setting 'trace_colour'; there are trace_level"),
    ],
)
def test_what_would_not_be_done_is_refused(wanted: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        trace_settings(wanted, {})


@pytest.mark.parametrize(
    ("environ", "level", "rate"),
    [
        ({}, ["TIMESTAMPS"], "1"),
        ({"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.01"}, ["TIMESTAMPS"], "100"),
        ({"OTEL_TRACES_SAMPLER": "parentbased_always_off"}, ["TIMESTAMPS"], "0"),
        ({"OTEL_TRACES_SAMPLER": "always_off"}, ["OFF"], "0"),
    ],
    ids=["all", "some", "those of callers", "none"],
)
def test_traces_are_told_as_they_are_and_stay_so(environ: dict[str, str], level: list[str], rate: str) -> None:
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318", **environ}
    known = trace_settings({"trace_level": level, "trace_rate": None}, environ)
    assert (known["trace_mode"], known["trace_level"], known["trace_rate"]) == ("opentelemetry", level, rate)
    with pytest.raises(NotSupported, match="OTEL_TRACES_SAMPLER_ARG said when the server started"):
        trace_settings({"trace_rate": "7"}, environ)


@pytest.fixture
def log() -> Iterator[logging.Logger]:
    """The server's, which is as it was afterwards."""
    known = logging.getLogger("kserve")
    loggers = [logging.getLogger(name) for name in ("kserve", "kserve.trace", "uvicorn.error", "adapters")]
    before = [each.level for each in loggers]
    yield known
    for each, level in zip(loggers, before, strict=True):
        each.setLevel(level)


def test_the_log_is_told_as_it_is(log: logging.Logger) -> None:
    for level, told in ((logging.DEBUG, (True, True, 1)), (logging.WARNING, (False, True, 0))):
        log.setLevel(level)
        known = log_settings({"log_info": None})
        assert (known["log_info"], known["log_warning"], known["log_verbose_level"]) == told
    assert known["log_level"] == "warning"


def test_lines_of_json_are_told(log: logging.Logger, monkeypatch: pytest.MonkeyPatch) -> None:
    handler = logging.StreamHandler()
    monkeypatch.setattr(log, "handlers", [handler])
    assert log_settings({})["log_format"] == "default"
    handler.setFormatter(JsonLines())
    assert log_settings({"log_format": "json"})["log_format"] == "json"


@pytest.mark.parametrize(
    ("wanted", "level"),
    [
        ({"log_level": "debug"}, "debug"),
        ({"log_level": "error"}, "error"),
        ({"log_verbose_level": 2}, "debug"),
        ({"log_verbose_level": 0}, "info"),
        ({"log_info": False}, "warning"),
        ({"log_info": False, "log_warning": False}, "error"),
        ({"log_info": False, "log_warning": False, "log_error": False}, "critical"),
        ({"log_info": True, "log_warning": True, "log_error": True, "log_verbose_level": 0}, "info"),
    ],
)
def test_the_level_is_changed_by_our_name_or_by_tritons_switches(wanted: Any, level: str, log: logging.Logger) -> None:
    log.setLevel(logging.INFO)
    changed: list[int] = []

    def change(to: int) -> None:
        changed.append(to)
        logs.set_level(to)

    assert log_settings(wanted, change)["log_level"] == level
    assert changed == [logging.getLevelNamesMapping()[level.upper()]]


@pytest.mark.parametrize(
    ("wanted", "error", "says"),
    [
        ({"log_file": "elsewhere"}, NotSupported, "--log_config_file"),
        ({"log_format": "ISO8601"}, NotSupported, "--log_format"),
        ({"loud": True}, InvalidInput, "no log setting 'loud'"),
        ({"log_level": "loud"}, InvalidInput, "one of debug, info, warning, error, not the string 'loud'"),
        ({"log_info": "yes"}, InvalidInput, "'log_info' is true or false, not the string 'yes'"),
        ({"log_verbose_level": -1}, InvalidInput, "a number from 0 on"),
        ({"log_info": True, "log_warning": False}, InvalidInput, "logs warnings, too"),
    ],
)
def test_what_the_log_cannot_be_is_refused_and_nothing_changes(
    wanted: Any, error: type[Exception], says: str, log: logging.Logger
) -> None:
    changed: list[int] = []
    with pytest.raises(error, match=says):
        log_settings(wanted, changed.append)
    assert not changed
