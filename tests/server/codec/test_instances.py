"""V1's instances, columns and whole tensors to the arrays that a signature asks for; every refusal names the field."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from adapters.base import Signature, Tensors, TensorSpec
from server.codec import instances
from server.errors import InvalidInput


def number(name: str, *shape: int, **more: Any) -> TensorSpec:
    return TensorSpec(name, "FP64", shape or (-1,), **more)


OUTPUT = (number("y"),)
MATRIX = Signature((number("x", -1, 2),), OUTPUT)
NAMED_MATRIX = Signature((number("x", -1, 2),), OUTPUT, columns=("age", "size"))
TWO = Signature((number("a"), number("b", -1, 2)), OUTPUT)
OPTIONAL = Signature((number("a"), number("b", optional=True)), OUTPUT)
TABLE = Signature((number("age"), TensorSpec("city", "BYTES", (-1,))), OUTPUT, table=True)
UNUSED = Signature((number("a"), number("b", unused=True)), OUTPUT)
UNBATCHED = Signature((number("a", 2), number("b", optional=True)), OUTPUT, batched=False)


def plain(tensors: Tensors) -> dict[str, Any]:
    return {name: array.tolist() for name, array in tensors.items()}


@pytest.mark.parametrize(
    ("signature", "sent", "decoded"),
    [
        (MATRIX, [[1, 2], [3, 4]], {"x": [[1, 2], [3, 4]]}),
        (NAMED_MATRIX, [{"size": 2, "age": 1}, {"age": 3, "size": 4}], {"x": [[1, 2], [3, 4]]}),
        (MATRIX, [{"x": [1, 2]}], {"x": [[1, 2]]}),
        (TWO, [{"b": [1, 2], "a": 3}], {"a": [3], "b": [[1, 2]]}),
        (OPTIONAL, [{"a": 1}], {"a": [1]}),
        (OPTIONAL, [{"a": 1, "b": 2}], {"a": [1], "b": [2]}),
        (OPTIONAL, [1, 2], {"a": [1, 2]}),
        (TABLE, [{"city": "Rome", "age": 1}], {"age": [1], "city": ["Rome"]}),
        (TABLE, [[1, "Rome"], [2, "Oslo"]], {"age": [1, 2], "city": ["Rome", "Oslo"]}),
        (UNUSED, [{"a": 1, "b": 2}], {"a": [1]}),
    ],
)
def test_rows(signature: Signature, sent: list[Any], decoded: dict[str, Any]) -> None:
    assert plain(instances.decode_rows(sent, signature, "instances")) == decoded


@pytest.mark.parametrize(
    ("signature", "sent", "message"),
    [
        (NAMED_MATRIX, [{"age": 1, "size": 2}, [3, 4]], "instances[1] must be an object like the first instance"),
        (NAMED_MATRIX, [{"age": 1}], "instances[0] lacks 'size'"),
        (
            Signature((number("x", -1, 2),), OUTPUT, columns=("age", "age")),
            [{"age": 1}],
            "instances[0] is an object, but several columns of the model have one name: send lists",
        ),
        (
            NAMED_MATRIX,
            [{"age": 1, "sise": 2}],
            "instances[0] lacks 'size' and has the unknown name 'sise'; did you mean 'size'?",
        ),
        (NAMED_MATRIX, [{"age": 1, "size": 2, "b": 3}], "instances[0] has the unknown name 'b'; known: 'age', 'size'"),
        (TWO, [[1, 2]], "instances[0] must be an object with 'a', 'b'"),
        (TWO, [{"a": 1, "b": [1, 2]}, 3], "instances[1] must be an object like the first instance"),
        (TWO, [{"a": 1, "b": [1, 2]}, {"a": 1}], "instances[1] lacks 'b'"),
        (TWO, [{"a": 1, "c": 2}], "instances[0] has the unknown name 'c'"),
        (TWO, [{"a": 1, "b": [1]}], "instances.b: each row holds 1 values, the model takes 2"),
        (TABLE, [[1, "Rome"], [2]], "instances[1] holds 1 values, the model takes 2 (age, city)"),
        (TABLE, [[1, "Rome"], 2], "instances[1] holds no list, the model takes 2 (age, city)"),
        (MATRIX, [[1, 2, 3]], "instances: each row holds 3 values, the model takes 2"),
    ],
)
def test_rows_that_are_refused(signature: Signature, sent: list[Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=re.escape(message)):
        instances.decode_rows(sent, signature, "instances")


def test_a_row_without_a_value_that_may_be_missing_is_told_to_send_null() -> None:
    signature = Signature((number("a", nullable=True), number("b")), OUTPUT)
    with pytest.raises(InvalidInput, match=re.escape("instances[1] lacks 'a'; send null for a missing value")):
        instances.decode_rows([{"a": 1, "b": 2}, {"b": 2}], signature, "instances")


def test_columns() -> None:
    columns = {"size": [2, 4], "age": [1, 3]}
    assert plain(instances.decode_columns(columns, NAMED_MATRIX)) == {"x": [[1, 2], [3, 4]]}
    assert plain(instances.decode_columns({"a": [1], "b": [[2, 3]]}, TWO)) == {"a": [1], "b": [[2, 3]]}
    assert plain(instances.decode_columns({"x": [[1, 2]]}, NAMED_MATRIX)) == {"x": [[1, 2]]}


@pytest.mark.parametrize(
    ("signature", "sent", "message"),
    [
        (NAMED_MATRIX, {"age": 3, "size": [1]}, "inputs.'age' is 3, a column must be a list"),
        (NAMED_MATRIX, {"age": [], "size": []}, '"inputs" holds no rows: send at least one'),
        (NAMED_MATRIX, {}, '"inputs" holds no rows: send at least one'),
        (NAMED_MATRIX, {"age": [1], "size": [1, 2]}, "the columns hold different numbers of rows"),
        (TWO, {"a": [1], "c": [1]}, "inputs has the unknown name 'c'"),
        (TWO, {"a": [1]}, "inputs lacks 'b'"),
    ],
)
def test_columns_that_are_refused(signature: Signature, sent: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=re.escape(message)):
        instances.decode_columns(sent, signature)


def test_a_model_without_a_batch_dimension_takes_one_instance() -> None:
    assert plain(instances.decode_single([[1, 2]], UNBATCHED, "instances")) == {"a": [1, 2]}
    named = instances.decode_single([{"a": [1, 2], "b": [3]}], UNBATCHED, "instances")
    assert plain(named) == {"a": [1, 2], "b": [3]}


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        ([[1, 2], [3, 4], [5, 6]], '"instances" holds 3 instances, but this model takes 2 rows at a time: send 2'),
        ([{"a": [1, 2], "c": 1}], "instances[0] has the unknown name 'c'"),
        ([{"b": [1]}], "instances[0] lacks 'a'"),
        ([{"a": [1, 2, 3]}], "instances[0].a has shape [3], the model takes [2]"),
    ],
)
def test_single_instances_that_are_refused(sent: list[Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=re.escape(message)):
        instances.decode_single(sent, UNBATCHED, "instances")


@pytest.mark.parametrize(
    ("instance", "named"),
    [({}, True), ({"a": 1}, True), ({"b64": "AA==", "a": 1}, True), ({"b64": "AA=="}, False), ([1], False)],
)
def test_an_object_that_stands_for_bytes_holds_no_names(instance: Any, named: bool) -> None:
    assert instances.is_named(instance) is named


@pytest.mark.parametrize(
    "decode",
    [
        lambda value: instances.decode_rows([{"a": value, "b": value}], UNUSED, "instances"),
        lambda value: instances.decode_named({"a": [value], "b": [value]}, UNUSED, "inputs"),
    ],
    ids=["rows", "named"],
)
def test_what_the_model_does_not_use_is_not_looked_at(decode: Callable[[Any], Tensors]) -> None:
    assert plain(decode(1.5)) == {"a": [1.5]}
    assert all(array.dtype == np.float64 for array in decode(1).values())


def test_a_value_by_itself_is_a_row_of_a_table_of_one_column() -> None:
    one = Signature((TensorSpec("note", "BYTES", (-1,)),), OUTPUT, table=True)
    for sent in (["a", "b"], [["a"], ["b"]], [{"note": "a"}, {"note": "b"}]):
        assert plain(instances.decode_rows(sent, one, "instances")) == {"note": ["a", "b"]}
    with pytest.raises(InvalidInput, match=r"instances\[0\] holds no list, the model takes 2 \(age, city\)"):
        instances.decode_rows([3], TABLE, "instances")


ANONYMOUS = Signature((number("input-0", -1, 2),), OUTPUT, any_name=True)


@pytest.mark.parametrize(
    ("signature", "sent", "message"),
    [
        (ANONYMOUS, [{"a": 1, "b": 2}], "knows no column names: send a list of 2 numbers an instance"),
        (
            Signature((TensorSpec("input-0", "BYTES", (-1,)),), OUTPUT, any_name=True),
            [{"a": 1}],
            "knows no column names: send a text an instance",
        ),
        (
            Signature((TensorSpec("text", "BYTES", (-1,)),), OUTPUT, any_name=True),
            [{"txt": "a"}],
            "instances[0] is an object, but lacks 'text': send a text an instance, or an object with 'text' alone",
        ),
        (NAMED_MATRIX, [{"age": 1, "size": 2}, {"age": 1, "size": "x"}], "instances.size[1] is the string 'x'"),
        (NAMED_MATRIX, [{"age": None, "size": 2}], "instances.age[0] is null"),
        (
            NAMED_MATRIX,
            [{"age": 1, "siz": 2}],
            "instances[0] lacks 'size' and has the unknown name 'siz'; did you mean",
        ),
    ],
)
def test_refusals_speak_as_the_client_does(signature: Signature, sent: list[Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=re.escape(message)):
        instances.decode_rows(sent, signature, "instances")


def test_an_object_may_name_the_input_itself() -> None:
    assert plain(instances.decode_rows([{"input-0": [1, 2]}], ANONYMOUS, "instances")) == {"input-0": [[1.0, 2.0]]}
