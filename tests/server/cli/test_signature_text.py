"""Signatures in a line."""

from __future__ import annotations

import pytest

from adapters.base import Signature, TensorSpec
from server.cli.signature_text import gives, takes, tensor

X = TensorSpec("x", "FP32", (-1, 4))
Y = TensorSpec("y", "INT64", (-1,))
MANY = tuple(TensorSpec(name, "FP64", (-1,)) for name in "abcde")


@pytest.mark.parametrize(
    ("signature", "text"),
    [
        (Signature((X,), (Y,)), "x FP32[?, 4]"),
        (Signature((X,), (Y,), columns=("a", "b", "c", "d")), "4 columns FP32"),
        (Signature(MANY, (Y,), table=True), "5 columns"),
        (Signature(MANY[:2], (Y,), table=True), "a FP64[?], b FP64[?]"),
        (Signature(MANY, (Y,)), "a FP64[?], b FP64[?], c FP64[?], 2 more"),
        (Signature((X, TensorSpec("z", "FP32", (-1,), optional=True)), (Y,)), "x FP32[?, 4]"),
        (Signature((), (), whole=True), "whole requests"),
        (Signature((X,), (Y,), whole=True, generates=True), "text"),
    ],
)
def test_what_goes_in(signature: Signature, text: str) -> None:
    assert takes(signature) == text


def test_what_comes_out() -> None:
    assert gives(Signature((X,), (Y, X))) == "y INT64[?], x FP32[?, 4]"
    assert gives(Signature((X,), (TensorSpec("output-0", "FP64", (-1, 3)),))) == "FP64[?, 3]"
    assert gives(Signature((X,), (Y,), whole=True, generates=True)) == "text (language model)"
    assert tensor(TensorSpec("z", "BYTES", (-1,), optional=True)) == "z BYTES[?] (optional)"
