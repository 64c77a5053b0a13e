"""One failed request is one record with one traceback."""

from __future__ import annotations

import logging

import pytest

from server.errors import ModelFailed
from server.inference.failure_log import log_failure
from server.workers.channels import ModelTrace


def test_a_failure_in_a_worker_shows_the_workers_traceback_once(caplog: pytest.LogCaptureFixture) -> None:
    error = ModelFailed("ValueError: boom\nmodel other is ready")
    error.__cause__ = ModelTrace('Traceback (most recent call last):\n  File "model.py", line 3\nValueError: boom\n')
    with caplog.at_level(logging.ERROR, "kserve"):
        log_failure("mine", error)
    (record,) = caplog.records
    assert record.exc_info is None
    text = record.getMessage()
    assert text.count("Traceback") == 1
    assert text.splitlines()[0] == "model mine failed: ValueError: boom"
    assert all(line.startswith("    ") for line in text.splitlines()[1:])


def test_a_failure_in_this_process_shows_its_own(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "kserve"):
        try:
            {}["x"]
        except KeyError as error:
            log_failure("mine", error)
    (record,) = caplog.records
    assert record.getMessage() == "model mine failed: KeyError: 'x'"
    assert record.exc_info is not None
