"""Lines of the log as JSON have what they are about in fields; as text they are short."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

import pytest

from server.runtime import logs
from server.runtime.log_lines import JsonLines, TextLines, model_of


def record(message: str, *args: Any, name: str = "kserve", **extra: Any) -> logging.LogRecord:
    made = logging.getLogger(name).makeRecord(name, logging.INFO, __file__, 7, message, args, None, extra=extra)
    made.process = 42
    return made


def fields(of: logging.LogRecord) -> dict[str, Any]:
    line = JsonLines().format(of)
    assert "\n" not in line
    found: dict[str, Any] = json.loads(line)
    return found


def test_a_line_has_what_it_is_about_in_fields() -> None:
    known = fields(record("model %s is ready (%s)", "iris version 3", "sklearn"))
    assert known.pop("time").endswith("Z")
    assert known == {
        "level": "info",
        "logger": "kserve",
        "process": 42,
        "message": "model iris version 3 is ready (sklearn)",
        "model": "iris",
    }


@pytest.mark.parametrize(
    ("line", "model"),
    [
        (record("model %s is ready", "iris"), "iris"),
        (record("saved by 1.0", model="spam"), "spam"),
        (record("stopped"), ""),
        (record("model %s is ready"), ""),
        (record("the models of %s", "iris"), ""),
    ],
    ids=["begins with it", "said", "about none", "no arguments", "another word"],
)
def test_which_model_a_line_is_about(line: logging.LogRecord, model: str) -> None:
    assert model_of(line) == model


def test_the_identifier_of_the_request_is_a_field_and_not_in_the_message() -> None:
    logs.identify()
    line = record("model %s failed", "iris", request_id="abc-1")
    assert logging.getLogger("kserve").filter(line)
    assert line.getMessage() == "model iris failed [x-request-id abc-1]"
    known = fields(line)
    assert (known["message"], known["request_id"], known["model"]) == ("model iris failed", "abc-1", "iris")


def test_a_traceback_is_a_field() -> None:
    try:
        raise ValueError("boom\nfaked")  # noqa: TRY301
    except ValueError:
        line = record("it failed")
        line.exc_info = sys.exc_info()
    assert "ValueError: boom\nfaked" in fields(line)["exception"]


def test_the_access_log_is_told_in_fields() -> None:
    args = ("1.2.3.4:5", "GET", "/v2", "1.1", 200)
    logs.identify()
    line = record('%s - "%s %s HTTP/%s" %d', *args, name="uvicorn.access", request_id="abc-1")
    assert logging.getLogger("uvicorn.access").filter(line)
    known = fields(line)
    assert [known[name] for name in ("client", "method", "path", "status", "request_id")] == [
        "1.2.3.4:5",
        "GET",
        "/v2",
        200,
        "abc-1",
    ]
    assert known["message"] == '1.2.3.4:5 - "GET /v2 HTTP/1.1" 200'


def test_names_that_are_no_text_do_not_lose_the_line() -> None:
    assert fields(record("model %s is ready", "a\udc80"))["message"] == "model a? is ready"


def test_text_is_short_unless_somebody_debugs() -> None:
    line = record("stopped")
    assert TextLines().format(line).endswith(" 42 INFO stopped")
    assert TextLines(detailed=True).format(line).endswith(" 42 kserve INFO [test_log_lines:7] stopped")
