"""Inputs and outputs as polyserve.yaml declares them."""

from __future__ import annotations

import pytest

from adapters.base import LoadError
from adapters.torch_.declared import DeclaredInput, inputs, outputs


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", ()),
        ("x: FP32", (DeclaredInput("x", "FP32"),)),
        (" x : fp32 [ -1 , 4 ] ", (DeclaredInput("x", "FP32", (-1, 4)),)),
        ("x: BYTES[]", (DeclaredInput("x", "BYTES", ()),)),
        ("a.b: INT64[-1], m: BOOL[-1, -1];n:FP16", (
            DeclaredInput("a.b", "INT64", (-1,)), DeclaredInput("m", "BOOL", (-1, -1)), DeclaredInput("n", "FP16"))),
    ],
)  # fmt: skip
def test_inputs(text: str, found: tuple[DeclaredInput, ...]) -> None:
    assert inputs(text) == found


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("x", "'x' is not of the form"),
        ("x: FP32[", r"is not of the form"),
        ("x: FP32 y: FP32", "is not of the form"),
        ("x: FLOAT", "x: FLOAT is no datatype"),
        ("x: FP32[a]", r"x: \[a\] is no shape: whole numbers"),
        ("x: FP32[0]", "a size is -1 or at least 1"),
        ("x: FP32[-2]", "a size is -1 or at least 1"),
        ("x: FP32, x: FP64", "names an input twice"),
    ],
)
def test_inputs_of_another_form_are_refused_by_name(text: str, why: str) -> None:
    with pytest.raises(LoadError, match=why):
        inputs(text)


def test_outputs() -> None:
    assert outputs(" logits, pooled ;x,") == ("logits", "pooled", "x")
    with pytest.raises(LoadError, match="names an output twice"):
        outputs("y, y")


@pytest.mark.parametrize("text", ["a" + " " * 60_000 + "b", "a: FP32" + " " * 60_000 + "!", "a: FP32[" + " " * 60_000])
def test_a_text_of_another_form_is_refused_in_one_pass(text: str) -> None:
    with pytest.raises(LoadError) as error:
        inputs(text)
    assert len(str(error.value)) < 400
