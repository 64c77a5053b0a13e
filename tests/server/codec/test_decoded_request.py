"""Bodies, parameters and rows, which all protocols share."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from adapters.base import Parameter, Signature
from server.codec.decoded_request import parse_object, read_parameters, rows_of
from server.errors import InvalidInput
from tests.server.codec.signatures import SIGNATURES, decoded, json_values

SIGNATURE = SIGNATURES["matrix"]

BODIES = [
    (b"", "the body is empty"),
    (b" \n", "the body is empty"),
    (b"[1]", "must be a JSON object"),
    (b"null", "must be a JSON object"),
    (b"{", "not JSON"),
    (b'{"a": NaN}', "not JSON"),
    (b'{"a": Infinity}', "not JSON"),
    (b'{"a": 1e999}', "not JSON"),
    (b'{"a": "\\ud800"}', "not JSON"),
    (b"\xff\xfe{}", "not JSON"),
    (b"\xef\xbb\xbf{}", "not JSON"),
    (b"{" * 100_000, "not JSON"),
    (b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "not JSON"),
    (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "not JSON"),
]


@pytest.mark.parametrize(("raw", "says"), BODIES, ids=lambda item: repr(item)[:30])
def test_bodies_that_are_no_json_object(raw: bytes, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        parse_object(raw, '"instances"')


GOOD: list[tuple[Any, dict[str, Any]]] = [
    (None, {}),
    ({}, {}),
    ({"method": "predict_proba"}, {"method": "predict_proba"}),
    ({"threshold": 1}, {"threshold": 1.0}),
    ({"top_k": 3, "offsets": False, "method": None}, {"top_k": 3, "offsets": False}),
    ({"binary_data_output": True, "content_type": "pd", "priority": 3}, {}),
]


@pytest.mark.parametrize(("sent", "want"), GOOD)
def test_known_parameters_are_kept_and_others_left_to_the_protocol(sent: Any, want: dict[str, Any]) -> None:
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


def test_a_huge_name_is_neither_compared_nor_repeated() -> None:
    assert read_parameters({"method" * 1_000_000: 1}, SIGNATURE) == {}


def test_rows_are_counted() -> None:
    assert rows_of({"a": np.ones((3, 2)), "b": np.ones(3)}, SIGNATURE) == 3
    assert rows_of({"a": np.ones((3, 2)), "b": np.ones(5)}, SIGNATURES["unbatched"]) == 1


NO_ROWS = [
    ({}, "no input was sent: send one of 'a', 'b'"),
    ({"a": np.ones(0)}, "'a' holds no rows"),
    ({"a": np.ones((2, 0))}, "'a' holds no values"),
    ({"a": np.ones(2), "b": np.ones(3)}, "the inputs hold different numbers of rows: 'a' holds 2, 'b' holds 3"),
]


@pytest.mark.parametrize(("inputs", "says"), NO_ROWS)
def test_inputs_without_common_rows_are_refused(inputs: Any, says: str) -> None:
    with pytest.raises(InvalidInput) as error:
        rows_of(inputs, SIGNATURES["table of optional columns"])
    assert says in str(error.value)
