"""A loaded estimator is made fit to be served, wherever its parts are kept."""

from __future__ import annotations

from collections import deque

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import FunctionTransformer

from adapters.base import LoadError
from adapters.sklearn_.settle import settle, writes_inputs

X = np.random.default_rng(0).normal(size=(40, 3))
Y = (X[:, 0] > 0).astype(int)


def test_parts_in_any_container_run_on_one_thread_and_silently() -> None:
    forest = RandomForestClassifier(3, n_jobs=7, verbose=2)
    settle(FunctionTransformer(kw_args={"a": deque([frozenset([forest])])}))
    assert (forest.n_jobs, forest.verbose) == (1, 0)


def test_a_tree_of_neighbours_is_checked_wherever_it_is() -> None:
    tree = KNeighborsClassifier(algorithm="kd_tree", leaf_size=5).fit(X, Y)._tree
    settle(FunctionTransformer(kw_args={"a": deque([tree])}))
    state = [part.copy() if isinstance(part, np.ndarray) else part for part in tree.__getstate__()]
    state[1][3] = 10**9
    tree.__setstate__(tuple(state))
    with pytest.raises(LoadError, match="holds a damaged tree"):
        settle(FunctionTransformer(kw_args={"a": deque([tree])}))


@pytest.mark.parametrize("kind", [CountVectorizer, HashingVectorizer, TfidfVectorizer])
def test_a_vectorizer_takes_its_input_for_the_text_and_nothing_else(kind: type) -> None:
    settle([kind(input="content")])
    for value in ("filename", "file", np.str_("filename"), np.array("filename"), "FILENAME", None):
        with pytest.raises(LoadError, match="would open files that requests name"):
            settle([kind(input=value)])


def test_an_estimator_that_writes_into_its_input_is_found() -> None:
    assert writes_inputs({FunctionTransformer(kw_args={"a": KNeighborsClassifier()}): 1}) is False
    held = FunctionTransformer()
    held.copy = False
    assert writes_inputs({held: 1}) is True
