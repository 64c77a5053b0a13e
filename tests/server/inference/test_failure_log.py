"""One failed request is one record with one traceback."""

from __future__ import annotations

import logging

import pytest

from server.errors import ModelFailed, as_serving_error
from server.inference.failure_log import log_failure
from server.runtime import logs
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


def test_it_names_the_request_of_a_shared_call_that_failed(caplog: pytest.LogCaptureFixture) -> None:
    """Not the one in whose context the call was made."""
    logs.identify()
    error = as_serving_error(ValueError("boom"))
    error.__cause__ = ValueError("boom")
    token = logs.request_id.set("another")
    try:
        with caplog.at_level(logging.ERROR, "kserve"):
            log_failure("mine", error, {"request_id": "mine-1"})
            log_failure("mine", error)
    finally:
        logs.request_id.reset(token)
    named, unnamed = caplog.records
    assert named.getMessage() == "model mine failed: ValueError: boom [x-request-id mine-1]"
    assert unnamed.getMessage() == "model mine failed: ValueError: boom"
    assert named.exc_info is not None
    assert named.exc_info[1] is error.__cause__
