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
            access.info('%s - "%s %s HTTP/%s" %d', "1.2.3.4:5", "GET", "/v2", "1.1", 200)
    finally:
        logs.request_id.reset(token)
        for logger in (server, access):
            logger.removeHandler(caplog.handler)
    assert {*caplog.messages} == {"100 percent [x-request-id abc-1]", '1.2.3.4:5 [abc-1] - "GET /v2 HTTP/1.1" 200'}
