"""What `inspect` tells of a file without loading it, and how `load` refuses one: the file's name comes first."""

from __future__ import annotations

import pickle
import struct
import subprocess
import sys
import tracemalloc
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.feature_selection import SelectKBest
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline

from adapters.base import LoadError
from adapters.formats.pickles.contents import Contents, inspect, load
from adapters.formats.pickles.policy import Refused
from adapters.formats.pickles.stream import Unreadable
from tests.adapters.formats.pickles.kit import X, dumped, written


def test_what_a_scan_tells(models: dict[str, Any], tmp_path: Path) -> None:
    contents = inspect(dumped(models["pipeline"], tmp_path / "a.joblib"))
    import sklearn

    assert contents.sklearn_version == sklearn.__version__
    assert contents.n_features == 4
    assert [cls.rpartition(".")[2] for _, cls in contents.steps] == [
        "SplineTransformer",
        "SelectKBest",
        "FunctionTransformer",
        "GaussianNB",
    ]
    assert contents.steps[0][0] == "splinetransformer"
    assert contents.uses("scipy")
    assert not contents.uses("pandas")
    assert not contents.fitted_on_frame
    assert inspect(dumped(models["columns"], tmp_path / "b.joblib")).fitted_on_frame
    assert inspect(dumped(models["grid search"], tmp_path / "c.joblib")).n_features == 4


@pytest.mark.parametrize(
    ("value", "top"),
    [({"a": 1}, "dict"), ([1], "list"), ((1, 2, 3, 4), "tuple"), ("a", "str"), (1, "int"), (None, "NoneType")],
)
def test_the_top_of_plain_values(value: Any, top: str, tmp_path: Path) -> None:
    assert inspect(written(tmp_path / "a.pkl", pickle.dumps(value))).top == top


def test_the_top_may_be_a_name_or_an_array(tmp_path: Path) -> None:
    assert (
        inspect(written(tmp_path / "a.pkl", pickle.dumps(GaussianNB))).top == "the name sklearn.naive_bayes.GaussianNB"
    )
    assert inspect(written(tmp_path / "a.pkl", pickle.dumps(X, 2))).top == "numpy.ndarray"
    assert inspect(written(tmp_path / "a.pkl", pickle.dumps(X, 5))).top == "numpy.ndarray"
    assert inspect(dumped(X, tmp_path / "a.joblib")).top == "numpy.ndarray"


def test_inspecting_imports_no_framework(models: dict[str, Any], tmp_path: Path) -> None:
    path = dumped(models["columns"], tmp_path / "a.joblib")
    code = (
        "import sys; from pathlib import Path; from adapters.formats import pickles\n"
        f"assert pickles.inspect(Path({str(path)!r})).top == 'sklearn.pipeline.Pipeline'\n"
        "print({'sklearn', 'joblib', 'pandas', 'scipy', 'xgboost'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_large_arrays_are_stepped_over(tmp_path: Path) -> None:
    model = KNeighborsClassifier(algorithm="brute").fit(np.zeros((200_000, 80)), np.zeros(200_000))
    for path in (dumped(model, tmp_path / "a.joblib"), written(tmp_path / "a.pkl", pickle.dumps(model))):
        assert path.stat().st_size > 124e6
        tracemalloc.start()
        try:
            assert inspect(path).n_features == 80
            assert tracemalloc.get_traced_memory()[1] < 16e6
        finally:
            tracemalloc.stop()


@pytest.mark.parametrize(
    ("value", "top"),
    [
        (OrderedDict(a=1), "collections.OrderedDict"),
        (np.float64(1), "numpy.generic"),
        (bytearray(b"a"), "bytearray"),
        (b"\xff", "bytes"),
    ],
    ids=["class", "scalar", "bytearray", "bytes"],
)
@pytest.mark.parametrize("protocol", [2, 4])
def test_what_a_function_makes_is_named_by_what_it_is(value: Any, top: str, protocol: int, tmp_path: Path) -> None:
    assert inspect(written(tmp_path / "a.pkl", pickle.dumps(value, protocol))).top == top


def test_a_library_is_used_where_a_name_lies_in_it() -> None:
    contents = Contents("a.B", ("sklearn.svm.SVC", "numpyro.x"))
    assert contents.uses("sklearn")
    assert not contents.uses("numpy")
    assert not contents.uses("sk")


def test_columns_are_counted_through_pipelines_of_pipelines(tmp_path: Path) -> None:
    fitted = LogisticRegression()
    fitted.n_features_in_ = 7
    nested = Pipeline([("outer", Pipeline([("inner", fitted)])), ("last", "passthrough")])
    found = inspect(dumped(nested, tmp_path / "a.joblib"))
    assert found.n_features == 7
    assert found.steps == (("outer", "sklearn.pipeline.Pipeline"), ("last", "passthrough"))
    assert inspect(dumped(SelectKBest(), tmp_path / "b.joblib")) == Contents(
        "sklearn.feature_selection._univariate_selection.SelectKBest",
        inspect(tmp_path / "b.joblib").names,
        sklearn_version=inspect(tmp_path / "a.joblib").sklearn_version,
    )


def test_pipelines_that_lead_round_end(tmp_path: Path) -> None:
    first = Pipeline([("a", None)])
    first.steps = [("again", first)]
    found = inspect(written(tmp_path / "a.pkl", pickle.dumps(first)))
    assert found.n_features is None
    assert found.steps == (("again", "sklearn.pipeline.Pipeline"),)


def test_a_refusal_still_tells_what_the_file_is(tmp_path: Path) -> None:
    path = written(tmp_path / "bad.pkl", b"\x80\x04}(\x8c\x01acos\nsystem\nu.")
    found = inspect(path)
    assert (found.top, found.names) == ("dict", ("os.system",))
    assert found.refused.startswith("bad.pkl names os.system")
    with pytest.raises(Refused, match=r"^bad\.pkl names os\.system"):
        load(path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (pickle.dumps([1, 2])[:-4], "is cut short: it ends in the middle of a pickle"),
        (b"\x80\x04K", "is cut short"),
        (b"(lp0\nI1", "is cut short"),
        (b"\x80\x04G\x00.", "is cut short"),
        (b"\x80\x04I1x\n.", "is no pickle, or a damaged one"),
        (b"\x80\x04h\x05.", "is no pickle, or a damaged one"),
        (pickle.dumps(1) + b"1", "holds more after its first object"),
    ],
    ids=["cut", "argument", "line", "number", "digits", "memo", "more"],
)
def test_a_damaged_file_is_unreadable_with_its_name(content: bytes, reason: str, tmp_path: Path) -> None:
    path = written(tmp_path / "model.pkl", content)
    with pytest.raises(Unreadable, match=rf"^model\.pkl {reason}"):
        inspect(path)
    with pytest.raises(LoadError, match=r"^model\.pkl "):
        load(path)


def test_what_a_library_says_of_a_state_is_cut_to_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(self: Any, state: Any) -> None:
        raise ValueError("got another type:\nfield 1\nfield 2")

    path = written(tmp_path / "model.pkl", pickle.dumps(GaussianNB()))
    monkeypatch.setattr(GaussianNB, "__setstate__", fails)
    for trusted in (False, True):
        with pytest.raises(LoadError) as caught:
            load(path, trusted=trusted)
        assert str(caught.value) == "model.pkl cannot be loaded: ValueError: got another type"


def test_who_is_trusted_is_not_judged(tmp_path: Path) -> None:
    path = written(tmp_path / "model.pkl", pickle.dumps(struct.calcsize))
    assert load(path, trusted=True) is struct.calcsize
    with pytest.raises(Refused):
        load(path)
