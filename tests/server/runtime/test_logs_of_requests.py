"""Lines about a request tell its identifier."""

from __future__ import annotations

import logging

import pytest

from server.runtime import logs


def test_lines_of_a_request_tell_its_identifier(caplog: pytest.LogCaptureFixture) -> None:
    logs.identify()
    logs.identify()  # once is enough
    server, access = logging.getLogger("kserve"), logging.getLogger("uvicorn.access")
    token = logs.request_id.set("abc-1")
    try:
        for logger in (server, access):
            logger.addHandler(caplog.handler)
        with caplog.at_level(logging.INFO, "kserve"), caplog.at_level(logging.INFO, "uvicorn.access"):
            server.info("100 %s", "percent")
            access.info('%s - "%s %s HTTP/%s" %d', "1.2.3.4:5", "GET", "/v1/models/a%3Apredict", "1.1", 200)
    finally:
        logs.request_id.reset(token)
        for logger in (server, access):
            logger.removeHandler(caplog.handler)
    assert {*caplog.messages} == {
        "100 percent [x-request-id abc-1]",
        '1.2.3.4:5 [abc-1] - "GET /v1/models/a:predict HTTP/1.1" 200',
    }


def test_a_line_of_a_traced_request_tells_its_trace_but_not_that_of_another(caplog: pytest.LogCaptureFixture) -> None:
    logs.identify()
    server = logging.getLogger("kserve")
    tokens = logs.request_id.set("abc-1"), logs.trace.set({"trace_id": "7", "span_id": "8"})
    try:
        with caplog.at_level(logging.INFO, "kserve"):
            server.info("mine")
            server.info("another's", extra={"request_id": "abc-2"})
    finally:
        logs.request_id.reset(tokens[0])
        logs.trace.reset(tokens[1])
    mine, other = (record.__dict__ for record in caplog.records)
    assert (mine["request_id"], mine["trace_id"], mine["span_id"]) == ("abc-1", "7", "8")
    assert "trace_id" not in other
