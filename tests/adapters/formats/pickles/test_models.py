"""What real models need loads, and gives what Python's and joblib's own loaders give."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import scipy.stats

from adapters.formats.pickles import inspect, load
from tests.adapters.formats.pickles.kit import COMPRESSIONS, dumped, rows_for, written


@pytest.mark.parametrize("protocol", range(6))
def test_real_models_load_as_pickle_loads_them(models: dict[str, Any], protocol: int, tmp_path: Path) -> None:
    for name, model in models.items():
        path = written(tmp_path / "model.pkl", pickle.dumps(model, protocol))
        contents = inspect(path)
        assert contents.refused == "", name
        assert contents.top == f"{type(model).__module__}.{type(model).__qualname__}"
        np.testing.assert_array_equal(load(path).predict(rows_for(name)), model.predict(rows_for(name)), name)


@pytest.mark.parametrize("compress", COMPRESSIONS)
@pytest.mark.parametrize("protocol", [0, 2, None])
def test_real_models_load_as_joblib_loads_them(
    models: dict[str, Any], compress: Any, protocol: int | None, tmp_path: Path
) -> None:
    for name in ("forest", "histogram boosting", "columns", "texts", "grid search"):
        path = dumped(models[name], tmp_path / "model.joblib", compress, protocol)
        assert inspect(path).refused == "", name
        np.testing.assert_array_equal(load(path).predict(rows_for(name)), models[name].predict(rows_for(name)), name)


@pytest.mark.parametrize(
    "array",
    [
        np.arange(12.0).reshape(3, 4),
        np.asfortranarray(np.arange(12.0).reshape(3, 4)),
        np.arange(12, dtype=">i4"),
        np.arange(12, dtype=np.float16)[::2],
        np.array(["a", "bcd"]),
        np.array([b"a", b"bcd"]),
        np.array(["a", None, 1, 2.5, (3, "b")], dtype=object),
        np.array([["a", "b"], ["c", None]], dtype=object),
        np.array(["2020-01-01", "NaT"], dtype="M8[D]"),
        np.array([1, 2], dtype="m8[10s]"),
        np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8", (2,))]),
        np.array([(1, 2.0)], dtype=np.dtype([("a", "i1"), ("b", ">f8")], align=True)),
        np.array([(1, "x")], dtype=[("a", "i4"), ("b", "O")]),
        np.zeros((0, 3)),
        np.array(5.0),
        np.array([True, False]),
        np.array([1j]),
    ],
    ids=lambda array: f"{array.dtype} {array.shape}",
)
def test_arrays_load_as_joblib_loads_them(array: Any, tmp_path: Path) -> None:
    for compress in (0, 3):
        path = dumped({"before": 1, "array": array, "after": "text"}, tmp_path / "a.joblib", compress)
        assert inspect(path).top == "dict"
        loaded, expected = load(path)["array"], joblib.load(path)["array"]
        assert loaded.dtype == expected.dtype
        assert loaded.flags.f_contiguous == expected.flags.f_contiguous
        np.testing.assert_array_equal(loaded, expected)
    path = written(tmp_path / "a.pkl", pickle.dumps(array))
    np.testing.assert_array_equal(load(path), array)


@pytest.mark.parametrize("protocol", range(6))
def test_what_estimators_may_keep_loads(protocol: int, tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": [1.5, 2], "b": pd.Categorical(["u", "v"]), "c": pd.array([1, None], dtype="Int64")})
    values = [frame, frame["b"], frame.columns, scipy.sparse.eye(3).tocsr(), np.ma.masked_array([1, 2], [0, 1])]
    values += [{1, 2}, frozenset("ab"), bytearray(b"abc"), b"", 3 + 4j, slice(1, 2), range(3), np.float64(2), ...]
    values += [np.random.default_rng(3), np.random.RandomState(3), np.log1p, np.dtype("U5"), pd.Timestamp("2020-01-01")]
    for value in values:
        loaded = load(written(tmp_path / "a.pkl", pickle.dumps([value], protocol)))[0]
        assert type(loaded) is type(value)
        assert inspect(tmp_path / "a.pkl").refused == ""
        assert pickle.dumps(loaded, 2) == pickle.dumps(pickle.loads(pickle.dumps(value, protocol)), 2)
