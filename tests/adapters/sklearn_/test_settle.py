"""A loaded estimator is made fit to be served, wherever its parts are kept."""

from __future__ import annotations

import re
from collections import deque

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import FunctionTransformer

from adapters.base import LoadError
from adapters.sklearn_.settle import settle, slow_texts, writes_inputs

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


def hidden(part: object, where: int) -> object:
    """The part somewhere in containers that only the garbage collector knows of."""
    for kind in range(where):
        part = [deque([part]), {1: (part,)}, FunctionTransformer(kw_args={"a": part}), np.array([part, None], object)][
            kind % 4
        ]
    return part


@pytest.mark.parametrize("where", range(8))
@pytest.mark.parametrize("kind", [CountVectorizer, HashingVectorizer, TfidfVectorizer])
def test_patterns_that_may_take_for_ever_are_found_wherever_they_are(kind: type, where: int) -> None:
    for pattern in (r"(?u)\b\w\w+\b", r"[a-z]+", r"\S+", r"\d{1,3}|[a-z]+"):
        assert not slow_texts(hidden(kind(token_pattern=pattern), where))
    for pattern in (r"(a+)+$", r"(?:\w|a)*!", r"\w+@\w+", np.str_("(a+)+$"), re.compile("(a+)+$"), None):
        assert "may take for ever" in slow_texts(hidden(kind(token_pattern=pattern), where))
    assert not slow_texts(hidden(kind(analyzer="char", token_pattern="(a+)+$", ngram_range=(1, 5)), where))
    assert "functions of its own" in slow_texts(hidden(kind(tokenizer=str.split), where))
    assert "functions of its own" in slow_texts(hidden(kind(analyzer=re.compile("(a+)+$").findall), where))
    assert "many times a text" in slow_texts(hidden(kind(analyzer="char", ngram_range=(1, 10**6)), where))
    assert "pattern of its own" in slow_texts(hidden(FunctionTransformer(kw_args={"a": re.compile("(a+)+$")}), where))
