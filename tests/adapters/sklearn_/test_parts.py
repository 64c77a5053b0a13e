"""What a model holds is found wherever the loader can have put it."""

from __future__ import annotations

import functools
import pickle
import random
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import Bunch
from sklearn.utils.validation import check_array

from adapters.base import LoadError
from adapters.formats.pickles import load
from adapters.sklearn_.parts import holds_a, objects_of, parts_of
from adapters.sklearn_.settle import settle


class _Slots:
    __slots__ = ("held",)

    def __init__(self, held: Any) -> None:
        self.held = held


class _Dict(dict[Any, Any]):
    pass


_Pair = namedtuple("_Pair", "first second")


def _attribute(item: Any, holder: Any) -> Any:
    holder.held = item
    return holder


def _in_array(item: Any, dtype: Any = object) -> Any:
    array = np.zeros(2, dtype)
    if array.dtype.names:
        array["a"][1] = item
    else:
        array[1] = item
    return array


#: holders that a pickle under the policy can bring
HOLDERS: dict[str, Callable[[Any], Any]] = {
    "list": lambda item: [1, item],
    "tuple": lambda item: ("a", (item, 2)),
    "set": lambda item: {item},
    "frozenset": lambda item: frozenset([item]),
    "deque": lambda item: deque([item]),
    "value": lambda item: {"a": item},
    "key": lambda item: {item: "a"},
    "OrderedDict": lambda item: OrderedDict(a=item),
    "defaultdict": lambda item: defaultdict(list, {item: 1}),
    "Counter": lambda item: Counter({item: 1}),
    "a Bunch's item": lambda item: Bunch(a=item),
    "an attribute": lambda item: _attribute(item, FunctionTransformer()),
    "an attribute of a deque's estimator": lambda item: deque([_attribute(item, FunctionTransformer())]),
    "an array": _in_array,
    "an array of one": lambda item: np.array(item, dtype=object),
    "a structured array": lambda item: _in_array(item, [("a", object), ("b", "f8")]),
    "a masked array": lambda item: np.ma.MaskedArray(_in_array(item), mask=[False, True]),
    "a partial": lambda item: functools.partial(check_array, estimator=item),
    "a Series": lambda item: pd.Series([item, 1], dtype=object),
    "a frame": lambda item: pd.DataFrame({"a": pd.Series([item, "b"], dtype=object)}),
    "labels": lambda item: pd.Index([item, "b"], dtype=object),
    "a frozen estimator's pipeline": lambda item: make_pipeline(FunctionTransformer(kw_args={"a": item})),
}
#: those that can be a set's member, a key or a label in turn
_HASHABLE = ("tuple", "frozenset", "an attribute", "a partial", "a frozen estimator's pipeline")
_NEEDS_HASH = ("set", "frozenset", "key", "defaultdict", "Counter", "labels")


def hidden(item: Any, random_: random.Random) -> tuple[Any, str]:
    """The item within up to five holders, drawn at random, and their names."""
    names: list[str] = []
    for _ in range(random_.randint(1, 5)):
        name = random_.choice([*HOLDERS])
        try:
            item = HOLDERS[name](item)
        except (TypeError, ValueError):  # what cannot be hashed; pandas and numpy take some containers apart
            continue
        names.append(name)
    return item, " in ".join(names)


def reloaded(model: Any, path: Path) -> Any:
    path.write_bytes(pickle.dumps(model))
    return load(path)


@pytest.mark.parametrize("holder", HOLDERS)
def test_whatever_holds_it_is_looked_into(holder: str, tmp_path: Path) -> None:
    model = FunctionTransformer(kw_args=HOLDERS[holder](CountVectorizer(input="filename")))
    loaded = reloaded(model, tmp_path / "model.pkl")
    assert any(type(part) is CountVectorizer for part in parts_of(loaded))
    with pytest.raises(LoadError, match="would open files that requests name"):
        settle(loaded)


def _others(item: Any) -> Iterator[Any]:
    yield from (_Slots(item), _attribute(item, _Dict()), _Pair(1, item), slice(item), iter([item]), memoryview(b""))
    yield (lambda: item)
    yield (lambda kept=item: kept)
    yield item.transform


def test_holders_of_trusted_pickles(tmp_path: Path) -> None:
    reader = CountVectorizer(input="file")
    found = [any(each is reader for each in objects_of(holder)) for holder in _others(reader)]
    assert found == [type(holder) is not memoryview for holder in _others(reader)]


def test_other_modules_are_left_alone() -> None:
    held = objects_of([pickle, np, FunctionTransformer, np.log1p, len, _attribute])
    assert not [each for each in held if each in (pickle, np, len)]
    assert len(held) < 20


@pytest.mark.parametrize("seed", range(40))
def test_readers_hidden_at_random(seed: int, tmp_path: Path) -> None:
    random_ = random.Random(seed)
    kind = random_.choice([CountVectorizer, HashingVectorizer])
    value = random_.choice(["filename", "file", np.str_("filename"), np.array("filename"), np.array(["file"]), 1, None])
    state = random_.getstate()
    model, where = hidden(kind(input=value), random_)
    loaded = reloaded(FeatureUnion([("a", FunctionTransformer(kw_args={"a": model}))]), tmp_path / "model.pkl")
    with pytest.raises(LoadError, match="would open files that requests name"):
        settle(loaded)
    random_.setstate(state)
    harmless, again = hidden(kind(), random_)
    assert again == where
    settle(reloaded(FeatureUnion([("a", FunctionTransformer(kw_args={"a": harmless}))]), tmp_path / "sound.pkl"))


def test_a_union_in_a_deque_reads_no_files(tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("some text")
    union = FeatureUnion([("a", CountVectorizer(input="filename"))]).fit([str(text)])
    union.transformer_list = deque(union.transformer_list)
    for model in (union, make_pipeline(union)):
        with pytest.raises(LoadError, match=r"CountVectorizer\(input='filename'\)"):
            settle(reloaded(model, tmp_path / "model.pkl"))


def test_each_is_settled_once_and_circles_end() -> None:
    one: list[Any] = [FunctionTransformer()]
    one.append(one)
    assert len(parts_of(one)) == 1


def test_what_a_model_holds_is_known_by_its_names_and_those_that_it_derives_from() -> None:
    model = make_pipeline(FunctionTransformer(kw_args={"a": [CountVectorizer()]}))
    for each in (model, objects_of(model)):
        assert holds_a(each, "CountVectorizer")
        assert holds_a(each, "HashingVectorizer", "_VectorizerMixin")
        assert not holds_a(each, "HashingVectorizer")
        assert not holds_a(each)
    held = objects_of(model)
    assert [type(part).__name__ for part in parts_of(held)] == [
        type(part).__name__ for part in held if hasattr(part, "__dict__")
    ]
