"""Of a kind one model is asked what it takes; the others answer alike, and each shows that its own numbers do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn import ensemble, linear_model, neighbors, pipeline, preprocessing
from sklearn.datasets import load_iris
from sklearn.impute import SimpleImputer

from adapters.base import ModelDir
from adapters.shared import explanations
from adapters.shared.explanations import adds_up as ordinarily_adds_up
from adapters.sklearn_ import SklearnAdapter, alike
from adapters.sklearn_.arguments import Matrix
from adapters.sklearn_.direct import build

X, Y = load_iris(return_X_y=True)
ODD = np.arange(len(X)) % 2 == 1


@pytest.fixture(autouse=True)
def nobody_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alike, "_KNOWN", {})


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows each question to a model had."""
    found: list[int] = []
    ordinary = Matrix.rows

    def rows(inputs: Matrix, tensors: Any) -> Any:
        found.append(len(next(iter(tensors.values()))))
        return ordinary(inputs, tensors)

    monkeypatch.setattr(Matrix, "rows", rows)
    return found


def logistic(rows: Any, labels: Any = Y) -> Any:
    return linear_model.LogisticRegression(max_iter=500).fit(X[rows], labels[rows])


def scaled(rows: Any) -> Any:
    return pipeline.make_pipeline(preprocessing.StandardScaler(), linear_model.Ridge()).fit(X[rows], Y[rows])


def forest(rows: Any) -> Any:
    return ensemble.RandomForestClassifier(3, random_state=0).fit(X[rows], Y[rows])


def neighbours(rows: Any) -> Any:
    return neighbors.KNeighborsClassifier().fit(X[rows], Y[rows])


def loaded(model: Any, folder: Path, **options: Any) -> SklearnAdapter:
    folder.mkdir()
    joblib.dump(model, folder / "model.joblib")
    return SklearnAdapter.load(ModelDir.of(folder), "model.joblib", options)


@pytest.mark.parametrize("make", [logistic, scaled, forest])
def test_the_second_of_a_kind_is_not_asked_and_is_as_if_it_had_been(
    make: Callable[[Any], Any], tmp_path: Path, asked: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded(make(ODD), tmp_path / "first")
    first = len(asked)
    second = loaded(make(~ODD), tmp_path / "second")
    explains = bool(second.signature.explanations)
    assert len(asked) - first == (1 if explains else 0)  # for its own explanation
    monkeypatch.setattr(alike, "_KNOWN", {})
    alone = loaded(make(~ODD), tmp_path / "alone")
    assert second.signature == alone.signature
    assert second.evidence() == alone.evidence()
    assert second.traits == alone.traits
    assert second.example().keys() == alone.example().keys()
    for name, rows in alone.example().items():
        np.testing.assert_array_equal(second.example()[name], rows)
    answers, expected = (each.predict({"input-0": X}, {}) for each in (second, alone))
    for name, array in expected.items():
        np.testing.assert_array_equal(answers[name], array)


@pytest.mark.parametrize(
    ("other", "options"),
    [
        (lambda: logistic(~ODD, Y.astype(np.int32)), {}),
        (lambda: logistic(~ODD, np.array(["a", "b", "c"], object)[Y]), {}),
        (lambda: logistic(~ODD), {"method": "predict_proba"}),
        (lambda: linear_model.LogisticRegression(fit_intercept=False).fit(X, Y), {}),
    ],
    ids=["other labels", "texts as labels", "another method", "another setting"],
)
def test_another_kind_is_asked(
    other: Callable[[], Any], options: dict[str, Any], tmp_path: Path, asked: list[int]
) -> None:
    loaded(logistic(ODD), tmp_path / "first")
    before = len(asked)
    loaded(other(), tmp_path / "other", **options)
    assert len(asked) - before >= before


def test_what_stands_for_a_missing_value_makes_a_kind(tmp_path: Path) -> None:
    def imputing(missing: float) -> Any:
        rows = np.where(np.isclose(X, 0.2), missing, X)
        imputer = SimpleImputer(missing_values=missing)
        return pipeline.make_pipeline(imputer, linear_model.LogisticRegression(max_iter=500)).fit(rows, Y)

    takes = loaded(imputing(np.nan), tmp_path / "takes")
    refuses = loaded(imputing(-1.0), tmp_path / "refuses")
    assert takes.short.keys() == refuses.short.keys() == {"predict", "predict_proba"}
    assert takes.signature.inputs[0].nullable
    assert not refuses.signature.inputs[0].nullable


def test_one_whose_numbers_are_special_is_asked(
    tmp_path: Path, asked: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded(logistic(ODD), tmp_path / "first")
    before = len(asked)
    monkeypatch.setattr(build, "_difference_of_numbers", lambda *_: "one bit")
    monkeypatch.setattr(build.proof, "differs", lambda *_: "one bit")
    adapter = loaded(logistic(~ODD), tmp_path / "special")
    assert adapter.short == {}
    assert len(asked) - before > before  # and its explanation
    assert adapter.signature.inputs[0].finite


@pytest.fixture
def summed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How often an explanation was compared with a model's raw output."""
    found: list[int] = []
    ordinary = explanations.adds_up
    monkeypatch.setattr(explanations, "adds_up", lambda *given: (found.append(1), ordinary(*given))[1])
    return found


def test_explanations_of_one_kind_add_up_alike(tmp_path: Path, summed: list[int]) -> None:
    first = loaded(scaled(ODD), tmp_path / "first")
    assert len(summed) == 1
    second = loaded(scaled(~ODD), tmp_path / "second")
    assert len(summed) == 1
    assert second.signature.explanations == first.signature.explanations != ()
    explained = second.explain({"input-0": X}, {})
    assert ordinarily_adds_up(explained, second.predict({"input-0": X}, {})["output-0"])


def test_an_explanation_with_a_number_that_is_none_is_not_served(tmp_path: Path, summed: list[int]) -> None:
    def ridge(coef: float) -> Any:
        model = linear_model.Ridge().fit(X[ODD], Y[ODD])
        model.coef_ = np.full(4, coef)
        return model

    assert loaded(ridge(2.0), tmp_path / "first").signature.explanations
    assert loaded(ridge(3.0), tmp_path / "second").signature.explanations
    assert len(summed) == 1
    assert loaded(ridge(np.inf), tmp_path / "infinite").signature.explanations == ()
    assert len(summed) == 2


class Shifted(linear_model.Ridge):
    """Somebody else's, whose numbers may decide anything."""

    def predict(self, rows: Any) -> Any:
        found = super().predict(rows)
        return found if self.coef_[0] < 0 else found + 1


def test_explanations_of_other_peoples_classes_are_their_own(tmp_path: Path, summed: list[int]) -> None:
    def piped(sign: float) -> Any:
        model = pipeline.make_pipeline(preprocessing.StandardScaler(), Shifted()).fit(X, Y)
        model[-1].coef_ = np.full(4, sign)
        return model

    served = [
        SklearnAdapter.serving(piped(sign), "model.joblib", {}, ModelDir(tmp_path, tmp_path))
        for sign in (-1.0, -2.0, 1.0)
    ]
    assert [bool(each.short) for each in served] == [True, True, True]
    assert [bool(each.signature.explanations) for each in served] == [True, True, False]


def test_what_has_no_proof_is_always_asked(tmp_path: Path, asked: list[int]) -> None:
    first = loaded(neighbours(ODD), tmp_path / "first")
    before = len(asked)
    loaded(neighbours(~ODD), tmp_path / "second")
    assert (first.short == {}) is (len(asked) - before == before)


def test_kinds_beyond_a_limit_are_asked(tmp_path: Path, asked: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alike, "_MOST", 0)
    loaded(logistic(ODD), tmp_path / "first")
    before = len(asked)
    loaded(logistic(~ODD), tmp_path / "second")
    assert len(asked) - before == before
