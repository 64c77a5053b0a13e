"""What a model was asked in one process is not asked again in another, and nothing else is taken for asked."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import pytest
from sklearn import ensemble, linear_model, pipeline, preprocessing, svm
from sklearn.datasets import load_iris
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.impute import SimpleImputer
from sklearn.naive_bayes import MultinomialNB

from adapters.base import ModelDir, Tensors, TensorSpec
from adapters.sklearn_ import SklearnAdapter
from adapters.sklearn_.asked import ANSWERED, Asked, reason

X, Y = load_iris(return_X_y=True)
ROWS: Tensors = {"input-0": X[:2]}
OUTPUTS = (TensorSpec("output-0", "INT64", (-1,)), TensorSpec("output-1", "FP64", (-1, 3)))


def answers(tensors: Tensors) -> Any:
    return len(tensors["input-0"])


def refuses(tensors: Tensors) -> Any:
    raise ValueError(f"no {len(tensors)} tensor\nand more")


def never(tensors: Tensors) -> Any:
    raise AssertionError("it is known")


def asked_twice() -> Asked:
    asked = Asked()
    assert asked.by(answers)(ROWS) == 2
    with pytest.raises(ValueError, match="no 1 tensor"):
        asked.by(refuses)(ROWS)
    return asked


def evidence() -> dict[str, Any]:
    told: dict[str, Any] = json.loads(json.dumps(asked_twice().evidence(OUTPUTS, ())))
    return told


def test_outcomes_are_told_as_they_were_asked_for() -> None:
    asked = asked_twice()
    assert asked.outcomes == ["", "no 1 tensor"]
    assert (asked.outputs, asked.explanations) == (None, None)


def test_what_is_known_is_not_asked() -> None:
    asked = Asked(evidence())
    ask = asked.by(never)
    assert ask(ROWS) is ANSWERED
    with pytest.raises(Exception, match=r"^no 1 tensor$") as refused:
        ask(ROWS)
    assert reason(refused.value) == "no 1 tensor"
    assert (asked.outputs, asked.explanations) == (OUTPUTS, ())
    assert asked.evidence(OUTPUTS, ()) == evidence()


def test_what_comes_behind_is_asked() -> None:
    asked = Asked({**evidence(), "outcomes": [""]})
    ask = asked.by(answers)
    assert [ask(ROWS), ask(ROWS)] == [ANSWERED, 2]
    assert asked.outcomes == ["", ""]


@pytest.mark.parametrize(
    "change",
    [
        None,
        7,
        "outcomes",
        [],
        {"outcomes": None},
        {"outcomes": ["", 7]},
        {"outcomes": 7},
        {"outputs": None},
        {"outputs": [["a", "FP64"]]},
        {"outputs": [["a", "FP63", [-1]]]},
        {"outputs": [["a", ["FP64"], [-1]]]},
        {"outputs": [[7, "FP64", [-1]]]},
        {"outputs": [["a", "FP64", ["many"]]]},
        {"outputs": [["a", "FP64", 1]]},
        {"explanations": 7},
    ],
    ids=str,
)
def test_what_is_no_evidence_is_not_believed(change: Any) -> None:
    asked = Asked({**evidence(), **change} if isinstance(change, dict) else change)
    assert asked.by(answers)(ROWS) == 2
    assert (asked.outputs, asked.explanations) == (None, None)


def scaled() -> Any:
    return pipeline.make_pipeline(preprocessing.StandardScaler(), linear_model.LogisticRegression()).fit(X, Y)


def forest() -> Any:
    return ensemble.RandomForestClassifier(3, random_state=0).fit(X, Y)


def with_missing_values() -> Any:
    return pipeline.make_pipeline(SimpleImputer(), svm.SVC()).fit(X, Y)


def of_texts() -> Any:
    return pipeline.make_pipeline(CountVectorizer(), MultinomialNB()).fit(["one text", "another text"] * 5, [0, 1] * 5)


def values(tensors: Tensors) -> dict[str, list[Any]]:
    return {name: array.tolist() for name, array in tensors.items()}


@pytest.mark.parametrize("make", [scaled, forest, with_missing_values, of_texts])
def test_the_adapter_is_the_same_though_it_asked_nothing(
    make: Callable[[], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    joblib.dump(make(), tmp_path / "model.joblib")
    first = SklearnAdapter.load(ModelDir.of(tmp_path), "model.joblib", {})
    told = json.loads(json.dumps(first.evidence()))
    assert told["asked"]["outcomes"][0] == ""
    with monkeypatch.context() as patch:
        patch.setattr(type(first.inputs), "rows", never)
        again = SklearnAdapter.load(ModelDir(tmp_path, tmp_path, evidence=told), "model.joblib", {})
    assert again.signature == first.signature
    assert again.evidence() == first.evidence()
    assert again.traits == first.traits
    example = first.example()
    assert values(again.example()) == values(example)
    assert values(again.predict(again.example(), {})) == values(first.predict(example, {}))
    if first.signature.explanations:
        assert values(again.explain(again.example(), {})) == values(first.explain(example, {}))
