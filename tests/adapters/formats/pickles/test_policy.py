"""What a pickle may name beyond classes, each for one use alone; and what a refusal says can be done."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import FunctionTransformer

from adapters.base import LoadError
from adapters.formats.pickles import Refused, inspect, load
from adapters.formats.pickles.policy import _judged, judge, refusal
from tests.adapters.formats.pickles.kit import X, Y, written


@pytest.mark.parametrize("place", ["tokenizer", "preprocessor", "analyzer"])
@pytest.mark.parametrize("method", ["split", "lower", "strip", "upper", "casefold", "splitlines"])
def test_a_method_of_texts_is_allowed(place: str, method: str, tmp_path: Path) -> None:
    model = CountVectorizer(**{place: getattr(str, method)}, token_pattern=None)
    path = written(tmp_path / "model.pkl", pickle.dumps(model))
    assert not inspect(path).refused
    assert getattr(load(path), place) is getattr(str, method)


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (str, "format"), (str, "format_map"), (str, "maketrans"), (str, "__class__"), (str, "__subclasshook__"),
        (list, "append"), (dict, "get"), (LogisticRegression, "fit"), (bytes, "decode"),
    ],
)  # fmt: skip
def test_any_other_attribute_is_named_and_refused(owner: type, name: str, tmp_path: Path) -> None:
    content = b"\x80\x04cbuiltins\ngetattr\nc%s\n%s\nV%s\n\x86R."
    content %= (owner.__module__.encode(), owner.__qualname__.encode(), name.encode())
    path = written(tmp_path / "model.pkl", content)
    refused = inspect(path).refused
    assert f"names builtins.getattr({owner.__module__}.{owner.__qualname__}, '{name}')" in refused
    assert "set `trust: full` in its polyserve.yaml" in refused
    with pytest.raises(Refused, match=r"builtins\.getattr"):
        load(path)


def test_a_method_of_texts_is_never_called(tmp_path: Path) -> None:
    method = b"cbuiltins\ngetattr\ncbuiltins\nstr\nVupper\n\x86R"
    path = written(tmp_path / "model.pkl", b"\x80\x04" + method + b"Va\n\x85R.")
    assert inspect(path).refused
    with pytest.raises(Refused):
        load(path)


class _Dilled:
    """Pickled as dill pickles an array of numpy's."""

    def __init__(self, *args: Any) -> None:
        self.args = args

    def __reduce__(self) -> Any:
        return sys.modules["dill._dill"]._create_array, self.args  # type: ignore[attr-defined]


@pytest.fixture
def dill(monkeypatch: pytest.MonkeyPatch) -> None:
    """A module of dill's name, as far as pickling a name needs it."""
    module = ModuleType("dill._dill")

    def _create_array(*args: Any) -> Any:
        raise AssertionError("only its name is used")

    _create_array.__module__, _create_array.__qualname__ = "dill._dill", "_create_array"
    module._create_array = _create_array  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "dill", ModuleType("dill"))
    monkeypatch.setitem(sys.modules, "dill._dill", module)


@pytest.mark.usefixtures("dill")
def test_arrays_that_dill_wrote(tmp_path: Path) -> None:
    model = LogisticRegression().fit(X, Y)
    for name, array in list(vars(model).items()):
        if isinstance(array, np.ndarray):
            make, args, state = array.__reduce__()
            setattr(model, name, _Dilled(make, args, state, None))
    path = written(tmp_path / "model.pkl", pickle.dumps(model))
    assert not inspect(path).refused
    assert load(path).predict(X).tolist() == LogisticRegression().fit(X, Y).predict(X).tolist()


@pytest.mark.usefixtures("dill")
@pytest.mark.parametrize("args", [(np.mean, ((0,),), ()), (np.ndarray, ((9,),), ()), (set, ([],), ())])
def test_what_dill_would_not_write(args: tuple[Any, ...], tmp_path: Path) -> None:
    path = written(tmp_path / "model.pkl", pickle.dumps(_Dilled(*args)))
    with pytest.raises(LoadError):
        load(path)


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["posix.system"], ""),
        (["__main__.Model"], "; a model with code of its own needs a model.py"),
        (
            ["category_encoders.TargetEncoder"],
            "; if you trust the file, set `trust: full` in its polyserve.yaml and bring what it names: a library in a "
            "requirements.txt, code of your own in a model.py",
        ),
        (["sklearn.utils.Memory"], "; if you trust the file, set `trust: full` in its polyserve.yaml"),
    ],
)
def test_a_refusal_names_the_way_out(names: list[str], says: str) -> None:
    assert refusal(names).partition("it was not loaded")[2] == says


def test_what_is_remembered_of_names_is_bounded() -> None:
    for index in range(3000):
        judge("sklearn.tree", f"Name{index}")
    assert _judged.cache_info().currsize <= 1024
    before = _judged.cache_info().misses
    assert judge("m" * 10**6, "C") is None
    assert _judged.cache_info().misses == before


def test_partial_of_anything_else_is_refused(tmp_path: Path) -> None:
    import functools

    path = written(tmp_path / "a.pkl", pickle.dumps(FunctionTransformer(functools.partial(np.clip, a_min=0))))
    assert "names functools.partial" in inspect(path).refused
