"""Loading the model that was found among a directory's files, and the reasons where that cannot be."""

from __future__ import annotations

import logging
import os
import pickle
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import sklearn
import xgboost
from sklearn.base import BaseEstimator
from sklearn.cluster import DBSCAN
from sklearn.ensemble import RandomForestClassifier, VotingClassifier
from sklearn.feature_extraction.image import PatchExtractor
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.naive_bayes import MultinomialNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from adapters import registry
from adapters.base import LoadError, Match, ModelDir, Rank, Trust
from adapters.sklearn_ import SklearnAdapter
from adapters.sklearn_.parts import parts_of
from server.codec import v1
from server.errors import InvalidInput as Refused
from tests.adapters.formats.pickles.attacks import Calls
from tests.adapters.sklearn_.kit import TEXTS, X, Y, serve

MODEL = LogisticRegression().fit(X, Y)

#: a claim on a pickle, which is never plain data: `--trust safe` must leave it alone, whatever its scan found
pickled = partial(Match, Rank.CONTENT, trust=Trust.PICKLE, made_by=f"scikit-learn {sklearn.__version__}")


class Threshold(BaseEstimator):
    """A user's own estimator."""

    def fit(self, rows: Any, _labels: Any) -> Threshold:
        self.n_features_in_ = rows.shape[1]
        return self

    def predict(self, rows: Any) -> Any:
        return (np.asarray(rows)[:, 0] > 0).astype(int)


def _match(folder: Path) -> Match | None:
    return SklearnAdapter.match(ModelDir.of(folder))


def _problem(folder: Path) -> str:
    match = _match(folder)
    assert match is not None
    return match.problem


@pytest.mark.parametrize("file", ["model.joblib", "m.pkl", "M.PICKLE"])
@pytest.mark.parametrize("compress", [0, ("gzip", 3), ("lzma", 3)])
def test_a_model_under_any_of_its_names(file: str, compress: Any, tmp_path: Path) -> None:
    joblib.dump(MODEL, tmp_path / file, compress=compress)
    choice = registry.choose(ModelDir.of(tmp_path))
    assert choice.adapter is SklearnAdapter
    assert choice.match == pickled(file)


@pytest.mark.parametrize("protocol", range(6))
def test_plain_pickles(protocol: int, tmp_path: Path) -> None:
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(MODEL, protocol))
    adapter = SklearnAdapter.load(ModelDir.of(tmp_path), "model.pkl", {})
    np.testing.assert_array_equal(adapter.predict({"input-0": X}, {})["output-0"], MODEL.predict(X))


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "a.pkl is empty"), (b"hello", "a.pkl is no pickle"), (pickle.dumps(MODEL)[:-40], "a.pkl is cut short")],
)
def test_damaged_files(content: bytes, reason: str, tmp_path: Path) -> None:
    (tmp_path / "a.pkl").write_bytes(content)
    with pytest.raises(LoadError, match=reason):
        registry.choose(ModelDir.of(tmp_path))
    with pytest.raises(LoadError, match=r"a\.pkl"):
        SklearnAdapter.load(ModelDir.of(tmp_path), "a.pkl", {})


def test_a_refused_pickle_is_named_and_not_loaded(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    model = LogisticRegression().fit(X, Y)
    model.extra = Calls(os.system, f"touch {mark}")
    joblib.dump(model, tmp_path / "model.pkl")
    expected = "model.pkl names posix.system, which is not a class of a known library; it was not loaded"
    assert _match(tmp_path) == pickled("model.pkl", expected)
    with pytest.raises(LoadError, match=r"names posix\.system"):
        SklearnAdapter.load(ModelDir.of(tmp_path), "model.pkl", {})
    assert not mark.exists()


def test_trust_loads_the_users_own_classes(tmp_path: Path) -> None:
    joblib.dump(Threshold().fit(X, Y), tmp_path / "model.pkl")
    directory = ModelDir.of(tmp_path)
    assert f"names {__name__}.Threshold, which is not" in _problem(tmp_path)
    assert "set `trust: full` in its polyserve.yaml" in _problem(tmp_path)
    trusting = replace(directory, trusted=True)
    assert SklearnAdapter.match(trusting) == Match(Rank.CONTENT, "model.pkl", trust=Trust.CODE)
    for adapter in (
        SklearnAdapter.load(trusting, "model.pkl", {}),
        SklearnAdapter.load(directory, "model.pkl", {"trust": "full"}),
    ):
        assert adapter.predict({"input-0": X[:5]}, {})["output-0"].tolist() == (X[:5, 0] > 0).astype(int).tolist()


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (DBSCAN().fit(X), "holds a DBSCAN, which has no method that answers for new rows"),
        (KFold(2), "holds a KFold, which has no method"),
        (PatchExtractor(), "holds a PatchExtractor, which does not say what it takes"),
        (LogisticRegression(), "holds a LogisticRegression that was never fitted: dump it after fit"),
        (make_pipeline(CountVectorizer(), MultinomialNB()), "holds a model that was never fitted"),
        (
            make_pipeline(CountVectorizer(input="filename"), MultinomialNB()),
            r"CountVectorizer\(input='filename'\), which would open files that requests name",
        ),
    ],
)
def test_what_cannot_be_served(model: Any, reason: str, tmp_path: Path) -> None:
    with pytest.raises(LoadError, match=rf"^model\.joblib .*{reason}"):
        serve(model, tmp_path)


@pytest.mark.parametrize("bare", [True, False])
def test_catboost_within_a_model_is_served(bare: bool, tmp_path: Path) -> None:
    catboost = pytest.importorskip("catboost").CatBoostClassifier(iterations=3, verbose=0, allow_writing_files=False)
    other = VotingClassifier([("a", catboost), ("b", LogisticRegression())], voting="soft")
    model = make_pipeline(StandardScaler(), catboost if bare else other).fit(X, Y)
    adapter = serve(model, tmp_path)
    assert adapter.predict({"input-0": X}, {})["output-0"].tolist() == model.predict(X).tolist()


def test_an_older_version_is_told_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    content = pickle.dumps(MODEL, 2)
    from sklearn import __version__

    old = content.replace(__version__.encode(), b"1.2.0"[: len(__version__)])
    (tmp_path / "model.pkl").write_bytes(old)
    with caplog.at_level(logging.WARNING):
        adapter = SklearnAdapter.load(ModelDir.of(tmp_path), "model.pkl", {})
    assert f"model.pkl was saved by scikit-learn 1.2.0, and this is {__version__}" in caplog.text
    assert len(adapter.predict({"input-0": X}, {})["output-0"]) == len(X)


def test_a_class_that_this_version_lacks_names_both_versions(tmp_path: Path) -> None:
    content = pickle.dumps(MODEL, 0).replace(b"sklearn.linear_model._logistic", b"sklearn.linear_model.logistic")
    (tmp_path / "model.pkl").write_bytes(content.replace(b"1.9.1", b"0.20.1"))
    with pytest.raises(
        LoadError, match=r"model\.pkl names sklearn\.linear_model\.logistic\.LogisticRegression, which is "
    ):
        SklearnAdapter.load(ModelDir.of(tmp_path), "model.pkl", {})


def test_every_part_runs_on_one_thread(tmp_path: Path) -> None:
    search = GridSearchCV(make_pipeline(StandardScaler(), RandomForestClassifier(3)), {}, cv=2).fit(X, Y)
    search.set_params(n_jobs=2, estimator__randomforestclassifier__n_jobs=4)
    search.best_estimator_[-1].n_jobs = 4
    for model in (
        search,
        xgboost.XGBClassifier(n_estimators=2, n_jobs=3).fit(X, Y),
        KNeighborsClassifier(n_jobs=-1).fit(X, Y),
    ):
        adapter = serve(model, tmp_path)
        jobs = [vars(part)["n_jobs"] for part in parts_of(adapter.model) if "n_jobs" in vars(part)]
        assert jobs
        assert set(jobs) == {1}
    booster = serve(xgboost.XGBClassifier(n_estimators=2, n_jobs=3).fit(X, Y), tmp_path).model.get_booster()
    assert '"nthread":"1"' in booster.save_config().replace(" ", "")


def test_nothing_is_printed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    model = RandomForestClassifier(3, verbose=2).fit(X, Y)
    adapter = serve(model, tmp_path)
    capfd.readouterr()
    adapter.predict({"input-0": X}, {})
    assert capfd.readouterr() == ("", "")


def test_a_model_that_refuses_every_example_is_served(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    class_names = np.array(["far", "near"])
    model = KNeighborsClassifier(1).fit(X, class_names[Y])
    model.n_features_in_ = 9  # so that it refuses whatever fits its own word
    adapter = serve(model, tmp_path)
    assert "takes none of the examples" in caplog.text
    assert [(spec.datatype, spec.shape) for spec in adapter.signature.outputs] == [("BYTES", (-1,))]


@pytest.mark.slow
def test_loading_imports_what_the_model_needs(tmp_path: Path) -> None:
    joblib.dump(make_pipeline(CountVectorizer(), MultinomialNB()).fit(TEXTS, Y), tmp_path / "model.joblib")
    code = (
        "import sys; from adapters import registry; from adapters.base import ModelDir\n"
        f"directory = ModelDir.of({str(tmp_path)!r}); choice = registry.choose(directory)\n"
        "choice.adapter.load(directory, choice.match.file, {})\n"
        "print({'xgboost', 'lightgbm', 'torch', 'spacy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_xgboosts_categories_without_names_say_what_to_send(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """As XGBoost before 3.1 kept them: the trees have categories, by their codes alone."""
    rows = np.c_[np.arange(40) % 3, np.linspace(0, 1, 40)]
    model = xgboost.XGBClassifier(n_estimators=3, enable_categorical=True, feature_types=["c", "q"])
    model.fit(rows, np.arange(40) % 3 == 1)
    adapter = serve(model, tmp_path)
    told = "column 0 holds categories, but the file holds no names of them: send their codes"
    assert told in caplog.text
    assert told in adapter.signature.inputs[0].note
    with pytest.raises(Refused, match=r"is the string 'male', the model takes FP64; column 0 holds categories"):
        v1.decode({"instances": [["male", 0.5]]}, adapter.signature)
    assert adapter.predict({"input-0": rows}, {})["output-0"].tolist() == model.predict(rows).tolist()
