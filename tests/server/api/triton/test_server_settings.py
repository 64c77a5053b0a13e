"""Settings of traces and of the log: told as they are, and not changed by anybody."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from server.api.triton.server_settings import log_settings, trace_settings
from server.errors import InvalidInput, NotSupported


def test_nothing_is_traced_and_to_trace_nothing_is_fine() -> None:
    known = trace_settings({})
    assert known["trace_level"] == ["OFF"]
    assert trace_settings({"trace_level": ["OFF"], "trace_rate": None}) == known


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
        trace_settings(wanted)


@pytest.fixture
def log() -> Iterator[logging.Logger]:
    """The server's, which is as it was afterwards."""
    known = logging.getLogger("kserve")
    before = known.level
    yield known
    known.setLevel(before)


def test_the_log_is_told_as_it_is(log: logging.Logger) -> None:
    for level, told in ((logging.DEBUG, (True, True, 1)), (logging.WARNING, (False, True, 0))):
        log.setLevel(level)
        known = log_settings({"log_verbose_level": told[2]})
        assert (known["log_info"], known["log_warning"], known["log_verbose_level"]) == told
    with pytest.raises(NotSupported, match="--log_config_file"):
        log_settings({"log_file": "elsewhere"})
    with pytest.raises(InvalidInput, match="no log setting 'loud'"):
        log_settings({"loud": True})
