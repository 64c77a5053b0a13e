"""What the description says of the bodies of chats, completions and responses."""

from __future__ import annotations

import re
from typing import Any

import jsonschema
import orjson
import pytest

from server.api.openapi.schemas import SCHEMAS

_REFERENCES = re.compile(rb'"\\$ref":"#/components/schemas/([^"]+)"')
HELLO = [{"role": "user", "content": "hello"}]


def problems(name: str, body: Any) -> list[str]:
    document = {"$ref": f"#/components/schemas/{name}", "components": {"schemas": dict(SCHEMAS)}}
    return [error.message for error in jsonschema.Draft202012Validator(document).iter_errors(body)]


def test_every_schema_that_is_referred_to_is_there() -> None:
    assert {name.decode() for name in _REFERENCES.findall(orjson.dumps(dict(SCHEMAS)))} <= SCHEMAS.keys()


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("ChatCompletionRequest", {"model": "m", "messages": HELLO, "response_format": {"type": "json_object"}}),
        ("CompletionRequest", {"model": "m", "prompt": [1, 2], "echo": True}),
        ("ResponseRequest", {"model": "m", "input": HELLO, "text": {"format": {"type": "text"}}}),
    ],
)
def test_bodies(name: str, body: dict[str, Any]) -> None:
    assert problems(name, body) == []
    assert problems(name, {**body, "temprature": 1})
    assert problems(name, {**body, "temperature": "hot"})
