"""From a text's hidden states to its vector: pooled, cut and scaled as the model or the request says."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from adapters.base import InvalidInput, TensorSpec  # noqa: E402
from adapters.huggingface_.embedding import TextEmbedding  # noqa: E402
from adapters.huggingface_.encoder import Row  # noqa: E402
from adapters.huggingface_.sentence import POOLINGS, Sentence  # noqa: E402

STATES = torch.tensor([[[3.0, 0.0, 1.0], [0.0, 4.0, 1.0]]])
ROW = Row({"input_ids": [1, 2]})


def task(encoder: Any = None, **sentence: Any) -> TextEmbedding:
    return TextEmbedding(encoder, Sentence(**{"normalize": False, **sentence}))


def answer(settings: dict[str, Any] | None = None, **sentence: Any) -> list[float]:
    vector: list[float] = task(**sentence).answer(ROW, STATES, settings or {}).tolist()
    return vector


@pytest.mark.parametrize(
    ("pooling", "vector"),
    [("mean", [1.5, 2, 1]), ("max", [3, 4, 1]), ("cls", [3, 0, 1]), ("lasttoken", [0, 4, 1])],
)
def test_tokens_are_pooled_to_one_vector(pooling: str, vector: list[float]) -> None:
    assert pooling in POOLINGS
    assert answer(pooling=pooling) == vector


def test_a_vector_is_cut_behind_the_models_own_scaling_and_before_the_one_asked_for() -> None:
    states = {"pooling": "max"}  # 3, 4, 1: of length sqrt(26)
    length = 26**0.5
    assert answer(**states, normalize=True) == pytest.approx([3 / length, 4 / length, 1 / length])
    assert answer(**states, truncate_dim=2) == [3, 4]
    assert answer(**states, normalize=True, truncate_dim=2) == pytest.approx([3 / length, 4 / length])
    assert answer({"normalize": True}, **states, truncate_dim=2) == pytest.approx([0.6, 0.8])
    assert answer({"normalize": True, "truncate_dim": 1}, **states, normalize=True, truncate_dim=2) == [1]


@pytest.mark.parametrize("size", [0, -1, 4])
def test_a_cut_beyond_the_vector_is_the_clients_error(size: int) -> None:
    assert len(answer({"truncate_dim": 3})) == 3
    with pytest.raises(InvalidInput, match=f"truncate_dim is {size}: the model's vectors have 3 numbers"):
        answer({"truncate_dim": size})


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({}, "query: Hello"),
        ({"prompt_name": "document"}, "Hello"),
        ({"prompt": "title: "}, "title: Hello"),
        ({"prompt": "", "prompt_name": "query"}, "Hello"),
        ({"prompt_name": "query"}, "query: Hello"),
    ],
    ids=["own", "name", "text", "text-wins", "own-name"],
)
def test_a_prompt_stands_before_the_text(settings: dict[str, Any], text: str) -> None:
    made = task(prompts={"query": "query: ", "document": ""}, prompt="query: ")
    assert made.prepare("Hello", settings) == text


def test_texts_are_lower_cased_with_their_prompt_where_the_model_wants_that() -> None:
    assert task(prompt="Query: ", lower=True).prepare("HELLO", {}) == "query: hello"


def test_a_prompt_that_the_model_does_not_have_is_named() -> None:
    with pytest.raises(InvalidInput, match="no prompt 'q'; it has none"):
        task().prepare("a", {"prompt_name": "q"})
    with pytest.raises(InvalidInput, match="no prompt 'q'; it has a, b"):
        task(prompts={"a": "", "b": ""}).prepare("a", {"prompt_name": "q"})


def test_the_width_is_what_the_model_gives_for_an_example() -> None:
    shown: list[str] = []

    def rows(texts: list[str], truncation: bool) -> list[Row]:
        shown.extend(texts)
        return [ROW]

    encoder = SimpleNamespace(rows=rows, outputs=lambda rows: iter([(0, STATES)]))
    assert task(encoder, prompt="q: ").spec({}) == TensorSpec("output-0", "FP32", (-1, 3))
    assert task(encoder).spec({"truncate_dim": 2}) == TensorSpec("output-0", "FP32", (-1, 2))
    assert shown == ["q: example", "example"]
