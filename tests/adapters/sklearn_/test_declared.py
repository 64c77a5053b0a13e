"""What a folder says of columns of which its model says nothing: `options.inputs`, and recorded requests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from adapters.base import LoadError, ModelDir
from adapters.sklearn_.columns import Column
from adapters.sklearn_.declared import datatypes_of, declare, recorded_rows, teach


def columns(*names: str) -> list[Column]:
    return [Column(name, "FP64", used=True, any_type=True) for name in names]


def test_names_may_hold_spaces() -> None:
    text = "when: BYTES, sepal length (cm): fp64; n:INT64"
    assert datatypes_of(text) == {"when": "BYTES", "sepal length (cm)": "FP64", "n": "INT64"}
    assert datatypes_of("") == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("when", "'when' is not of the form"),
        ("when: TEXT", "when: TEXT is no datatype; allowed are .*BYTES"),
        ("a: FP64, a: BYTES", "names 'a' twice"),
        (": FP64", "is not of the form"),
    ],
)
def test_mistakes_are_named(text: str, message: str) -> None:
    with pytest.raises(LoadError, match=message):
        datatypes_of(text)


def test_the_folders_word_wins() -> None:
    known = columns("when", "v")
    declare(known, {"when": "BYTES"})
    assert [(column.datatype, column.any_type) for column in known] == [("BYTES", False), ("FP64", True)]
    with pytest.raises(LoadError, match="the model has no column 'wen'; did you mean 'when'"):
        declare(known, {"wen": "BYTES"})
    known[1].categories = ["a"]
    with pytest.raises(LoadError, match="knows the categories of 'v' itself"):
        declare(known, {"v": "BYTES"})


V2 = {
    "inputs": [
        {"name": "when", "datatype": "BYTES", "shape": [2], "data": ["x", "y"]},
        {"name": "v", "datatype": "FP64", "shape": [2], "data": [1, 2.5]},
    ]
}


@pytest.mark.parametrize(
    "request_",
    [
        {"instances": [{"when": "x", "v": 1}, {"when": "y", "v": 2.5}]},
        {"instances": [["x", 1], ["y", 2.5]]},
        {"inputs": {"when": ["x", "y"], "v": [1, 2.5]}},
        V2,
    ],
)
def test_recorded_requests_teach_what_columns_hold(request_: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "examples.json").write_text(json.dumps([{"request": request_, "response": {}}]))
    known = columns("when", "v")
    teach(known, recorded_rows(ModelDir.of(tmp_path)))
    assert [column.seen for column in known] == [["x", "y"], [1, 2.5]]
    assert [(column.datatype, column.any_type) for column in known] == [("BYTES", False), ("FP64", True)]


def test_what_the_model_says_itself_needs_no_teacher() -> None:
    known = [Column("a", "INT64", seen=[1], used=True)]
    teach(known, [{"a": "x"}])
    assert (known[0].seen, known[0].datatype) == ([1], "INT64")


@pytest.mark.parametrize("text", ["", "{", "[1]", '[{"request": 3}]', '[{"request": {"instances": 4}}]', "[" * 10**5])
def test_a_file_of_another_form_teaches_nothing(text: str, tmp_path: Path) -> None:
    (tmp_path / "examples.json").write_text(text)
    rows = recorded_rows(ModelDir.of(tmp_path))
    known = columns("a")
    teach(known, rows)
    assert known[0].seen == []


@pytest.mark.parametrize(
    "text", ["a" + " " * 60_000 + "b", "a :" * 20_000, ": " * 30_000, " " * 60_000 + "x", "a:b " * 15_000]
)
def test_a_text_of_another_form_is_refused_in_one_pass(text: str) -> None:
    with pytest.raises(LoadError) as error:
        datatypes_of(text)
    assert len(str(error.value)) < 400
