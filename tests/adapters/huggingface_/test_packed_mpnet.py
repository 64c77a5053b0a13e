"""Rows of any length in one call of MPNet: the bias by distance is each row's own."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from adapters.huggingface_.packed_mpnet import biased_attention_of  # noqa: E402
from adapters.huggingface_.packed_rows import packing_of  # noqa: E402
from adapters.huggingface_.packed_runs import NotPacked  # noqa: E402
from tests.adapters.huggingface_.test_packed_rows import INPUTS, made  # noqa: E402

#: distances up to 7 have a bias each, farther ones share some, and from 128 on all
LENGTHS = (3, 140, 9, 140, 40, 1)


def test_rows_that_are_farther_apart_than_the_bias_tells() -> None:
    model = made("MPNetModel", max_position_embeddings=150)
    model.encoder.relative_attention_bias.weight.data *= 5
    rows = [{"input_ids": [2 + (7 * i + j) % 80 for j in range(length)]} for i, length in enumerate(LENGTHS)]
    with torch.inference_mode():
        wanted = [model(input_ids=torch.tensor([row["input_ids"]])).last_hidden_state for row in rows]
    packing = packing_of(model, "last_hidden_state", INPUTS, vocabulary=90, longest=148, padding=1)
    assert packing is not None
    for found, expected in zip(packing.run(rows), wanted, strict=True):
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    sizes = []
    own = model.encoder.compute_position_bias
    model.encoder.compute_position_bias = lambda states: sizes.append(own(states).shape) or own(states)
    packing.run(rows)
    assert sizes == [(1, 2, 140, 140)], "the bias is of all tokens, not of the longest row"


def test_it_is_asked_by_packed_rows_alone_and_can_be_had_back() -> None:
    model = made("MPNetModel")
    states = {"input_ids": torch.tensor([[5, 6, 7]])}
    with torch.inference_mode():
        wanted = model(**states).last_hidden_state
        attention = biased_attention_of(model)
        assert attention is not None
        attention.take()
        with pytest.raises(NotPacked, match="otherwise than by packed rows"):
            model(**states)
        attention.leave()
        assert torch.equal(model(**states).last_hidden_state, wanted)


def test_other_models_have_no_such_bias() -> None:
    model: Any = made("BertModel")
    assert biased_attention_of(model) is None
