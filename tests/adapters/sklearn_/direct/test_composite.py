"""Estimators made of others ask their parts: directly where they can, else as ever."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from sklearn import ensemble, frozen, linear_model, model_selection, pipeline, preprocessing

from adapters.base import Array
from adapters.sklearn_.direct import direct as direct_of
from adapters.sklearn_.direct.composite import BUILDERS
from adapters.sklearn_.direct.plan import Kernel, Plan

ROWS = np.array([[1.0, 2.0], [3.0, 4.0]])
X = np.random.default_rng(2).normal(size=(40, 2))
Y = np.arange(40) % 3


class Part:
    """A part of two features that is direct or not; either way it notes who was asked."""

    n_features_in_ = 2

    def __init__(self, name: str, answer: Callable[[Array], Array], log: list[str], *, direct: bool = True) -> None:
        self.name, self.answer, self.log, self.direct = name, answer, log, direct

    def called(self, how: str, rows: Array) -> Array:
        self.log.append(f"{how} {self.name}")
        return self.answer(rows)

    def transform(self, rows: Array) -> Array:
        return self.called("ordinary", rows)

    predict = predict_proba = transform

    @property
    def classes_(self) -> Array:
        return np.array(["a", "b"])


class Scored(Part):
    """One with a score."""

    decision_function = Part.transform


def direct(part: Any, method: str) -> Kernel | None:
    assert hasattr(part, method)
    return (lambda rows: part.called("direct", rows)) if part.direct else None


def maybe(name: str, method: str, **parts: Any) -> Plan | None:
    path = next(path for path in BUILDERS if path.endswith(f".{name}"))
    return BUILDERS[path](SimpleNamespace(**parts), method, direct)


def built(name: str, method: str, **parts: Any) -> Plan:
    plan = maybe(name, method, **parts)
    assert plan is not None
    return plan


def constant(*shares: float) -> Callable[[Array], Array]:
    return lambda rows: np.tile(np.array(shares), (len(rows), 1))


def numbers(*values: float) -> Callable[[Array], Array]:
    return lambda rows: np.array(values)[: len(rows)]


def test_a_pipeline_passes_its_steps() -> None:
    log: list[str] = []
    steps = [
        ("a", Part("a", lambda rows: rows + 1, log)),
        ("b", "passthrough"),
        ("c", None),
        ("d", Part("d", lambda rows: rows * 2, log, direct=False)),
        ("e", Part("e", lambda rows: rows.sum(axis=1), log)),
    ]
    plan = built("Pipeline", "predict", steps=steps)
    assert plan.kernel(ROWS).tolist() == [10.0, 18.0]
    assert log == ["direct a", "ordinary d", "direct e"]
    assert (plan.width, plan.any_input) == (2, True)


@pytest.mark.parametrize(
    ("made", "how"),
    [
        (lambda rows: rows, "direct"),
        (lambda rows: rows * 1e300 * 1e300, "ordinary"),
        (lambda rows: rows * np.nan, "ordinary"),
        (lambda rows: rows.astype(np.float32), "ordinary"),
        (lambda rows: rows.tolist(), "ordinary"),
    ],
    ids=["numbers", "infinity", "NaN", "float32", "a list"],
)
@pytest.mark.filterwarnings("ignore:overflow")
def test_a_later_step_checks_what_nobody_has_checked(made: Callable[[Array], Any], how: str) -> None:
    log: list[str] = []
    steps = [("a", Part("a", made, log)), ("b", Part("b", np.asarray, log))]
    built("Pipeline", "transform", steps=steps).kernel(ROWS)
    assert log == ["direct a", f"{how} b"]


def test_a_pipeline_of_which_nothing_is_direct_has_no_plan() -> None:
    steps = [("a", Part("a", np.asarray, [], direct=False)), ("b", Part("b", np.asarray, [], direct=False))]
    assert maybe("Pipeline", "predict", steps=steps) is None


@pytest.mark.parametrize("name", ["GridSearchCV", "RandomizedSearchCV", "FrozenEstimator"])
def test_a_wrapper_answers_by_what_it_holds(name: str) -> None:
    log: list[str] = []
    held, other = Part("best", np.negative, log), Part("other", np.negative, log, direct=False)
    place = "estimator" if name == "FrozenEstimator" else "best_estimator_"
    plan = built(name, "predict", **{place: held})
    assert plan.any_input
    assert plan.kernel(ROWS).tolist() == (-ROWS).tolist()
    assert log == ["direct best"]
    assert maybe(name, "predict", **{place: other}) is None


def voting(log: list[str], weights: list[float] | None = None, *, direct: bool = True, **more: Any) -> dict[str, Any]:
    """Two voters, of which the first is never direct."""
    parts = [Part("x", constant(0.9, 0.1), log, direct=False), Part("y", constant(0.3, 0.7), log, direct=direct)]
    classes = np.array(["a", "b"])
    return {"estimators_": parts, "voting": "soft", "_weights_not_none": weights, "classes_": classes, **more}


def test_soft_votes_are_weighted_probabilities() -> None:
    log: list[str] = []
    plan = built("VotingClassifier", "predict_proba", **voting(log))
    np.testing.assert_allclose(plan.kernel(ROWS), [[0.6, 0.4]] * 2)
    assert log == ["ordinary x", "direct y"]
    weighted = voting([], [1, 3])
    np.testing.assert_allclose(built("VotingClassifier", "predict_proba", **weighted).kernel(ROWS), [[0.45, 0.55]] * 2)
    assert built("VotingClassifier", "predict", **weighted).kernel(ROWS).tolist() == ["b", "b"]
    assert built("VotingClassifier", "predict", **voting([])).kernel(ROWS).tolist() == ["a", "a"]


def test_votes_of_which_there_is_no_plan() -> None:
    assert maybe("VotingClassifier", "predict", **voting([], voting="hard")) is None
    assert maybe("VotingClassifier", "transform", **voting([])) is None
    nothing = voting([], direct=False)
    assert maybe("VotingClassifier", "predict", **nothing) is None
    assert maybe("VotingRegressor", "predict", **nothing) is None
    assert maybe("VotingRegressor", "transform", **voting([])) is None


def test_a_vote_on_numbers_is_their_weighted_mean() -> None:
    parts = [Part("x", numbers(1.0, 2.0), []), Part("y", numbers(5.0, 10.0), [], direct=False)]
    for weights, expected in ((None, [3.0, 6.0]), ([3, 1], [2.0, 4.0])):
        plan = built("VotingRegressor", "predict", estimators_=parts, _weights_not_none=weights)
        assert plan.kernel(ROWS).tolist() == expected


def calibrated(part: Part, *calibrators: Callable[[Array], Array], method: str = "isotonic", **more: Any) -> Any:
    classes = np.array(["a", "b", "c"][: max(2, len(calibrators))])
    known = [SimpleNamespace(predict=calibrator) for calibrator in calibrators]
    return SimpleNamespace(**{"classes": classes, "method": method, "estimator": part, "calibrators": known, **more})


def calibration(*parts: Any, method: str = "predict_proba") -> Plan | None:
    return maybe("CalibratedClassifierCV", method, calibrated_classifiers_=list(parts), classes_=parts[0].classes)


def shares(*parts: Any) -> list[Any]:
    plan = calibration(*parts)
    assert plan is not None
    found: list[Any] = plan.kernel(ROWS).tolist()
    return found


def test_two_classes_share_a_calibrated_score() -> None:
    log: list[str] = []
    scored = calibrated(Scored("s", numbers(0.25, 0.5), log), lambda scores: scores)
    assert shares(scored) == [[0.75, 0.25], [0.5, 0.5]]
    probable = calibrated(Part("p", constant(0.0, 1.0), log, direct=False), lambda scores: scores * 0.75)
    assert shares(probable) == [[0.25, 0.75]] * 2  # where there is no score: the second class's probability
    assert shares(scored, probable) == [[0.5, 0.5], [0.375, 0.625]]
    assert log == ["direct s", "ordinary p", "direct s", "ordinary p"]
    plan = calibration(scored, method="predict")
    assert plan is not None
    assert plan.kernel(ROWS).tolist() == ["a", "a"]


def test_a_sigmoid_is_calculated_here() -> None:
    sigmoid = type("_SigmoidCalibration", (), {"a_": -2.0, "b_": 0.5})()
    part = calibrated(Scored("s", numbers(0.25, 1.0), []), method="sigmoid", calibrators=[sigmoid])
    assert [row[1] for row in shares(part)] == pytest.approx([0.5, 1 / (1 + np.exp(-1.5))])


class Three(Scored):
    @property
    def classes_(self) -> Array:
        return np.array(["a", "b", "c"])


def test_several_classes_are_made_to_add_up() -> None:
    part = Three("s", constant(1.0, 2.0, 5.0), [])
    same = [lambda scores: scores] * 3
    assert shares(calibrated(part, *same)) == [[0.125, 0.25, 0.625]] * 2
    nothing = [lambda scores: scores * 0] * 3
    assert shares(calibrated(part, *nothing)) == [[1 / 3] * 3] * 2


def test_what_is_a_hair_above_one_is_one() -> None:
    part = Scored("s", numbers(1.000001, 1.1), [])
    assert [row[1] for row in shares(calibrated(part, lambda scores: scores))] == [1.0, 1.1]


def test_calibrations_of_which_there_is_no_plan() -> None:
    part = Scored("s", numbers(0.5, 0.5), [])
    known = calibrated(part, lambda scores: scores)
    assert calibration(known) is not None
    assert calibration(known, method="transform") is None
    assert calibration(known, calibrated(part, np.asarray, method="temperature")) is None
    assert calibration(known, calibrated(part, np.asarray, classes=np.array(["b", "a"]))) is None


def test_a_random_search_answers_by_its_best() -> None:
    search = model_selection.RandomizedSearchCV(linear_model.Ridge(), {"alpha": [0.1, 1.0]}, n_iter=2, cv=2).fit(X, Y)
    function = direct_of(search, "predict")
    assert function is not None
    assert function(X).tobytes() == search.predict(X).tobytes()


@pytest.mark.parametrize(
    "wrap",
    [
        frozen.FrozenEstimator,
        lambda model: pipeline.make_pipeline("passthrough", model),
        lambda model: pipeline.make_pipeline(preprocessing.StandardScaler(), model).fit(X, Y),
        lambda model: ensemble.VotingClassifier([("a", model), ("b", model)], voting="soft", weights=[1, 2]).fit(X, Y),
    ],
    ids=["frozen", "passed through", "scaled", "voted"],
)
def test_real_ones_answer_to_the_bit(wrap: Callable[[Any], Any]) -> None:
    model = wrap(linear_model.LogisticRegression(max_iter=500).fit(X, Y))
    function = direct_of(model, "predict_proba")
    assert function is not None
    assert function(X).tobytes() == model.predict_proba(X).tobytes()
