"""What each kind of model is asked and how its answers look; the model's modules are given by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from adapters.base import InvalidInput, Tensors, TensorSpec  # noqa: E402
from adapters.sentence_transformers_.kinds import KINDS, Cross, Dense, Kind, Sparse, _unpadded  # noqa: E402


class Model:
    """Texts to letters' numbers, padded to the longest; a text's vector is its first letter, its length and 2."""

    device = torch.device("cpu")

    def __init__(self, **settings: Any) -> None:
        self.prompts: dict[str, str] = {"query": "q", "document": ""}
        self.default_prompt_name: str | None = None
        self.truncate_dim: int | None = None
        self.num_labels = 1
        self.activation_fn = torch.sigmoid
        self.calls: list[tuple[int, ...]] = []
        vars(self).update(settings)

    def preprocess(self, rows: list[Any], prompt: str | None) -> dict[str, Any]:
        texts = [(prompt or "") + ("".join(row) if isinstance(row, tuple) else row) for row in rows]
        longest = max(map(len, texts))
        ids = torch.tensor([[ord(letter) - 96 for letter in text.ljust(longest, "`")] for text in texts])
        return {"input_ids": ids, "attention_mask": (ids > 0).long(), "modality": "text"}

    def __call__(self, features: dict[str, Any]) -> dict[str, Any]:
        ids = features["input_ids"]
        assert features["modality"] == "text"
        assert (ids > 0).all(), "padding reaches the model"
        self.calls.append(tuple(ids.shape))
        vectors = torch.stack([ids[:, 0], torch.full_like(ids[:, 0], ids.shape[1]), torch.full_like(ids[:, 0], 2)], 1)
        return {"sentence_embedding": vectors.double(), "scores": vectors[:, :1].half()}


def answer_of(kind: Kind, tensors: Tensors, parameters: dict[str, Any]) -> Any:
    (answer,) = kind.outputs(tensors, parameters).values()
    return answer


def texts(*values: str, name: str = "text") -> Tensors:
    return {name: np.array(values, dtype=np.object_)}


def test_kinds_are_found_by_the_librarys_names() -> None:
    assert {"SentenceTransformer": Dense, "SparseEncoder": Sparse, "CrossEncoder": Cross} == KINDS


def test_rows_of_one_length_run_together_and_none_is_padded() -> None:
    model = Model()
    found = answer_of(Dense(model), texts("ab", "cde", "fg"), {})
    assert found.dtype == np.float32
    assert found.tolist() == [[1, 2, 2], [3, 3, 2], [6, 2, 2]]
    assert model.calls == [(2, 2), (1, 3)]


def test_a_call_holds_a_thousand_tokens_or_one_row() -> None:
    model = Model()
    answer_of(Dense(model), texts(*["a" * 400] * 5), {})
    assert model.calls == [(2, 400), (2, 400), (1, 400)]
    long = Model()
    answer_of(Dense(long), texts(*["a" * 2000] * 2), {})
    assert long.calls == [(1, 2000), (1, 2000)]


@pytest.mark.parametrize("mask", [None, torch.ones(2), torch.ones(3, 4)], ids=["none", "flat", "other-rows"])
def test_features_that_are_not_padded_go_as_they_are(mask: Any) -> None:
    features = {"input_ids": torch.ones(5), **({} if mask is None else {"attention_mask": mask})}
    assert list(_unpadded(features, 2)) == [([0, 1], features)]


def test_padding_may_lie_on_either_side() -> None:
    mask = torch.tensor([[0, 1, 1], [1, 1, 0], [1, 1, 1]])
    features = {"input_ids": torch.arange(9).reshape(3, 3), "attention_mask": mask, "lengths": torch.tensor([2, 2, 3])}
    (two, short), (three, whole) = _unpadded(features, 3)
    assert (two, three) == ([0, 1], [2])
    assert short["input_ids"].tolist() == [[1, 2], [3, 4]]
    assert short["attention_mask"].tolist() == [[1, 1], [1, 1]]
    assert whole["input_ids"].tolist() == [[6, 7, 8]]


@pytest.mark.parametrize(
    ("parameters", "default", "first"),
    [
        ({}, None, 1),
        ({}, "query", 17),
        ({"prompt_name": "query"}, None, 17),
        ({"prompt_name": "document"}, "query", 1),
        ({"prompt": "b"}, "query", 2),
        ({"prompt": "", "prompt_name": "gone"}, None, 1),
    ],
    ids=["none", "default", "name", "other", "text", "text-wins"],
)
def test_a_prompt_stands_before_each_text(parameters: dict[str, Any], default: str | None, first: int) -> None:
    assert answer_of(Dense(Model(default_prompt_name=default)), texts("a"), parameters)[0, 0] == first


def test_a_prompt_that_the_model_does_not_have_is_named() -> None:
    with pytest.raises(InvalidInput, match="no prompt 'x'; it has query, document"):
        answer_of(Dense(Model()), texts("a"), {"prompt_name": "x"})
    with pytest.raises(InvalidInput, match="no prompt 'x'; it has none"):
        answer_of(Dense(Model(prompts={})), texts("a"), {"prompt_name": "x"})


def test_vectors_are_cut_and_then_scaled() -> None:
    model = Model(truncate_dim=2)
    assert answer_of(Dense(model), texts("cdef"), {}).tolist() == [[3, 4]]
    assert answer_of(Dense(model), texts("cdef"), {"normalize": True})[0].tolist() == pytest.approx([0.6, 0.8])
    assert answer_of(Dense(model), texts("cdef"), {"truncate_dim": 3}).tolist() == [[3, 4, 2]]
    for size in (0, -1, 4):
        with pytest.raises(InvalidInput, match=f"truncate_dim is {size}: the model's vectors have 3 numbers"):
            answer_of(Dense(model), texts("a"), {"truncate_dim": size})


@pytest.mark.parametrize("layout", ["dense", "sparse"])
def test_sparse_vectors_are_their_dimensions_and_weights(layout: str) -> None:
    vectors = torch.tensor([[0, 1.5, 0, 2], [0, 0, 0, 0]])
    features = {"sentence_embedding": vectors.to_sparse() if layout == "sparse" else vectors}
    kind = Sparse(Model(max_active_dims=None))
    answers = kind.finish(features, {})
    assert answers == [{"indices": [1, 3], "values": [1.5, 2]}, {"indices": [], "values": []}]
    assert kind.column(answers).tolist() == answers
    assert kind.column(answers).dtype == object


@pytest.mark.parametrize(
    ("labels", "scores", "parameters", "answers"),
    [
        (1, [[0.0], [100.0]], {}, [0.5, 1]),
        (1, [[0.0], [100.0]], {"raw_scores": True}, [0, 100]),
        (1, [0.0, 100.0], {}, [0.5, 1]),
        (2, [[0.0, 100.0]], {}, [[0.5, 1]]),
    ],
    ids=["score", "raw", "flat", "classes"],
)
def test_pairs_have_a_score_or_one_for_each_class(labels: int, scores: Any, parameters: Any, answers: Any) -> None:
    features = {"scores": torch.tensor(scores).bfloat16()}
    found = Cross(Model(num_labels=labels)).finish(features, parameters)
    assert found.dtype == np.float32
    assert found.tolist() == answers


def test_pairs_are_two_inputs_of_a_row() -> None:
    model = Model()
    found = answer_of(Cross(model), {**texts("a", "b"), **texts("cd", "e", name="text_pair")}, {"raw_scores": True})
    assert found.tolist() == [1, 2]
    assert model.calls == [(1, 3), (1, 2)]
    assert list(next(Cross(model).examples())) == ["text", "text_pair"]


@pytest.mark.parametrize(
    ("kind", "answer", "spec"),
    [
        (Dense, np.zeros((2, 3)), TensorSpec("output-0", "FP32", (-1, 3))),
        (Sparse, np.array([{}, {}]), TensorSpec("output-0", "BYTES", (-1,), json=True)),
        (Cross, np.zeros(2), TensorSpec("output-0", "FP32", (-1,))),
        (Cross, np.zeros((2, 4)), TensorSpec("output-0", "FP32", (-1, 4))),
    ],
    ids=["dense", "sparse", "score", "classes"],
)
def test_what_an_answer_looks_like_follows_from_two_rows(kind: type[Kind], answer: Any, spec: TensorSpec) -> None:
    assert kind(SimpleNamespace()).spec(answer) == spec
    assert {len(rows) for rows in next(kind(SimpleNamespace()).examples()).values()} == {2}
