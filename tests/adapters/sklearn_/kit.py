"""Data, and the way from a fitted model to the adapter that serves its file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd

from adapters.base import ModelDir, Tensors, TensorSpec
from adapters.sklearn_ import SklearnAdapter

ROWS = 90
RNG = np.random.default_rng(7)
X = RNG.normal(size=(ROWS, 4))
Y = (X[:, 0] + 0.2 * RNG.normal(size=ROWS) > 0).astype(int)
LABELS = np.where(Y == 1, "yes", "no")
THREE = np.arange(ROWS) % 3
TEXTS = RNG.choice(["good film", "bad film", "fine thing", "awful"], ROWS).tolist()

FRAME = pd.DataFrame(
    {
        "id": [f"row {i}" for i in range(ROWS)],
        "age": X[:, 0],
        "city": RNG.choice(["Rome", "Oslo", "Bern"], ROWS),
        "size": RNG.integers(1, 4, ROWS),
        "member": RNG.choice([True, False], ROWS),
        "note": TEXTS,
        "gap": np.where(RNG.random(ROWS) < 0.2, np.nan, X[:, 1]),
        "none": pd.Series([("a", "b", None)[i % 3] for i in range(ROWS)], dtype=object),
        "nan": pd.Series([("p", "q", np.nan)[i % 3] for i in range(ROWS)], dtype=object),
        "kind": pd.Categorical(RNG.choice(["u", "v", "w"], ROWS)),
        "code": pd.Categorical(RNG.choice([10, 20, 30], ROWS)),
    }
)


def serve(model: Any, folder: Path, **options: Any) -> SklearnAdapter:
    """The adapter of a model's file, found and loaded as the server does it."""
    folder.mkdir(parents=True, exist_ok=True)
    joblib.dump(model, folder / "model.joblib")
    directory = ModelDir.of(folder)
    match = SklearnAdapter.match(directory)
    assert match is not None
    assert match.problem == ""
    return SklearnAdapter.load(directory, match.file, options)


def tensors(adapter: SklearnAdapter, rows: Any) -> Tensors:
    """The rows of an array, a data frame or a list of texts as the signature wants them."""
    specs = adapter.signature.inputs
    if not adapter.signature.table:
        values = rows.to_numpy() if isinstance(rows, pd.DataFrame) else np.array(rows, dtype=specs[0].dtype)
        return {"input-0": values.astype(specs[0].dtype)}
    columns = rows if isinstance(rows, pd.DataFrame) else pd.DataFrame(rows, columns=[spec.name for spec in specs])
    return {spec.name: _column(columns[spec.name].tolist(), spec) for spec in specs if spec.name in columns}


def _column(values: list[Any], spec: TensorSpec) -> Any:
    if spec.datatype == "BYTES":
        return np.array([None if pd.isna(value) else str(value) for value in values], dtype=object)
    return np.array(values).astype(spec.dtype)


def assert_same(got: Tensors, expected: Any) -> None:
    """Bit for bit; texts as texts."""
    parts = expected if isinstance(expected, list | tuple) else [expected]
    kneighbors = isinstance(expected, tuple)
    assert list(got) == (["distances", "indices"] if kneighbors else [f"output-{i}" for i in range(len(parts))])
    for array, part in zip(got.values(), parts, strict=True):
        dense = part.toarray() if hasattr(part, "toarray") else np.asarray(part)
        if dense.dtype.kind in "OUS":
            assert array.dtype == object
            assert array.tolist() == dense.tolist()
        else:
            assert array.dtype == dense.dtype
            np.testing.assert_array_equal(array, dense)
