"""A key sees of every list the models that it is for."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest

from server.api.rest.keyed_lists import LISTS, of_the_key
from server.config.api_keys import ApiKey

SOME, ALL = ApiKey("some", ("m", "team-*")), ApiKey("all")
NAMES = ["m", "other", "team-a", "m2"]


def sent(key: ApiKey, path: str, document: Any, status: int = 200) -> tuple[bytes, list[Any]]:
    """What arrives of an answer that comes in two parts."""
    found: list[Any] = []

    async def send(message: Any) -> None:
        found.append(message)

    async def answer() -> None:
        body = orjson.dumps(document)
        sender = of_the_key(key, path, send)
        length = (b"Content-Length", str(len(body)).encode())
        await sender({"type": "http.response.start", "status": status, "headers": [length, (b"x", b"y")]})
        await sender({"type": "http.response.body", "body": body[:5], "more_body": True})
        await sender({"type": "http.response.body", "body": body[5:]})

    asyncio.run(answer())
    return b"".join(each.get("body", b"") for each in found), found[0]["headers"]


def listed(path: str, names: list[str]) -> Any:
    entries = names if path.endswith("/models") else [{"name": name, "state": "READY"} for name in names]
    return {LISTS[path]: entries} if LISTS[path] else entries


@pytest.mark.parametrize("path", LISTS)
def test_a_key_for_some_models_is_shown_these(path: str) -> None:
    body, headers = sent(SOME, path, listed(path, NAMES))
    assert orjson.loads(body) == listed(path, ["m", "team-a"])
    assert headers == [(b"x", b"y"), (b"content-length", str(len(body)).encode())]


@pytest.mark.parametrize("path", LISTS)
def test_a_key_for_all_models_is_shown_all(path: str) -> None:
    body, _ = sent(ALL, path, listed(path, NAMES))
    assert orjson.loads(body) == listed(path, NAMES)


def test_other_answers_are_left_as_they_are() -> None:
    assert orjson.loads(sent(SOME, "/v2/models/m", {"name": "m"})[0]) == {"name": "m"}
    assert orjson.loads(sent(SOME, "/v1/models", {"error": "no"}, 500)[0]) == {"error": "no"}


def test_a_model_that_is_called_as_a_list_is_told_of_to_those_it_is_for() -> None:
    path, metadata = "/v2/models/stats", {"name": "stats", "inputs": []}
    assert orjson.loads(sent(ApiKey("x", ("stats",)), path, metadata)[0]) == metadata
    assert orjson.loads(sent(SOME, path, metadata)[0]) == {"model_stats": []}
