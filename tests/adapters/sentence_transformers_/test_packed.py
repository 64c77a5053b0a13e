"""The library's modules over packed rows: every row has what the library makes of it alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sentence_transformers")

from adapters.base import InvalidInput  # noqa: E402
from adapters.sentence_transformers_.packed import packed_modules  # noqa: E402
from tests.adapters.sentence_transformers_.models import PAIRS, TEXTS, cross, dense, pooled, sparse, static  # noqa: E402


def biased(folder: Path) -> Any:
    """As all-mpnet-base-v2 is made."""
    return dense(folder, "MPNetModel")


MADE: list[tuple[Callable[..., Any], str, list[Any], bool]] = [
    (dense, "sentence_embedding", TEXTS, False),
    (biased, "sentence_embedding", TEXTS, False),
    (pooled, "sentence_embedding", TEXTS, False),
    (sparse, "sentence_embedding", TEXTS, False),
    (cross, "scores", PAIRS, True),
]


@pytest.mark.parametrize(("make", "name", "rows", "first"), MADE, ids=[each[0].__name__ for each in MADE])
def test_rows_of_any_length_share_a_call(
    make: Callable[..., Any], name: str, rows: list[Any], first: bool, tmp_path: Path
) -> None:
    model = make(tmp_path / "model")
    with torch.inference_mode():
        alone = [model(model.preprocess([row]))[name] for row in rows]
    modules, calls = packed_modules(model), []
    assert modules is not None
    assert modules.packing.first is first
    modules.packing.model.register_forward_pre_hook(lambda *given: calls.append(given))
    with torch.inference_mode():
        found = {
            index: answer
            for indices, features in modules(model.preprocess(rows))
            for index, answer in zip(indices, features[name], strict=True)
        }
    assert sorted(found) == list(range(len(rows)))
    assert len(calls) == 1, "each length had a call of its own"
    for index, (wanted,) in enumerate(alone):
        torch.testing.assert_close(found[index], wanted, atol=1e-5, rtol=1e-5)  # a sum's order is its batch's


def test_a_row_without_tokens_is_refused(tmp_path: Path) -> None:
    model = dense(tmp_path / "model")
    modules, features = packed_modules(model), model.preprocess(TEXTS)
    features["attention_mask"][1] = 0
    assert modules is not None
    with pytest.raises(InvalidInput, match=r"text\[1\] has no tokens"):
        list(modules(features))


def _hidden_states(model: Any) -> None:
    model[0].model.config.output_hidden_states = True


def _another_output(model: Any) -> None:
    model[0].modality_config["text"]["method_output_name"] = "pooler_output"


def _told_more(model: Any) -> None:
    model.module_kwargs["0"] = ["task"]


def _eager(model: Any) -> None:
    model[0].model.set_attn_implementation("eager")


@pytest.mark.parametrize("change", [_hidden_states, _another_output, _told_more, _eager])
def test_what_needs_more_is_left_as_it_is(change: Callable[[Any], None], tmp_path: Path) -> None:
    model = dense(tmp_path / "model")
    model.module_kwargs = dict(model.module_kwargs or {})
    change(model)
    attention = model[0].model.config._attn_implementation
    assert packed_modules(model) is None
    assert model[0].model.config._attn_implementation == attention


def test_vectors_of_words_have_no_transformer(tmp_path: Path) -> None:
    assert packed_modules(static(tmp_path / "model")) is None
