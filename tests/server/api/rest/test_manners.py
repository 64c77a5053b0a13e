"""What holds for every request: its identifier, the root path, compressed answers."""

from __future__ import annotations

import asyncio
import gzip
import logging
from typing import Any

import orjson
import pytest

from server.api.rest.manners import Manners, rooted
from server.runtime import logs

log = logging.getLogger("kserve")


async def behind(scope: Any, receive: Any, send: Any) -> None:
    """Says how it was asked, and logs a line."""
    log.warning("asked")
    headers = {name.decode(): value.decode() for name, value in scope["headers"]}
    told = orjson.dumps({"path": scope["path"], "root": scope.get("root_path", ""), "headers": headers})
    begun = [(b"content-length", b"%d" % len(told)), (b"x-request-id", b"of the model")]
    await send({"type": "http.response.start", "status": 200, "headers": begun})
    await send({"type": "http.response.body", "body": told})


def ask(app: Manners, path: str = "/v2", *headers: tuple[bytes, bytes]) -> tuple[int, dict[str, str], bytes]:
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "headers": list(headers)}
    asyncio.run(app(scope, receive, send))
    found = {key.decode(): value.decode() for key, value in sent[0]["headers"]}
    return sent[0]["status"], found, sent[1]["body"]


def test_an_identifier_is_handed_on_answered_with_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    logs.identify()
    with caplog.at_level(logging.WARNING, "kserve"):
        status, headers, body = ask(Manners(behind), "/v2", (b"x-request-id", b"abc-1"))
        assert ask(Manners(behind))[1]["x-request-id"] == "of the model"
    assert (status, headers["x-request-id"]) == (200, "abc-1")
    assert orjson.loads(body)["headers"] == {"x-request-id": "abc-1"}
    assert caplog.messages == ["asked [x-request-id abc-1]", "asked"]


@pytest.mark.parametrize("sent", [[b""], [b"a b"], [b"\xe9"], [b"x" * 129], [b"a", b"b"]])
def test_what_is_no_identifier_is_refused(sent: list[bytes]) -> None:
    status, headers, body = ask(Manners(behind), "/v2", *((b"x-request-id", value) for value in sent))
    assert status == 400
    assert "x-request-id" in orjson.loads(body)["error"]
    assert "x-request-id" not in headers


def test_one_is_made_only_where_that_was_asked_for() -> None:
    app = Manners(behind, make_ids=True)
    made = [ask(app)[1]["x-request-id"] for _ in range(2)]
    assert len({*made}) == 2
    _, headers, body = ask(app, "/v2", (b"x-request-id", b"mine"))
    assert headers["x-request-id"] == orjson.loads(body)["headers"]["x-request-id"] == "mine"


@pytest.mark.parametrize("path", ["/v2/repository/models/m/load", "/v2/repository/models/m/promote"])
def test_one_that_was_made_does_not_make_an_admin_call_look_like_a_proxys(path: str) -> None:
    """Who calls from this machine without a token has no header but a client's own."""
    _, headers, body = ask(Manners(behind, make_ids=True), path)
    assert len(headers["x-request-id"]) == 32
    assert orjson.loads(body)["headers"] == {}
    handed_on = Manners(behind, make_ids=True, hands_on_admin=True)
    assert ask(handed_on, path)[1]["x-request-id"] == "of the model"
    assert len(ask(handed_on)[1]["x-request-id"]) == 32


@pytest.mark.parametrize(
    ("path", "found"),
    [("/ml/v2", "/v2"), ("/v2", "/v2"), ("/ml", "/"), ("/ml/", "/"), ("/mlx/v2", "/mlx/v2"), ("/ml/ml/v2", "/ml/v2")],
)
def test_the_root_path_is_left_out(path: str, found: str) -> None:
    told = orjson.loads(ask(Manners(behind, "/ml"), path)[2])
    assert (told["path"], told["root"]) == (found, "/ml")
    scope = rooted({"path": path, "raw_path": path.encode()}, "/ml")
    assert scope["raw_path"] == found.encode()


@pytest.mark.parametrize("raw", [b"/ml/a%2Fb", b"/%6dl/a%2Fb", b"/m%6C/a%2Fb"])
def test_the_root_path_is_left_out_of_both_however_it_is_written(raw: bytes) -> None:
    scope = rooted({"path": "/ml/a/b", "raw_path": raw}, "/ml")
    assert (scope["path"], scope["raw_path"]) == ("/a/b", b"/a%2Fb")


def test_an_answer_is_compressed_for_who_asks() -> None:
    _, headers, body = ask(Manners(behind), "/v2", (b"accept-encoding", b"gzip"))
    assert headers["content-encoding"] == "gzip"
    assert orjson.loads(gzip.decompress(body))["path"] == "/v2"


def test_what_is_no_request_passes() -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope)

    asyncio.run(Manners(app, "/ml")({"type": "lifespan"}, None, None))  # type: ignore[arg-type]
    assert seen == [{"type": "lifespan"}]
