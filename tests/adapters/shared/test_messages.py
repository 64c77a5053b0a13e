"""Messages in one line."""

from __future__ import annotations

import re

import pytest

from adapters.base import InvalidInput
from adapters.shared.messages import XGBOOST_PLACE, brief, fault, first_line, listed, several, without_stack


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("as it is", "as it is"),
        ("  two\n\tlines \n", "two lines"),
        ("x" * 300, "x" * 300),
        ("a" * 200 + "b" * 200, "a" * 130 + "..." + "b" * 167),
        ("", "ValueError"),
        (" \n", "ValueError"),
    ],
)
def test_brief(text: str, line: str) -> None:
    assert brief(text, "ValueError") == line


def test_brief_keeps_the_end_which_names_the_cause() -> None:
    text = f"Error when deserializing class 'DepthwiseConv2D' using config={'x' * 900}.\nUnrecognized arguments: groups"
    assert brief(text).startswith("Error when deserializing class 'DepthwiseConv2D'")
    assert brief(text).endswith("Unrecognized arguments: groups")
    assert len(brief(text)) == 300


@pytest.mark.parametrize(
    "stack",
    [
        "\nStack trace:\n  [bt] (0) lib/libxgboost.so(+0x1) [0x7f]\n",
        "\nException raised from f at x.cpp:3 (most recent call first):\nframe #0: c10::Error\n",
        "\n======= Backtrace: =========\n/lib/libc.so.6",
    ],
)
def test_a_native_stack_is_no_part_of_a_message(stack: str) -> None:
    assert without_stack(f"Check failed: 2 features\nsecond line{stack}") == "Check failed: 2 features\nsecond line"
    assert without_stack("a Stack trace: in a sentence") == "a Stack trace: in a sentence"


def test_brief_of_nothing() -> None:
    assert brief("") == ""


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("one", "one"),
        ("\n  one \nStack trace:\n  two", "one"),
        ("[12:00:01] /src/learner.cc:33: Check failed: x\nStack trace:\n", "Check failed: x"),
        ("not [12:00:01] /src/learner.cc:33: x", "not [12:00:01] /src/learner.cc:33: x"),
        ("", ""),
    ],
)
def test_first_line(text: str, line: str) -> None:
    assert first_line(ValueError(text), XGBOOST_PLACE) == line


def test_only_the_beginning_that_is_named_is_cut() -> None:
    error = ValueError("[12:00:01] /src/learner.cc:33: x")
    assert first_line(error) == str(error)
    assert first_line(error, re.compile(r"\S+ ")) == "/src/learner.cc:33: x"


def test_whose_fault_it_is() -> None:
    client, own = fault("no", client=True), fault("no", client=False)
    assert (type(client), str(client)) == (InvalidInput, "the model refuses the input: no")
    assert (type(own), str(own)) == (RuntimeError, "no")


def test_several_models_are_named() -> None:
    assert several(["a", "b"]) == "two candidate models: a and b; keep one"
    assert several((name for name in "ab"), ", or go") == "two candidate models: a and b; keep one, or go"


@pytest.mark.parametrize(
    ("names", "text"), [([], ""), (["a"], "a"), (["a", "b"], "a, b"), (["a", "b", "c", "d"], "a, b and 2 more")]
)
def test_a_list_has_an_end(names: list[str], text: str) -> None:
    assert listed(names, 2) == text
