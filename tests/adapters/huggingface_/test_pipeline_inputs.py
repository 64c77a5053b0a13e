"""The kinds of input that pipelines take."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("PIL")

from adapters.base import InvalidInput
from adapters.huggingface_.pipeline_inputs import (
    BOXES,
    FRAMES,
    IMAGE,
    LABELS,
    QUESTIONS,
    SOUND,
    STATE,
    TABLE,
    TEXT,
    InputField,
    Reading,
    example_of,
)

KINDS = [TEXT, IMAGE, SOUND, FRAMES, LABELS, TABLE, BOXES, STATE, QUESTIONS]


def read(kind: str, value: Any) -> Any:
    return Reading().read(InputField("x", kind), value, "x[0]")


@pytest.mark.parametrize("kind", KINDS)
def test_the_example_of_every_kind_is_read(kind: str) -> None:
    if kind == SOUND:
        pytest.importorskip("soundfile")
    assert len(read(kind, example_of(InputField("x", kind), "hello"))) if kind != IMAGE else True
    spec = InputField("x", kind, optional=True).spec()
    assert (spec.datatype, spec.shape, spec.optional) == ("BYTES", (-1,), True)
    assert spec.json is (kind != TEXT)


def test_labels_are_a_list_or_a_text() -> None:
    assert read(LABELS, ["a", " b "]) == read(LABELS, "a, b,") == read(LABELS, {"x": ["a", "b"]}) == ["a", "b"]


def test_a_table_is_columns_or_rows() -> None:
    columns = read(TABLE, {"a": [1, 2], "b": ["x", "y"]})
    assert columns.equals(read(TABLE, [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]))
    assert columns.iloc[0].tolist() == ["1", "x"]
    assert read(TABLE, [{"a": "x"}, {"b": None}]).to_numpy().tolist() == [["x", ""], ["", ""]]


@pytest.mark.parametrize(
    ("kind", "value", "reason"),
    [
        (TEXT, "  ", "is empty"),
        (LABELS, [], "names no labels"),
        (LABELS, ",", "names no labels"),
        (LABELS, [1], "must be a list of texts"),
        (LABELS, ["a"] * 1001, "names 1001 labels; 1000"),
        (TABLE, {"a": [1], "b": [1, 2]}, "is no table"),
        (TABLE, {"a": [{}]}, "has cells that are neither texts nor numbers"),
        (TABLE, {"a": 1}, "must be an object of columns"),
        (TABLE, {}, "must be an object of columns"),
        (TABLE, {"a": list(range(100_001))}, "has 100001 cells"),
        (BOXES, [["a", [0, 0, 1]]], r"\[0\] must be a word and four numbers"),
        (BOXES, [["a", [0, 0, 1, 1001]]], r"\[0\] must be a word and four numbers"),
        (BOXES, [["a", [0, 0, 1, float("nan")]]], r"\[0\] must be a word and four numbers"),
        (BOXES, [], "must be a list of words"),
        (QUESTIONS, {}, "must be an object of 1 to 100 questions by their names"),
        (QUESTIONS, {str(each): {} for each in range(101)}, "must be an object of 1 to 100 questions"),
    ],
)
def test_what_does_not_fit_is_refused(kind: str, value: Any, reason: str) -> None:
    with pytest.raises(InvalidInput, match=rf"^x\[0\] ?{reason}"):
        read(kind, value)
