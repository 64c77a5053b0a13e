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
from adapters.sklearn_.direct import Record, build, direct, proof
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
    assert direct(model, "predict", record=Record(failed.outcomes)) is None
    assert "Ridge.predict takes its ordinary path: the direct one gives" in caplog.text
