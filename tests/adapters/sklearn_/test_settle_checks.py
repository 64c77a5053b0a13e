"""What is changed in an estimator before it is served, and what of it matters to the server."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.compose import make_column_transformer
from sklearn.decomposition import NMF
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from adapters.base import LoadError
from adapters.sklearn_.settle import parts_of, rows_depend, settle, shares_state, writes_inputs


def test_every_part_is_found_once_also_in_a_circle() -> None:
    scaler = StandardScaler()
    scaler.more = [{"a": (scaler, StandardScaler())}, np.array([StandardScaler(), 3], object)]
    assert len(parts_of(scaler)) == 3
    assert parts_of(3) == []


def test_every_part_has_one_thread_and_is_silent() -> None:
    forest = RandomForestClassifier(2, n_jobs=4, verbose=2).fit([[0], [1]], [0, 1])
    model = make_pipeline(StandardScaler(), forest)
    settle(model)
    assert (forest.n_jobs, forest.verbose) == (1, 0)


@pytest.mark.parametrize("kind", [CountVectorizer, HashingVectorizer])
@pytest.mark.parametrize("source", ["file", "filename"])
def test_one_that_opens_files_that_requests_name_is_refused(kind: Any, source: str) -> None:
    with pytest.raises(LoadError, match=rf"{kind.__name__}\(input='{source}'\), which would open files"):
        settle(make_pipeline(kind(input=source)))
    settle(kind())


@pytest.mark.parametrize(
    ("part", "depends"),
    [
        (StandardScaler(), False),
        (NMF(), True),
        (FunctionTransformer(), False),
        (FunctionTransformer(np.log1p), False),
        (FunctionTransformer(np.clip), False),
        (FunctionTransformer(np.cumsum), True),
        (FunctionTransformer(np.mean), True),
    ],
)
def test_whether_rows_depend_on_each_other(part: Any, depends: bool) -> None:
    assert rows_depend(make_column_transformer((make_pipeline(part), [0]))) == depends


def test_one_that_was_told_not_to_copy_writes_to_its_input() -> None:
    assert writes_inputs(make_pipeline(StandardScaler(copy=False)))
    assert not writes_inputs(make_pipeline(StandardScaler()))


def test_which_of_xgboosts_share_state() -> None:
    import xgboost

    assert [shares_state(xgboost.XGBRegressor(booster=name)) for name in ("gbtree", "dart", "gblinear")] == [
        False,
        True,
        True,
    ]
