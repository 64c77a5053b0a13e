"""XGBoost's C function by itself: the bits of `inplace_predict`, for rows that C may read, and only for those."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from adapters.shared import native_calls
from adapters.shared.native_calls import Predict, differs, rows_like
from adapters.xgboost_ import dense_rows
from adapters.xgboost_.dense_rows import DenseRows, proved
from adapters.xgboost_.runner import Runner
from tests.adapters.boosters import same

xgboost = pytest.importorskip("xgboost")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 4)).astype(np.float32)
QUIET = {"nthread": 1, "verbosity": 0}


def _trained(y: Any, rounds: int = 20, **settings: Any) -> Any:
    return xgboost.train({**QUIET, **settings}, xgboost.DMatrix(X, y), rounds)


def _categorical() -> Any:
    codes = X.copy()
    codes[:, 1] = RNG.integers(0, 5, len(X))
    data = xgboost.DMatrix(codes, codes[:, 1] % 2, feature_types=["q", "c", "q", "q"], enable_categorical=True)
    return xgboost.train({**QUIET, "tree_method": "hist"}, data, 5)


KINDS: dict[str, Callable[[], Any]] = {
    "regression": lambda: _trained(X[:, 0]),
    "binary": lambda: _trained(X[:, 0] > 0, objective="binary:logistic"),
    "multiclass": lambda: _trained(np.digitize(X[:, 0], [-0.4, 0.4]), objective="multi:softprob", num_class=3),
    "labels": lambda: _trained(np.digitize(X[:, 0], [-0.4, 0.4]), objective="multi:softmax", num_class=3),
    "targets": lambda: _trained(X[:, :2]),
    "forest": lambda: _trained(X[:, 0], 2, num_parallel_tree=4, subsample=0.5),
    "categories": _categorical,
}


def _ordinary(booster: Any, rounds: int = 0, kind: str = "value") -> Predict:
    return lambda rows: booster.inplace_predict(
        rows, iteration_range=(0, rounds), predict_type=kind, validate_features=False
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["FP32", "FP64"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_bits_are_those_of_the_framework(kind: str, dtype: Any) -> None:
    booster = KINDS[kind]()
    categories = {1: 5} if kind == "categories" else None
    for rounds, margin in ((0, False), (0, True), (1, False)):
        ordinary = _ordinary(booster, rounds, "margin" if margin else "value")
        quick = proved(booster, rounds, margin=margin, ordinary=ordinary, dtype=dtype, categories=categories)
        assert isinstance(quick, DenseRows)
        assert differs(quick, ordinary, rows_like(4, dtype, categories, infinite=True)) == ""
        assert same(quick(X[:7].astype(dtype)), ordinary(X[:7].astype(dtype)))


HOSTILE: dict[str, Any] = {
    "too narrow": X[:2, :3].copy(),
    "too wide": np.ones((2, 5), np.float32),
    "no rows": X[:0],
    "a row by itself": X[0],
    "one dimension more": X[None],
    "columns first": np.asfortranarray(X[:3]),
    "every second row": X[::2],
    "every second column": np.repeat(X, 2, axis=1)[:, ::2],
    "whole numbers": X.astype(np.int64),
    "half": X.astype(np.float16),
    "other byte order": X.astype(">f4"),
    "objects": X.astype(object),
    "texts": np.full((2, 4), "a"),
    "a list": [[1.0, 2.0, 3.0, 4.0]],
    "a record array": X.view(np.recarray),
    "masked": np.ma.masked_array(X, X > 0),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_c_may_not_read_never_reaches_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []
    quick = DenseRows(KINDS["regression"](), 0, margin=False, ordinary=lambda rows: given.append(rows) or X)
    monkeypatch.setattr(quick, "_call", lambda *_: pytest.fail("C was called"))
    quick(HOSTILE[name])
    assert len(given) == 1
    assert given[0] is HOSTILE[name]


def test_what_the_library_refuses_is_refused_in_the_frameworks_words(monkeypatch: pytest.MonkeyPatch) -> None:
    quick = DenseRows(KINDS["regression"](), 0, margin=False, ordinary=lambda rows: X)
    monkeypatch.setattr(quick, "_call", lambda *_: -1)
    assert quick(X[:1]) is X


def test_answers_are_the_callers_own() -> None:
    booster = KINDS["multiclass"]()
    quick = proved(booster, 0, margin=False, ordinary=_ordinary(booster))
    first = quick(X[:1])
    kept = first.copy()
    quick(X[1:2])
    assert same(first, kept)
    first[:] = 0
    assert same(quick(X[:1]), kept)


def test_threads_get_their_own_answers() -> None:
    booster = KINDS["multiclass"]()
    ordinary = _ordinary(booster)
    quick = proved(booster, 0, margin=False, ordinary=ordinary)
    expected = ordinary(X)

    def ask(start: int) -> bool:
        rows, want = X[start : start + 3], expected[start : start + 3]
        return all(same(quick(rows), want) for _ in range(30))

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(ask, range(0, 200, 3)))


def test_matrices_are_freed_with_the_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    booster = KINDS["regression"]()
    quick = DenseRows(booster, 0, margin=False, ordinary=_ordinary(booster))
    made: list[int] = []
    freed: list[int] = []
    free, create = quick._free, quick._create
    monkeypatch.setattr(quick, "_free", lambda matrix: (freed.append(matrix.value), free(matrix)))
    monkeypatch.setattr(quick, "_create", lambda to: (status := create(to), made.append(to._obj.value), status)[-1])
    for _ in range(5):
        quick(X[:1])
    assert len(made) == 1
    monkeypatch.undo()
    assert freed == []
    del quick
    gc.collect()
    assert freed == made


@pytest.mark.parametrize("fault", ["no function", "other bits", "no matrix"])
def test_otherwise_the_framework_answers_and_the_log_says_why(
    fault: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    booster = KINDS["regression"]()
    ordinary = _ordinary(booster)
    if fault == "no function":
        monkeypatch.setattr(dense_rows, "_FUNCTION", "XGBoosterPredictFromNowhere")
    elif fault == "other bits":
        whole = dense_rows._configuration
        monkeypatch.setattr(dense_rows, "_configuration", lambda rounds, *, margin: whole(1, margin=margin))
    else:
        monkeypatch.setattr(dense_rows.DenseRows, "_slot", _no_matrix)
    with caplog.at_level(logging.DEBUG, native_calls.__name__):
        assert proved(booster, 0, margin=False, ordinary=ordinary) is ordinary
    assert "C function is not called by itself" in caplog.text


def _no_matrix(self: Any) -> Any:
    raise MemoryError("XGBoost makes no proxy matrix")


def test_what_xgboost_itself_calls_is_left_as_it_was() -> None:
    booster = KINDS["regression"]()
    proved(booster, 0, margin=False, ordinary=_ordinary(booster))
    assert xgboost.core._LIB.XGBoosterPredictFromDense.argtypes is None


def test_the_adapters_runner_asks_it() -> None:
    runner = Runner(KINDS["regression"](), 0)
    assert {method: type(quick) for method, quick in runner.quick.items()} == {
        "predict": DenseRows,
        "margin": DenseRows,
    }
    assert Runner(_trained(X[:, 0], booster="dart"), 0).quick == {}
