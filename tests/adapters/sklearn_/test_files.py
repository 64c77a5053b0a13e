"""Which of a directory's pickles is the model, and the reasons where none is."""

from __future__ import annotations

import errno
import os
import pickle
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import joblib
import lightgbm
import pytest
import sklearn
import xgboost
from sklearn import __version__
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from adapters.base import Match, ModelDir, Rank, Trust
from adapters.sklearn_ import files
from adapters.sklearn_.files import find
from tests.adapters.formats.pickles.attacks import Calls
from tests.adapters.sklearn_.kit import FRAME, X, Y

MODEL = LogisticRegression().fit(X, Y)

#: a claim on a pickle, which is never plain data: `--trust safe` must leave it alone, whatever its scan found
MADE_BY = f"scikit-learn {sklearn.__version__}"
pickled = partial(Match, Rank.CONTENT, trust=Trust.PICKLE, made_by=MADE_BY)


class Own:
    """A user's own model."""


def problem(folder: Path) -> str:
    match = find(ModelDir.of(folder))
    assert match is not None
    return match.problem


@pytest.mark.parametrize("file", ["model.joblib", "m.pkl", "M.PICKLE"])
def test_a_model_has_any_of_the_usual_names(file: str, tmp_path: Path) -> None:
    joblib.dump(MODEL, tmp_path / file)
    assert find(ModelDir.of(tmp_path)) == pickled(file)


@pytest.mark.parametrize("file", ["model.sav", "model.joblib.gz", "model"])
def test_a_pickle_of_another_name_is_a_weaker_claim(file: str, tmp_path: Path) -> None:
    joblib.dump(MODEL, tmp_path / file)
    (tmp_path / "README").write_text("of no interest")
    assert find(ModelDir.of(tmp_path)) == Match(Rank.SUFFIX, file, trust=Trust.PICKLE, made_by=MADE_BY)


def test_other_names_are_looked_at_only_where_the_usual_ones_hold_no_model(tmp_path: Path) -> None:
    joblib.dump(MODEL, tmp_path / "old.sav")
    joblib.dump(MODEL, tmp_path / "model.joblib")
    assert find(ModelDir.of(tmp_path)) == pickled("model.joblib")
    joblib.dump({"a": 1}, tmp_path / "model.joblib")
    assert find(ModelDir.of(tmp_path)) == Match(Rank.SUFFIX, "old.sav", trust=Trust.PICKLE, made_by=MADE_BY)
    joblib.dump([1], tmp_path / "old.sav")
    assert find(ModelDir.of(tmp_path)) == pickled(
        "model.joblib", "model.joblib holds a dict, which cannot predict: dump the fitted model itself", made_by=""
    )


def test_nothing_of_ours(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"")
    assert find(ModelDir.of(tmp_path)) is None


@pytest.mark.parametrize(
    ("make", "requires"),
    [
        (lambda: xgboost.XGBClassifier(n_estimators=1).fit(X, Y), ("xgboost",)),
        (lambda: lightgbm.LGBMClassifier(n_estimators=1, verbose=-1).fit(X, Y), ("lightgbm",)),
        (lambda: make_pipeline(StandardScaler(), xgboost.XGBRegressor(n_estimators=1)).fit(X, Y), ("xgboost",)),
        (lambda: StandardScaler().fit(FRAME[["age"]]), ("pandas",)),
        (lambda: make_pipeline(StandardScaler(), xgboost.XGBRegressor()).fit(FRAME[["age"]], Y), ("pandas", "xgboost")),
        (lambda: MODEL, ()),
    ],
    ids=["xgboost", "lightgbm", "within a pipeline", "a frame", "both", "nothing"],
)
def test_what_a_model_requires(make: Any, requires: tuple[str, ...], tmp_path: Path) -> None:
    joblib.dump(make(), tmp_path / "model.joblib")
    found = find(ModelDir.of(tmp_path))
    assert found is not None
    assert replace(found, made_by="") == pickled("model.joblib", requires=requires, made_by="")


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda: {"model": MODEL}, "holds a dict, which cannot predict: dump the fitted model itself"),
        (lambda: [MODEL], "holds a list, which cannot"),
        (lambda: (MODEL, 1), "holds a tuple, which cannot"),
        (lambda: X, "holds an array, which cannot"),
        (lambda: 5, "holds an int, which cannot"),
        (lambda: None, "holds None, which cannot"),
        (lambda: FRAME, "holds a pandas DataFrame, which cannot"),
        (lambda: LogisticRegression, "holds the class sklearn.linear_model._logistic.LogisticRegression itself, which"),
        (
            lambda: xgboost.train({}, xgboost.DMatrix(X, Y), 1),
            "holds a bare XGBoost booster: write it with save_model('model.ubj')",
        ),
        (
            lambda: lightgbm.train({"verbose": -1}, lightgbm.Dataset(X, Y), 1),
            "holds a bare LightGBM booster: write it with save_model('model.txt')",
        ),
    ],
    ids=["dict", "list", "tuple", "array", "int", "None", "frame", "class", "xgboost", "lightgbm"],
)
def test_what_is_no_model(make: Any, what: str, tmp_path: Path) -> None:
    joblib.dump(make(), tmp_path / "a.pkl")
    assert problem(tmp_path).startswith(f"a.pkl {what}")


def test_a_bare_catboost_model_gets_its_way_out(tmp_path: Path) -> None:
    model = pytest.importorskip("catboost").CatBoostRegressor(iterations=2, verbose=0, allow_writing_files=False)
    joblib.dump(model.fit(X, Y), tmp_path / "model.joblib")
    assert problem(tmp_path) == "model.joblib holds a bare CatBoost model: write it with save_model('model.cbm')"


def test_two_candidates(tmp_path: Path) -> None:
    joblib.dump(MODEL, tmp_path / "a.pkl")
    joblib.dump(MODEL, tmp_path / "b.joblib")
    assert problem(tmp_path) == "two candidate models: a.pkl and b.joblib; keep one"
    (tmp_path / "b.joblib").write_bytes(b"")
    assert problem(tmp_path) == "two candidate models: a.pkl and b.joblib; keep one"


def test_plain_data_beside_the_model_is_left_alone(tmp_path: Path) -> None:
    joblib.dump({0: "no", 1: "yes"}, tmp_path / "labels.pkl")
    joblib.dump(MODEL, tmp_path / "model.joblib")
    assert find(ModelDir.of(tmp_path)) == pickled("model.joblib")


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "a.pkl is empty"), (b"hello", "a.pkl is no pickle"), (pickle.dumps(MODEL)[:-40], "a.pkl is cut short")],
    ids=["empty", "text", "cut short"],
)
def test_a_damaged_file_claims_by_its_name_alone(content: bytes, reason: str, tmp_path: Path) -> None:
    (tmp_path / "a.pkl").write_bytes(content)
    match = find(ModelDir.of(tmp_path))
    assert match is not None
    assert (match.rank, match.file) == (Rank.SUFFIX, "a.pkl")
    assert reason in match.problem


def test_a_file_that_cannot_be_read_is_named_with_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: Path) -> Any:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    (tmp_path / "a.pkl").touch()
    monkeypatch.setattr(files, "inspect", refused)
    assert find(ModelDir.of(tmp_path)) == Match(Rank.SUFFIX, "a.pkl", "a.pkl cannot be read: Permission denied")


def test_a_refused_pickle_is_named_and_not_run(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    joblib.dump([MODEL, Calls(os.system, f"touch {mark}")], tmp_path / "model.pkl")
    expected = "model.pkl names posix.system, which is not a class of a known library; it was not loaded"
    assert find(ModelDir.of(tmp_path)) == pickled("model.pkl", expected)
    assert not mark.exists()


def test_trust_claims_what_is_a_users_own_and_says_that_it_runs_code(tmp_path: Path) -> None:
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(Own()))
    directory = ModelDir.of(tmp_path)
    assert f"names {__name__}.Own, which is not" in problem(tmp_path)
    assert "set `trust: full` in its polyserve.yaml" in problem(tmp_path)
    trusting = replace(directory, trusted=True)
    assert find(trusting) == Match(Rank.CONTENT, "model.pkl", trust=Trust.CODE)
    (tmp_path / "model.pkl").write_bytes(pickle.dumps([Own()]))
    match = find(trusting)
    assert match is not None
    assert match.problem.startswith("model.pkl holds a list, which cannot predict")


def test_the_version_that_made_it_comes_with_the_claim(tmp_path: Path) -> None:
    made = b"1.3.2"
    assert len(made) == len(__version__)
    content = pickle.dumps(MODEL, 2)
    (tmp_path / "model.pkl").write_bytes(content.replace(__version__.encode(), made))
    match = find(ModelDir.of(tmp_path))
    assert match is not None
    assert match.origin is not None
    assert (match.origin.made_by, match.origin.installed) == ("scikit-learn 1.3.2", __version__)
