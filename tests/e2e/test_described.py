"""What the server says of itself in `/openapi.json` is so, whatever models it has."""

from __future__ import annotations

import pytest
from openapi_spec_validator import validate

from tests.e2e.conftest import House
from tests.e2e.openapi_walker import check, operations, send_examples

#: bodies that most routes refuse
ODD = [b"", b"{", b"{}", b"[1]", b'{"inputs": 1}', b'{"instances": {}}', b'{"ready": 3}', b'{"parameters": 4}']
#: what would take a model away from the other tests
KEPT = ("/load", "/unload")


def test_every_example_is_answered(house: House) -> None:
    """Also of models that refuse what was made up for them: those have none."""
    assert send_examples(house.server.client) > 5 * len(house.expected)


@pytest.mark.parametrize("model", ["sklearn-logistic", "nobody", "é", "%25"])
@pytest.mark.parametrize("version", ["1", "77"])
def test_every_answer_is_one_that_is_described(house: House, model: str, version: str) -> None:
    client = house.server.client
    document = client.get("/openapi.json").json()
    validate(document)
    for said in operations(document):
        if said.path.endswith(KEPT):
            continue
        for body in [None] if said.method == "get" else ODD:
            answer = client.request(said.method, said.url(model_name=model, version=version), content=body)
            check(document, said, answer)
            assert answer.status_code in (501, 503) or answer.status_code < 500, answer.text


def test_nothing_is_described_that_is_not_so(house: House) -> None:
    answer = house.server.client.get("/openapi.json")
    document = answer.json()
    assert '"422"' not in answer.text
    assert "raw_request" not in answer.text
    assert '"examples":{}' not in answer.text
    assert document["components"]["securitySchemes"]["adminToken"]["scheme"] == "bearer"
    load = document["paths"]["/v2/repository/models/{model_name}/load"]["post"]
    assert {"401", "403"} <= load["responses"].keys()
    assert load["security"] == [{"adminToken": []}, {}]
    assert list(document["paths"]["/metrics"]["get"]["responses"]["200"]["content"]) == ["text/plain"]
