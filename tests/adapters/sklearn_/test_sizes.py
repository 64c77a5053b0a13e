"""Files whose parts do not fit each other: each had native code read, or write, memory that is not the model's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from scipy.interpolate import BSpline
from sklearn.cluster import BisectingKMeans, KMeans, MiniBatchKMeans
from sklearn.feature_extraction import DictVectorizer, FeatureHasher
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer
from sklearn.linear_model import LinearRegression
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor, NearestNeighbors, RadiusNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, KBinsDiscretizer, OneHotEncoder, SplineTransformer
from sklearn.random_projection import SparseRandomProjection
from sklearn.svm import SVC, SVR, NuSVC, OneClassSVM

from adapters.base import LoadError
from adapters.sklearn_.settle import settle
from adapters.sklearn_.sizes import check_sizes
from tests.adapters.sklearn_.kit import TEXTS, THREE, X, Y, serve

RARE = [["a"]] * 5 + [["b"]] * 5 + [["c"]]
FAR = 10**7
FORMATS = {"csr": "indices", "csc": "indptr", "bsr": "indices", "coo": "row", "dia": "offsets", "lil": "rows"}


def words(**places: int) -> Any:
    model = make_pipeline(CountVectorizer(), LinearRegression()).fit(TEXTS, X[:, 0])
    model[0].vocabulary_.update(places)
    return model


def support(model: Any = None, **changes: Any) -> Any:
    model = (model or SVC()).fit(X, THREE)
    for name, value in changes.items():
        setattr(model, name, np.array(value, np.int32 if name == "_n_support" else float))
    return model


def neighbours(model: Any, **changes: Any) -> Any:
    vars(model.fit(X, Y)).update(changes)
    return model


def encoder(model: Any = None, **changes: Any) -> Any:
    model = (model or OneHotEncoder(min_frequency=3, sparse_output=False)).fit(RARE)
    vars(model).update(changes)
    return model


def projection(name: str, value: Any) -> Any:
    model = SparseRandomProjection(2, density=0.9, random_state=0).fit(X)
    getattr(model.components_, name)[...] = value
    return model


def centres(model: Any) -> Any:
    model.fit(X).cluster_centers_ = np.zeros((2, 1))
    return model


def halves() -> Any:
    model = BisectingKMeans(3, random_state=0).fit(X)
    model._bisecting_tree.left.center = np.zeros(1)
    return model


def spline(**changes: Any) -> Any:
    model = SplineTransformer(4).fit(X)
    for name, value in changes.items():
        setattr(model.bsplines_[0], name, value)
    return model


def hashing() -> Any:
    model = HashingVectorizer(n_features=8)
    model.n_features = 0
    return make_pipeline(model, LinearRegression())


DAMAGED: dict[str, Callable[[], Any]] = {
    "a word beyond the columns": lambda: words(good=FAR),
    "a word before the columns": lambda: words(good=-1),
    "support vectors of a class that has none": lambda: support(_n_support=[-FAR, FAR, 90]),
    "more support vectors than there are": lambda: support(_n_support=[90, 90, 90]),
    "fewer weights than support vectors": lambda: support(_dual_coef_=[[1.0], [1.0]]),
    "fewer intercepts than pairs": lambda: support(_intercept_=[1.0]),
    "fewer probabilities than pairs": lambda: support(_probA=[1.0], _probB=[1.0]),
    "narrower support vectors": lambda: support(support_vectors_=np.zeros((90, 1))),
    "a support vector of regression": lambda: support(SVR(), _n_support=[FAR, 0]),
    "support vectors of one class": lambda: support(OneClassSVM(), _n_support=[0]),
    "the kernel of a row that there is not": lambda: _precomputed(FAR),
    "narrower rows of neighbours": lambda: neighbours(KNeighborsRegressor(algorithm="brute"), _fit_X=np.zeros((90, 1))),
    "a label beyond the classes": lambda: neighbours(KNeighborsClassifier(algorithm="brute"), _y=np.full(90, FAR)),
    "a label before the classes": lambda: neighbours(RadiusNeighborsClassifier(algorithm="brute"), _y=np.full(90, -9)),
    "fewer labels than rows": lambda: neighbours(KNeighborsClassifier(), _y=np.zeros(3, int)),
    "a rare category beyond the columns": lambda: encoder(_default_to_infrequent_mappings=[np.array([FAR, 1, 2])]),
    "a rare category before the columns": lambda: encoder(_default_to_infrequent_mappings=[np.array([-9, 1, 2])]),
    "rare categories of none": lambda: encoder(_default_to_infrequent_mappings=[None]),
    "rare categories of fewer": lambda: encoder(_default_to_infrequent_mappings=[np.array([0, 1])]),
    "fewer columns than categories": lambda: encoder(OneHotEncoder(sparse_output=False), _n_features_outs=[1]),
    "a category dropped before the first": lambda: encoder(
        OneHotEncoder(drop="first"), _drop_idx_after_grouping=np.array([-5], object)
    ),
    "a sparse matrix's columns": lambda: projection("indices", FAR),
    "a sparse matrix's negative columns": lambda: projection("indices", -1),
    "a sparse matrix's rows": lambda: projection("indptr", [0, FAR, 0]),  # of which scipy's own check says nothing
    "narrower centres": lambda: centres(KMeans(2)),
    "narrower centres of batches": lambda: centres(MiniBatchKMeans(2)),
    "narrower centres of halves": halves,
    "fewer coefficients of a spline": lambda: spline(c=np.zeros((1, 1))),
    "a spline of a high degree": lambda: spline(k=10**8),
    "no knots": lambda: spline(t=np.zeros(0)),
    "no place for a hash": hashing,
    "a class that makes arrays of any memory": lambda: FunctionTransformer(np.ndarray, kw_args={"buffer": b"A" * 64}),
}


def _precomputed(row: int) -> Any:
    model = SVC(kernel="precomputed").fit(X @ X.T, THREE)
    model.support_ = np.full(len(model.support_), row, np.int32)
    return model


@pytest.mark.parametrize("name", DAMAGED)
def test_parts_that_do_not_fit_are_refused(name: str) -> None:
    with pytest.raises(LoadError, match=r"^holds a damaged \w+: its parts do not fit each other$"):
        settle(DAMAGED[name]())


def test_a_file_is_refused_before_anything_asks_its_model(tmp_path: Path) -> None:
    for name in ("a word beyond the columns", "a sparse matrix's rows", "a rare category beyond the columns"):
        with pytest.raises(LoadError, match=r"^model\.joblib holds a damaged "):
            serve(DAMAGED[name](), tmp_path / name.replace(" ", "-"))


@pytest.mark.parametrize("kind", FORMATS)
def test_sparse_matrices_of_every_format(kind: str) -> None:
    matrix = scipy.sparse.eye(4).asformat(kind)
    check_sizes(matrix)
    check_sizes(scipy.sparse.csr_matrix((3, 0)).asformat(kind))
    damaged = getattr(matrix, FORMATS[kind])
    if kind == "lil":
        damaged[1] = [FAR]
    elif kind == "dia":
        matrix.offsets = np.array([0, 1, 2])
    else:
        matrix.__dict__[FORMATS[kind]] = damaged = damaged.copy()
        damaged[1] = FAR
        if kind == "coo":
            matrix.coords = (damaged, matrix.col)
    with pytest.raises(LoadError, match="do not fit"):
        check_sizes(matrix)


def test_indices_are_whole_numbers() -> None:
    matrix = scipy.sparse.csr_matrix(np.eye(3))
    matrix.indices = matrix.indices.astype(float)
    with pytest.raises(LoadError, match="do not fit"):
        check_sizes(matrix)


def test_a_booster_is_no_function_of_rows() -> None:
    import xgboost

    with pytest.raises(LoadError, match="do not fit"):
        check_sizes(FunctionTransformer(xgboost.Booster, kw_args={"model_file": "/etc/passwd"}))
    for function in (None, np.log1p, pd.DataFrame, float):
        check_sizes(FunctionTransformer(function))


def test_sound_models_pass() -> None:
    sparse = scipy.sparse.csr_matrix(X)
    models = [SVC(), NuSVC(), SVR(), OneClassSVM(), SVC(kernel=lambda one, two: one @ two.T), KNeighborsClassifier()]
    models += [NearestNeighbors(algorithm="brute"), KMeans(3), BisectingKMeans(3), SplineTransformer(4)]
    for model in (*models, KBinsDiscretizer(3, quantile_method="averaged_inverted_cdf"), SparseRandomProjection(2)):
        settle(model.fit(X, Y))
    for model in (SVC(), SVR(), OneClassSVM(), KNeighborsClassifier(), KMeans(2)):
        settle(model.fit(sparse, Y))
    for texts in (CountVectorizer(), TfidfVectorizer(), CountVectorizer(vocabulary=["good", "bad"])):
        settle(texts.fit(TEXTS))
    settle(DictVectorizer().fit([{"a": 1, "b": "x"}]))
    settle(SVC(kernel="precomputed").fit(X @ X.T, Y))
    settle(KNeighborsClassifier().fit(X, np.c_[Y, Y]))
    for options in ({}, {"drop": "first"}, {"min_frequency": 3}, {"max_categories": 2, "drop": "first"}):
        for unknown in ("error", "ignore", "infrequent_if_exist"):
            settle(OneHotEncoder(handle_unknown=unknown, **options).fit(RARE))  # type: ignore[arg-type]
    settle(BSpline(np.arange(10.0), np.zeros((6, 2)), 3))


def test_what_was_never_fitted_passes() -> None:
    for model in (SVC(), KNeighborsClassifier(), OneHotEncoder(), KMeans(), CountVectorizer(), FeatureHasher()):
        check_sizes(model)


def test_an_encoder_of_versions_that_keep_what_is_dropped_elsewhere_passes() -> None:
    model = OneHotEncoder(drop="first").fit(RARE)
    del model._drop_idx_after_grouping
    settle(model)
    model.drop_idx_ = np.array([-5], object)
    with pytest.raises(LoadError, match="do not fit"):
        settle(model)
