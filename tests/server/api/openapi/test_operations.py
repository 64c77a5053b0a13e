"""The table of routes has every route that requests are answered by, and no other."""

from __future__ import annotations

import pytest

from server.api.openapi.operations import OPERATIONS, TAGS, Operation
from server.api.openapi.schemas import ERRORS, SCHEMAS
from server.api.rest.paths import V1_VERBS, V2_VERBS, parse, parse_facts


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: each.identity)
def test_what_is_described_is_understood(operation: Operation) -> None:
    path = operation.path.format(model_name="m", version="1")
    if path.startswith(("/v1/models/", "/v2/models/m")):
        asked = parse(path) if operation.method == "post" else parse_facts(path)
        assert asked is not None
        assert (asked.model, asked.version) == ("m", "1" if "{version}" in operation.path else None)
    assert operation.tag in TAGS
    assert set(operation.errors) <= ERRORS.keys()
    assert {operation.gives, operation.takes} <= {*SCHEMAS, ""}


def test_every_verb_is_described() -> None:
    paths = {operation.path for operation in OPERATIONS if operation.method == "post"}
    for version in ("", "/versions/{version}"):
        for verb in V1_VERBS:
            assert f"/v1/models/{{model_name}}{version}:{verb}" in paths
        for verb in V2_VERBS:
            assert f"/v2/models/{{model_name}}{version}/{verb}" in paths
