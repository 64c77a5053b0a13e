"""Whatever other threads do to the filters of warnings meanwhile, the version that saved a model is told."""

from __future__ import annotations

import warnings

import pytest
from sklearn import __version__
from sklearn.linear_model import LinearRegression

from adapters.sklearn_.saved_version import note_versions


def loaded(version: str) -> None:
    state = LinearRegression().fit([[0.0], [1.0]], [0.0, 2.0]).__getstate__()
    LinearRegression().__setstate__({**state, "_sklearn_version": version})


def test_versions_are_told_though_another_thread_ignores_warnings(caplog: pytest.LogCaptureFixture) -> None:
    with note_versions("model.joblib"):
        warnings.simplefilter("ignore")  # the filters are everybody's
        loaded("1.0.1")
        loaded("0.24.2")
        loaded(__version__)
    with pytest.warns(UserWarning, match="1\\.1\\.0"):
        loaded("1.1.0")  # which nobody waits for
    told = f"model.joblib was saved by scikit-learn 0.24.2, 1.0.1, and this is {__version__}: answers may differ"
    assert caplog.messages == [told]


def test_what_this_version_saved_is_not_worth_a_line(caplog: pytest.LogCaptureFixture) -> None:
    with note_versions("model.joblib"):
        loaded(__version__)
    assert not caplog.messages


def test_what_fails_to_load_says_why_instead(caplog: pytest.LogCaptureFixture) -> None:
    def load() -> None:
        with note_versions("model.joblib"):
            loaded("1.0.1")
            raise LookupError

    with pytest.raises(LookupError):
        load()
    assert not caplog.messages
