"""The schemas are schemas, and say of bodies what is so."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest

from server.api.openapi.schemas import ERRORS, SCHEMAS, array, obj, ref


@pytest.mark.parametrize("name", SCHEMAS)
def test_each_is_a_schema(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMAS[name])


@pytest.mark.parametrize(
    ("name", "body", "fits"),
    [
        ("Error", {"error": "why"}, True),
        ("Error", {"detail": []}, False),
        ("Explanations", {"explanations": [{"contributions": {"a": 1, "b": [0.5, 2]}, "base_value": 0.1}]}, True),
        ("Explanations", {"explanations": [{"contributions": [0.4, [1, 2]], "base_value": [1, 2]}]}, True),
        ("Explanations", {"explanations": [{"contributions": {"a": "much"}}]}, False),
        ("V2Request", {"inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "data": [1]}]}, True),
        ("V2Request", {"instances": [[1]]}, False),
        ("Index", [{"name": "m", "version": "", "state": "READY", "reason": ""}], True),
        ("Index", [{"name": "m", "version": "", "state": "FINE", "reason": ""}], False),
    ],
)
def test_what_fits(name: str, body: Any, fits: bool) -> None:
    assert jsonschema.Draft202012Validator(SCHEMAS[name]).is_valid(body) is fits


def test_parts() -> None:
    assert array({}, "why") == {"type": "array", "items": {}, "description": "why"}
    assert obj(["a"], a={}) == {"type": "object", "properties": {"a": {}}, "required": ["a"]}
    assert ref("Error") == {"$ref": "#/components/schemas/Error"}
    assert 422 not in ERRORS
