"""LightGBM's C function for one row: the bits of `Booster.predict`, for rows that C may read, and only for those."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapters.lightgbm_ import single_rows
from adapters.lightgbm_.adapter import LightGBMAdapter
from adapters.lightgbm_.single_rows import MOST_ROWS, SingleRows, proved
from adapters.shared import native_calls
from adapters.shared.native_calls import Predict, differs, rows_like
from adapters.xgboost_.adapter import XGBoostAdapter
from tests.adapters.boosters import claimed, same

lightgbm = pytest.importorskip("lightgbm")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 4))
Y = np.digitize(X[:, 0], [-0.4, 0.4])


def _trained(y: Any, x: Any = X, data: dict[str, Any] | None = None, **settings: Any) -> Any:
    quiet = {"num_threads": 1, "verbose": -1, "num_leaves": 7, **settings}
    return lightgbm.train(quiet, lightgbm.Dataset(x, y, **(data or {})), 10)


def _categorical() -> Any:
    codes = X.copy()
    codes[:, 1] = RNG.integers(0, 5, len(X))
    return _trained(codes[:, 1] % 2, codes, {"categorical_feature": [1]}, min_data_per_group=1)


KINDS: dict[str, Callable[[], Any]] = {
    "regression": lambda: _trained(X[:, 0]),
    "binary": lambda: _trained(X[:, 0] > 0, objective="binary"),
    "multiclass": lambda: _trained(Y, objective="multiclass", num_class=3),
    "linear": lambda: _trained(X[:, 0], linear_tree=True),
    "forest": lambda: _trained(X[:, 0], boosting="rf", bagging_freq=1, bagging_fraction=0.5),
    "zeros are missing": lambda: _trained(X[:, 0], X.round(0), zero_as_missing=True),
    "untrained": lambda: lightgbm.Booster({"verbose": -1}, lightgbm.Dataset(X, X[:, 0])),
    "categories": _categorical,
}


def _ordinary(booster: Any, raw_score: bool = False) -> Predict:
    return lambda rows: booster.predict(rows, raw_score=raw_score, num_threads=1)


@pytest.mark.parametrize("kind", KINDS)
def test_the_bits_are_those_of_the_framework(kind: str) -> None:
    booster = KINDS[kind]()
    categories = {1: 5} if kind == "categories" else None
    for raw in (False, True):
        ordinary = _ordinary(booster, raw)
        quick = proved(booster, raw_score=raw, ordinary=ordinary, categories=categories)
        assert isinstance(quick, SingleRows)
        assert differs(quick, ordinary, rows_like(4, np.float64, categories, infinite=True)) == ""


HOSTILE: dict[str, Any] = {
    "too narrow": X[:2, :3].copy(),
    "too wide": np.ones((2, 5)),
    "no rows": X[:0],
    "many rows": X[: MOST_ROWS + 1],
    "a row by itself": X[0],
    "one dimension more": X[None, :2],
    "columns first": np.asfortranarray(X[:3]),
    "every second row": X[:6:2],
    "every second column": np.repeat(X[:3], 2, axis=1)[:, ::2],
    "single precision": X[:2].astype(np.float32),
    "other byte order": X[:2].astype(">f8"),
    "objects": X[:2].astype(object),
    "texts": np.full((2, 4), "a"),
    "a list": [[1.0, 2.0, 3.0, 4.0]],
    "a record array": X[:2].view(np.recarray),
    "masked": np.ma.masked_array(X[:2], X[:2] > 0),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_c_may_not_read_never_reaches_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []
    quick = SingleRows(KINDS["regression"](), raw_score=False, ordinary=lambda rows: given.append(rows) or X)
    monkeypatch.setattr(quick, "_call", lambda *_: pytest.fail("C was called"))
    quick(HOSTILE[name])
    assert len(given) == 1
    assert given[0] is HOSTILE[name]


def test_what_the_library_refuses_is_refused_in_the_frameworks_words(monkeypatch: pytest.MonkeyPatch) -> None:
    quick = SingleRows(KINDS["regression"](), raw_score=False, ordinary=lambda rows: X)
    monkeypatch.setattr(quick, "_call", lambda *_: -1)
    assert quick(X[:1]) is X


def test_answers_are_the_callers_own() -> None:
    booster = KINDS["multiclass"]()
    quick = proved(booster, raw_score=False, ordinary=_ordinary(booster))
    first = quick(X[:1])
    kept = first.copy()
    quick(X[1:2])
    assert same(first, kept)


def test_threads_get_their_own_answers() -> None:
    booster = KINDS["multiclass"]()
    ordinary = _ordinary(booster)
    quick = proved(booster, raw_score=False, ordinary=ordinary)
    expected = ordinary(X)

    def ask(start: int) -> bool:
        rows, want = X[start : start + 3], expected[start : start + 3]
        return all(same(quick(rows), want) for _ in range(50))

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(ask, range(0, 200, 3)))


def test_configurations_are_freed_with_the_calls_and_before_the_booster(monkeypatch: pytest.MonkeyPatch) -> None:
    booster = KINDS["regression"]()
    quick = SingleRows(booster, raw_score=False, ordinary=_ordinary(booster))
    freed: list[tuple[int, bool]] = []
    free, handle = quick._free, booster._handle
    monkeypatch.setattr(quick, "_free", lambda each: (freed.append((each.value, bool(handle))), free(each)))
    for _ in range(5):
        quick(X[:1])
    monkeypatch.undo()
    assert freed == []
    del booster, quick
    gc.collect()
    assert len(freed) == 1
    assert freed[0][1]


@pytest.mark.parametrize("fault", ["no function", "other bits", "refused"])
def test_otherwise_the_framework_answers_and_the_log_says_why(
    fault: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    booster = KINDS["binary"]()
    ordinary = _ordinary(booster)
    if fault == "no function":
        monkeypatch.setattr(single_rows, "_FUNCTION", "LGBM_BoosterPredictForNobody")
    elif fault == "other bits":
        monkeypatch.setattr(single_rows, "_C_API_PREDICT_NORMAL", single_rows._C_API_PREDICT_RAW_SCORE)
    else:
        monkeypatch.setattr(single_rows, "_PARAMETERS", b"num_threads=x")
    with caplog.at_level(logging.DEBUG, native_calls.__name__):
        assert proved(booster, raw_score=False, ordinary=ordinary) is ordinary
    assert "C function for one row is not called by itself" in caplog.text


def test_what_lightgbm_itself_calls_is_left_as_it_was() -> None:
    booster = KINDS["regression"]()
    proved(booster, raw_score=False, ordinary=_ordinary(booster))
    assert lightgbm.basic._LIB.LGBM_BoosterCalcNumPredict.argtypes is None


def test_the_adapter_asks_it(tmp_path: Path) -> None:
    KINDS["regression"]().save_model(tmp_path / "model.txt")
    adapter = claimed(LightGBMAdapter, XGBoostAdapter, tmp_path)
    assert {method: type(quick) for method, quick in adapter.quick.items()} == {
        "predict": SingleRows,
        "margin": SingleRows,
    }
