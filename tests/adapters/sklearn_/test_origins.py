"""Which input column each column of a transformer's output is made of."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.feature_selection import VarianceThreshold
from sklearn.impute import SimpleImputer
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from adapters.sklearn_.origins import origins

X = np.array([[0.0, 1, 5], [1, 2, 3], [0, 4, 9], [1, 1, 1]])
Y = [0, 1, 0, 1]


@pytest.mark.parametrize(
    ("part", "found"),
    [
        (StandardScaler(), [0, 1, 2]),
        (OneHotEncoder(categories=[[0, 1], [1, 2, 4], [1, 3, 5, 9]]), [0, 0, 1, 1, 1, 2, 2, 2, 2]),
        (VarianceThreshold(0.3), [1, 2]),
        (SimpleImputer(), [0, 1, 2]),
        (SimpleImputer(add_indicator=True), None),
        (FunctionTransformer(np.sqrt), [0, 1, 2]),
        (FunctionTransformer(), [0, 1, 2]),
        (FunctionTransformer(np.cumsum), None),
        (PCA(2), None),
        (make_pipeline(VarianceThreshold(0.3), StandardScaler()), [1, 2]),
        (make_pipeline(StandardScaler(), PCA(1)), None),
        (FeatureUnion([("a", StandardScaler()), ("b", "drop"), ("c", "passthrough")]), [0, 1, 2, 0, 1, 2]),
        (ColumnTransformer([("a", StandardScaler(), [2, 0])]), [2, 0]),
        (ColumnTransformer([("a", StandardScaler(), [2])], remainder="passthrough"), [2, 0, 1]),
        (ColumnTransformer([("a", PCA(1), [0, 1])], remainder="passthrough"), None),
    ],
)
def test_of_each_kind(part: Any, found: list[int] | None) -> None:
    assert origins(part.fit(X, Y), 3) == found


def test_an_imputer_drops_a_column_without_values() -> None:
    rows = np.column_stack([X[:, 0], np.full(4, np.nan), X[:, 2]])
    assert origins(SimpleImputer(keep_empty_features=True).fit(rows), 3) == [0, 1, 2]


@pytest.mark.parametrize("nothing", [None, "passthrough"])
def test_what_does_nothing(nothing: Any) -> None:
    assert origins(nothing, 2) == [0, 1]
