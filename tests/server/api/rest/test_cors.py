"""Pages of other sites ask only where their origin is named."""

from __future__ import annotations

import orjson
import pytest

from tests.server.api.rest.test_methods import ask, site

SITE, OTHER = "https://example.com", "https://evil.example"
ASKED = {"access_control_request_method": "POST", "access_control_request_headers": "content-type"}
PATH = "/v1/models/m:predict"


@pytest.mark.parametrize("allowed", [(SITE,), ("*",), ("http://a", SITE)])
def test_an_allowed_page_may_ask_and_read(allowed: tuple[str, ...]) -> None:
    methods, behind = site(*allowed)
    status, headers, _ = ask(methods, "OPTIONS", PATH, origin=SITE, **ASKED)
    assert status == 200
    assert headers["access-control-allow-origin"] == SITE
    assert headers["access-control-allow-methods"] == "POST, OPTIONS"
    assert headers["access-control-allow-headers"] == "content-type"
    assert headers["vary"] == "Origin"
    assert not behind.seen
    status, headers, _ = ask(methods, "POST", PATH, origin=SITE)
    assert (status, headers["access-control-allow-origin"]) == (200, SITE)
    assert ask(methods, "GET", PATH, origin=SITE)[1]["access-control-allow-origin"] == SITE  # 405 can be read, too


@pytest.mark.parametrize("allowed", [(), (SITE,), ("https://evil.example:8443",)])
def test_other_pages_are_told_that_they_may_not(allowed: tuple[str, ...]) -> None:
    methods, _ = site(*allowed)
    status, headers, body = ask(methods, "OPTIONS", PATH, origin=OTHER, **ASKED)
    assert status == 403
    assert "access-control-allow-origin" not in headers
    assert (
        f"pages of {OTHER} may not ask this server: name their origin in --allowed_origins"
        in orjson.loads(body)["error"]
    )
    assert "access-control-allow-origin" not in ask(methods, "POST", PATH, origin=OTHER)[1]


def test_who_is_no_page_notices_nothing() -> None:
    methods, _ = site(SITE)
    assert "access-control-allow-origin" not in ask(methods, "POST", PATH)[1]
    assert ask(methods, "OPTIONS", PATH)[1] == {"allow": "POST, OPTIONS", "content-length": "0"}


def test_pages_send_what_browsers_keep_only_where_that_is_allowed() -> None:
    for credentials in (False, True):
        methods, _ = site(SITE, credentials=credentials)
        for method, more in (("OPTIONS", ASKED), ("POST", {})):
            headers = ask(methods, method, PATH, origin=SITE, **more)[1]
            assert headers.get("access-control-allow-credentials") == ("true" if credentials else None)
    assert "x-request-id" in ask(methods, "POST", PATH, origin=SITE)[1]["access-control-expose-headers"]
