"""Parameters: the model's are checked, the protocol's are known, and nothing else is passed over in silence."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings

from adapters.base import Parameter, Signature
from server.codec.parameters import OF_V2_REQUESTS, check_few, read_parameters, with_outputs
from server.errors import InvalidInput
from tests.server.codec.signatures import SIGNATURES, decoded, json_values

SIGNATURE = SIGNATURES["matrix"]

GOOD: list[tuple[Any, dict[str, Any]]] = [
    (None, {}),
    ({}, {}),
    ({"method": "predict_proba"}, {"method": "predict_proba"}),
    ({"threshold": 1}, {"threshold": 1.0}),
    ({"top_k": 3, "offsets": False, "method": None}, {"top_k": 3, "offsets": False}),
    ({"trace_id": "7", "requestId": "8", "traceparent": "00-1", "X-Tenant": "a", "id": 3}, {}),
]


@pytest.mark.parametrize(("sent", "want"), GOOD)
def test_known_parameters_are_kept_and_identifiers_passed_over(sent: Any, want: dict[str, Any]) -> None:
    got = read_parameters(sent, SIGNATURE)
    assert got == want
    assert [type(value) for value in got.values()] == [type(value) for value in want.values()]


BAD: list[tuple[Any, str]] = [
    (3, '"parameters" must be an object'),
    ([], '"parameters" must be an object'),
    ({"methods": "predict"}, "parameters: 'methods' is unknown, did you mean 'method'?"),
    ({"Method": "predict"}, "did you mean 'method'?"),
    ({"topk": 3}, "did you mean 'top_k'?"),
    ({"offset": True}, "did you mean 'offsets'?"),
    ({"method": "predict_prob"}, "parameters.method: the string 'predict_prob' is unknown, did you mean"),
    ({"method": 1}, "parameters.method must be a string, not 1"),
    ({"method": ["predict"]}, "parameters.method must be a string, not a list"),
    ({"threshold": "0.5"}, "parameters.threshold must be a finite number, not the string '0.5'"),
    ({"threshold": True}, "parameters.threshold must be a finite number, not true"),
    ({"threshold": float("nan")}, "parameters.threshold must be a finite number, not nan"),
    ({"threshold": float("inf")}, "not inf"),
    ({"top_k": 2.0}, "parameters.top_k must be a whole number, not 2.0"),
    ({"top_k": False}, "parameters.top_k must be a whole number, not false"),
    ({"offsets": 1}, "parameters.offsets must be true or false, not 1"),
    ({"offsets": "true"}, "must be true or false, not the string 'true'"),
    (
        {"aggregation": "simple"},
        "parameters: 'aggregation' is unknown, known: 'method', 'threshold', 'top_k', 'offsets'",
    ),
    ({"aggregation": None}, "'aggregation' is unknown"),
    ({"content_type": "pd"}, "'content_type' is unknown"),
    ({"priority": 3}, "parameters: 'priority' is not served: requests wait in the order"),
    ({"timeout": 3}, "'timeout' is not served"),
    ({"sequence_id": 3}, "'sequence_id' is not served: models keep nothing"),
    ({"method" * 1_000_000: 1}, "is unknown"),
]


@pytest.mark.parametrize(("sent", "says"), BAD)
def test_parameters_that_cannot_be_meant_are_refused(sent: Any, says: str) -> None:
    with pytest.raises(InvalidInput) as error:
        read_parameters(sent, SIGNATURE)
    assert says in str(error.value)


@settings(max_examples=100, deadline=None)
@given(json_values)
def test_any_json_as_parameters(sent: Any) -> None:
    for parameter in SIGNATURE.parameters:
        got = decoded(partial(read_parameters, {parameter.name: sent}, SIGNATURE))
        assert got is None or got == ({} if sent is None else {parameter.name: sent})


def test_choices_may_be_numbers() -> None:
    signature = Signature((), (), parameters=(Parameter("k", int, (1, 2)),))
    assert read_parameters({"k": 2}, signature) == {"k": 2}
    with pytest.raises(InvalidInput, match=r"parameters\.k: 3 is unknown, known: '1', '2'"):
        read_parameters({"k": 3}, signature)


def test_what_the_protocol_reads_itself_is_known() -> None:
    sent = {"binary_data_output": True, "content_type": "pd", "headers": {}, "top_k": 3}
    assert read_parameters(sent, SIGNATURE, OF_V2_REQUESTS) == {"top_k": 3}
    with pytest.raises(InvalidInput, match="did you mean 'content_type'"):
        read_parameters({"content-type": "pd"}, SIGNATURE, OF_V2_REQUESTS)


def test_a_model_that_takes_no_parameters_says_so() -> None:
    with pytest.raises(InvalidInput, match="parameters: 'top_k' is unknown, the model takes none"):
        read_parameters({"top_k": 3}, SIGNATURES["images"])


def test_outputs_that_are_methods() -> None:
    ask = partial(with_outputs, signature=SIGNATURE)
    assert ask({"top_k": 3}, ["predict_proba", "y"]) == {"top_k": 3, "outputs": "predict_proba,y"}
    assert ask({}, ["y"]) == {}
    assert ask({"method": "predict"}, ["y"]) == {"method": "predict"}
    assert with_outputs({}, ["predict"], SIGNATURES["images"]) == {}
    with pytest.raises(InvalidInput, match="outputs: 'predict_prob' is unknown; did you mean 'predict_proba'"):
        ask({}, ["y", "predict_prob"])
    with pytest.raises(InvalidInput, match=r"parameters.method and outputs both name a method"):
        ask({"method": "predict"}, ["predict_proba"])


def test_outputs_of_a_model_that_computes_what_is_asked_for() -> None:
    signature = Signature((), (), parameters=(Parameter("outputs"),))
    assert with_outputs({}, ["a", "b"], signature) == {"outputs": "a,b"}
    assert with_outputs({"outputs": "c"}, ["a"], signature) == {"outputs": "c"}


def test_a_place_has_so_many_identifiers_and_not_more() -> None:
    """Each is compared with all that is known: a megabyte of them would take seconds."""
    assert read_parameters({f"x-{n}": n for n in range(100)}, SIGNATURE) == {}
    with pytest.raises(InvalidInput, match="parameters: more than 100 names are unknown, one of them 'x-100'"):
        read_parameters({f"x-{n}": n for n in range(101)}, SIGNATURE)


def test_identifiers_of_many_tensors_are_counted_together() -> None:
    """Each is compared with all that is known: a hundred at each of ten thousand places would take half a minute."""
    check_few("inputs", [{"id": 1}] * 1000)
    check_few("outputs", [dict.fromkeys(map(str, range(104)))])
    with pytest.raises(InvalidInput, match="inputs: they have 909 names and parameters in all, and 504 are read at"):
        check_few("inputs", [dict.fromkeys(map(str, range(9)))] * 100 + [dict.fromkeys(map(str, range(9)))])
