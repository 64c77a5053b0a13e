"""What was proved once is not proved again, and nothing else is taken for proved."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn import ensemble, linear_model, pipeline, preprocessing
from sklearn.datasets import load_iris

from adapters.base import ModelDir
from adapters.sklearn_ import SklearnAdapter
from adapters.sklearn_.direct import Record, build, direct, kinds, proof, trees
from adapters.sklearn_.direct.plan import Plan

X, Y = load_iris(return_X_y=True)


@pytest.fixture
def proofs(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often which estimator's method was called to prove something."""
    calls: Counter[str] = Counter()
    differs = proof.differs

    def counted(function: Callable[[Any], Any], ordinary: Any, batches: Any) -> str:
        calls[f"{type(ordinary.__self__).__name__}.{ordinary.__name__}"] += 1
        return differs(function, ordinary, batches)

    monkeypatch.setattr(proof, "differs", counted)
    monkeypatch.setattr(kinds, "_PROVED", set())
    return calls


def scaled() -> Any:
    return pipeline.make_pipeline(preprocessing.StandardScaler(), linear_model.LogisticRegression()).fit(X, Y)


def test_the_methods_of_a_pipeline_share_the_proof_of_its_first_steps(proofs: Counter[str]) -> None:
    model, record = scaled(), Record()
    assert direct(model, "predict_proba", record=record)
    assert direct(model, "predict", record=record)
    assert set(proofs.values()) == {1}
    assert [name for name, _ in record.outcomes] == [
        "StandardScaler.transform",
        "LogisticRegression.predict_proba",
        "Pipeline.predict_proba",
        "LogisticRegression.predict",
        "Pipeline.predict",
    ]
    assert sorted(proofs) == sorted(name for name, _ in record.outcomes)


def folder(path: Path, model: Any) -> ModelDir:
    path.mkdir(exist_ok=True)
    joblib.dump(model, path / "model.joblib")
    return ModelDir.of(path)


@pytest.mark.parametrize("make", [scaled, lambda: ensemble.RandomForestClassifier(3, random_state=0).fit(X, Y)])
def test_evidence_takes_the_place_of_proofs(make: Callable[[], Any], tmp_path: Path, proofs: Counter[str]) -> None:
    model = make()
    first = SklearnAdapter.load(folder(tmp_path, model), "model.joblib", {})
    evidence = json.loads(json.dumps(first.evidence()))
    assert proofs.total() > 1
    proofs.clear()
    again = SklearnAdapter.load(ModelDir(tmp_path, tmp_path, evidence=evidence), "model.joblib", {})
    assert not proofs
    assert set(again.short) == {"predict", "predict_proba"}
    assert again.evidence() == first.evidence()
    for method in again.short:
        got = again.predict({"input-0": X.copy()}, {"method": method})
        assert got["output-0"].tobytes() == getattr(model, method)(np.ascontiguousarray(X)).tobytes()


def test_with_evidence_nobody_looks_for_landmarks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []
    landmarks = trees.landmarks
    monkeypatch.setattr(trees, "landmarks", lambda *given: (looked.append(1), landmarks(*given))[1])
    model = ensemble.RandomForestClassifier(3, random_state=0).fit(X, Y)
    first = SklearnAdapter.load(folder(tmp_path, model), "model.joblib", {})
    assert looked
    looked.clear()
    SklearnAdapter.load(ModelDir(tmp_path, tmp_path, evidence=first.evidence()), "model.joblib", {})
    assert not looked


@pytest.mark.parametrize(
    "proved",
    [
        None,
        7,
        "LogisticRegression.predict_proba",
        [["LogisticRegression.predict_proba"]],
        [["LogisticRegression.predict_proba", 1]],
        [["Ridge.predict", True], ["LogisticRegression.predict_proba", True], ["LogisticRegression.predict", True]],
        [7, ["LogisticRegression.predict_proba", True]],
    ],
    ids=str,
)
def test_what_is_no_evidence_proves_nothing(proved: Any, tmp_path: Path, proofs: Counter[str]) -> None:
    folder(tmp_path, linear_model.LogisticRegression(max_iter=500).fit(X, Y))
    adapter = SklearnAdapter.load(ModelDir(tmp_path, tmp_path, evidence={"proofs": proved}), "model.joblib", {})
    assert proofs == {"LogisticRegression.predict_proba": 1, "LogisticRegression.predict": 1}
    assert len(adapter.short) == 2


def test_what_failed_elsewhere_fails_here_with_the_reason_in_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    model, path = linear_model.Ridge().fit(X, Y), "sklearn.linear_model.Ridge"
    monkeypatch.setitem(build._BUILDERS, path, lambda estimator, method: Plan(lambda rows: np.zeros(len(rows))))
    failed = Record()
    assert direct(model, "predict", record=failed) is None
    assert failed.outcomes == [("Ridge.predict", False)]
    caplog.clear()
    caplog.set_level("DEBUG")
    assert direct(model, "predict", record=Record(failed.outcomes)) is None
    assert "Ridge.predict takes its ordinary path: the direct one gives" in caplog.text


def logistic(rows: Any, labels: Any = Y, **settings: Any) -> Any:
    return linear_model.LogisticRegression(**{"max_iter": 500, **settings}).fit(rows, labels)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], list[str]]:
    """Looks for a model's paths, and tells of each comparison the estimator, its method and the rows of its batches."""
    monkeypatch.setattr(kinds, "_PROVED", set())
    compared: list[str] = []
    differs = proof.differs

    def told(function: Callable[[Any], Any], ordinary: Any, batches: Any) -> str:
        rows = list(batches)
        of = f"{type(ordinary.__self__).__name__}.{ordinary.__name__}"
        compared.append(f"{of} {' '.join(str(len(each)) for each in rows)}")
        return differs(function, ordinary, iter(rows))

    monkeypatch.setattr(proof, "differs", told)

    def ask(model: Any) -> list[str]:
        compared.clear()
        record = Record()
        assert direct(model, "predict_proba", record=record)
        assert direct(model, "predict", record=record)
        assert all(held for _, held in record.outcomes)
        return list(compared)

    return ask


def test_the_first_of_a_kind_is_proved_at_length(asked: Callable[[Any], list[str]]) -> None:
    at_length = ["LogisticRegression.predict_proba 1 2 7 128 7 9", "LogisticRegression.predict 128 7 9"]
    assert asked(logistic(X)) == at_length
    assert asked(logistic(X[::2], Y[::2])) == [
        "LogisticRegression.predict_proba 128"
    ]  # its numbers are nothing special
    assert asked(logistic(X[:, :3])) == at_length  # of another width


def test_parts_of_a_known_kind_are_proved_with_the_whole(asked: Callable[[Any], list[str]]) -> None:
    first = asked(scaled())
    assert [each.partition(" ")[0] for each in first] == [
        "StandardScaler.transform",
        "LogisticRegression.predict_proba",
        "Pipeline.predict_proba",
        "LogisticRegression.predict",
        "Pipeline.predict",
    ]
    other = pipeline.make_pipeline(preprocessing.StandardScaler(), linear_model.LogisticRegression()).fit(
        X[::2], Y[::2]
    )
    assert asked(other) == ["Pipeline.predict_proba 128"]


def test_a_forest_of_a_known_kind_shows_its_merged_trees(asked: Callable[[Any], list[str]]) -> None:
    def forest(seed: int, rows: int) -> Any:
        return ensemble.RandomForestClassifier(3, random_state=seed).fit(X[:rows], Y[:rows])

    assert len(asked(forest(0, 140))) == 2
    assert asked(forest(1, 150)) == ["RandomForestClassifier.predict_proba 64"]


def test_a_part_that_was_left_to_the_whole_fails_with_it(
    asked: Callable[[Any], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked(scaled())
    path, right = "sklearn.preprocessing.StandardScaler", build._BUILDERS["sklearn.preprocessing.StandardScaler"]

    def wrong(estimator: Any, method: str) -> Plan | None:
        plan = right(estimator, method)
        return plan and Plan(lambda rows: plan.kernel(rows) + 0.25)

    monkeypatch.setitem(build._BUILDERS, path, wrong)
    record = Record()
    assert direct(scaled(), "predict_proba", record=record) is None
    assert record.outcomes[-1] == ("Pipeline.predict_proba", False)


def test_one_of_a_known_kind_still_has_to_show_its_own_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    path, right = "sklearn.linear_model.LogisticRegression", build._BUILDERS["sklearn.linear_model.LogisticRegression"]
    assert direct(logistic(X), "predict_proba") is not None

    def wrong(estimator: Any, method: str) -> Plan | None:
        plan = right(estimator, method)
        return plan and Plan(lambda rows: np.nextafter(plan.kernel(rows), 2.0))

    monkeypatch.setitem(build._BUILDERS, path, wrong)
    assert direct(logistic(X[::2], Y[::2]), "predict_proba") is None


def nothing_found() -> None:
    return None


def test_a_path_is_looked_for_once_for_each_estimator_and_method() -> None:
    record, one, other = Record(), linear_model.Ridge(), linear_model.Ridge()
    found: list[str] = []

    def find(name: str) -> Callable[[], Any]:
        return lambda: (found.append(name), np.sin)[1]

    assert record.path(one, "predict", find("one")) is np.sin
    assert record.path(one, "predict", find("again")) is np.sin
    assert record.path(one, "fit", nothing_found) is None
    assert record.path(one, "fit", find("known to have none")) is None
    assert record.path(other, "predict", find("other")) is np.sin
    assert found == ["one", "other"]


def test_an_estimator_is_known_once_one_of_its_methods_has_a_path() -> None:
    record, model = Record(), linear_model.Ridge()
    assert not record.knows(model)
    record.path(model, "transform", nothing_found)
    assert not record.knows(model)
    record.path(model, "predict", lambda: np.sin)
    assert record.knows(model)
    assert not record.knows(linear_model.Ridge())


def test_outcomes_are_believed_in_their_order_up_to_the_first_that_is_about_another() -> None:
    record = Record([("a", True), ["b", False], ("c", True), ("x", True), ("e", True)])
    asked: list[str] = []

    def prove(name: str, difference: str = "") -> Callable[[], str]:
        return lambda: (asked.append(name), difference)[1]

    assert record.proof("a", prove("a", "not asked")) == ""
    assert record.proof("b", prove("b", "differs")) == "differs"  # proved again, for its reason
    assert record.proof("c", prove("c", "not asked")) == ""
    assert record.proof("d", prove("d")) == ""
    assert record.proof("e", prove("e", "differs")) == "differs"
    assert asked == ["b", "d", "e"]
    assert record.outcomes == [("a", True), ("b", False), ("c", True), ("d", True), ("e", False)]
