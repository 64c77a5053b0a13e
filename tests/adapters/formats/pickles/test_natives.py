"""What has memory of native code is made as its own pickles make it, with states that lead nowhere else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import DistanceMetric
from sklearn.neighbors import BallTree, KDTree

from adapters.formats.pickles.natives import check_makeable, holds_index, new_neighbours
from adapters.formats.pickles.policy import Refused
from tests.adapters.formats.pickles.opcodes import called, filled, loaded, value

CATEGORICAL = value(pd.Categorical(["a", "b"]).__reduce__()[0]) + value(pd.Categorical(["a"]).__reduce__()[1]) + b"R"
DTYPE = pd.CategoricalDtype(["a", "b"])
NO_CATEGORY = "holds a code of no category"
NEW_INDEX = b"cpandas.core.indexes.base\n_new_Index\n"
NATIVE = [
    ("sklearn.tree._criterion", "Gini"),
    ("sklearn.tree._splitter", "BestSplitter"),
    ("sklearn.metrics._pairwise_distances_reduction._argkmin", "ArgKmin64"),
    ("sklearn.cluster._hierarchical_fast", "UnionFind"),
    ("sklearn.neighbors._kd_tree", "KDTree"),
    ("numpy.random._generator", "Generator"),
    ("numpy.random.mtrand", "RandomState"),
    ("numpy.random._mt19937", "MT19937"),
    ("pandas.core.arrays.categorical", "Categorical"),
    ("pandas", "MultiIndex"),
]


@pytest.mark.parametrize(("module", "name"), NATIVE)
def test_native_classes_are_not_made_without_what_belongs_into_them(module: str, name: str) -> None:
    named = f"c{module}\n{name}\n".encode()
    bases = b"cbuiltins\nobject\nN"
    ways = [
        named + b")\x81",
        named + b")}\x92",
        called(b"ccopyreg\n__newobj__\n", named),
        called(b"ccopyreg\n__newobj_ex__\n", named, b")}"),
        called(b"ccopyreg\n_reconstructor\n", named, bases),
    ]
    for way in ways:
        with pytest.raises(Refused, match="without what belongs into it"):
            loaded(way)


def test_trees_of_neighbours_are_made_by_their_own_function() -> None:
    X = np.random.default_rng(0).normal(size=(20, 3))
    for tree in (KDTree(X), BallTree(X), KDTree(X.astype(np.float32)), DistanceMetric.get_metric("manhattan")):
        assert type(loaded(value(tree))) is type(tree)
    for named in (
        b"csklearn.tree._criterion\nGini\n",
        b"cnumpy.random._mt19937\nMT19937\n",
        b"cbuiltins\nlist\n",
        b"N",
    ):
        for module in (b"sklearn.neighbors._kd_tree", b"sklearn.metrics._dist_metrics"):
            with pytest.raises(Refused, match="makes no tree of neighbours"):
                loaded(called(b"c" + module + b"\nnewObj\n", named))
    with pytest.raises(Refused):
        new_neighbours(np.random.MT19937)


@pytest.mark.parametrize("codes", [[100] * 50, [-2], [2], [10**9]])
def test_codes_are_of_categories(codes: list[int]) -> None:
    """pandas takes what lies behind the categories for objects, which the file may have put there."""
    for state in ((DTYPE, np.array(codes), {}), {"_dtype": DTYPE, "_ndarray": np.array(codes)}):
        with pytest.raises(Refused, match=NO_CATEGORY):
            loaded(filled(CATEGORICAL, value(state)))
    narrow = np.minimum(codes, 127)  # as pandas keeps them, which wraps what is larger
    levels = {"levels": [pd.Index(["a", "b"])], "codes": [narrow], "sortorder": None, "names": [None]}
    with pytest.raises(Refused, match=NO_CATEGORY):
        loaded(called(NEW_INDEX, value(pd.MultiIndex), value(levels)))


def test_codes_are_whole_numbers_and_categories_an_index() -> None:
    with pytest.raises(Refused, match=NO_CATEGORY):
        loaded(filled(CATEGORICAL, value((DTYPE, np.array([0.5]), {}))))
    dtype = b"cpandas\nCategoricalDtype\n)\x81" + value({"categories": ["a", "b"], "ordered": False}) + b"b"
    with pytest.raises(Refused, match="otherwise than in an index"):
        loaded(filled(CATEGORICAL, dtype + value(np.array([0])) + b"}\x87"))


def test_codes_are_not_filled_after_they_were_looked_at() -> None:
    """The file has the array of codes in its memory, empty, and fills it when the categories were compared with it."""
    array = called(b"cnumpy._core.multiarray\n_reconstruct\n", b"cnumpy\nndarray\n", value((0,)), value(b"b"))
    codes = filled(array, value((1, (0,), np.dtype("i8"), False, b""))) + b"r\xff\x00\x00\x00"
    full = value((1, (50,), np.dtype("i8"), False, np.full(50, 10**9).tobytes()))
    pair = b"(" + filled(CATEGORICAL, value(DTYPE) + codes + b"}\x87") + b"j\xff\x00\x00\x00" + full + b"bt"
    categorical, filled_later = loaded(pair)
    assert len(filled_later) == 50
    assert len(categorical) == 0


def test_an_index_is_whole_when_it_is_made() -> None:
    index = value(pd.Index(["a", "b"]))
    with pytest.raises(Refused, match="changes an index"):
        loaded(filled(index, value({"_data": np.array([], object)})))
    for target in (b"cbuiltins\nlist\n", b"cpandas\nDataFrame\n", b"N"):
        with pytest.raises(Refused, match="makes no index"):
            loaded(called(NEW_INDEX, target, b"}"))


def test_an_array_of_pandas_has_numbers_from_the_first() -> None:
    module = b"cpandas._libs.arrays\n__pyx_unpickle_NDArrayBacked\n"
    args = value(pd.Categorical(["a"]).__reduce__()[1])
    assert loaded(module + args + b"R")._ndarray.size == 0
    cls, checksum = pd.Categorical(["a"]).__reduce__()[1][:2]  # type: ignore[misc, unused-ignore]
    with pytest.raises(Refused, match="with its state"):
        loaded(called(module, value(cls), value(checksum), value((DTYPE, np.array([99])))))


def _state_of(generator: Any, **changes: Any) -> Any:
    state = generator.state
    state["state"].update({name: each for name, each in changes.items() if name in state["state"]})
    state.update({name: each for name, each in changes.items() if name in state})
    return state


@pytest.mark.parametrize("place", [625, -1, 10**9])
def test_a_generator_reads_its_own_numbers(place: int) -> None:
    """It goes on reading from where its state says that it was, and gives what it finds for random numbers."""
    twister = called(b"cnumpy.random._pickle\n__bit_generator_ctor\n", value("MT19937"))
    state = _state_of(np.random.MT19937(0), pos=place)
    wild = "reads? numbers that it does not have"
    with pytest.raises(Refused, match=wild):
        loaded(filled(twister, value(state)))
    with pytest.raises(Refused, match=wild):
        loaded(filled(called(b"cnumpy.random._pickle\n__randomstate_ctor\n", twister), value(state)))
    for form in ({**state, "buffer_pos": 0}, ("MT19937", state["state"]["key"], place)):
        with pytest.raises(Refused, match=wild):
            loaded(filled(called(b"cnumpy.random._pickle\n__randomstate_ctor\n", twister), value(form)))
    philox = called(b"cnumpy.random._pickle\n__bit_generator_ctor\n", value("Philox"))
    with pytest.raises(Refused, match=wild):
        loaded(filled(philox, value(_state_of(np.random.Philox(0), buffer_pos=place))))


def test_sound_ones_come_back() -> None:
    generators = [np.random.Generator(kind(3)) for kind in (np.random.MT19937, np.random.Philox, np.random.PCG64)]
    for generator in (*generators, np.random.RandomState(3)):
        back = loaded(value(generator))
        assert back.standard_normal() == generator.standard_normal()
    things = [pd.Categorical(["a", None]), pd.MultiIndex.from_tuples([(1, "a"), (2, None)]), pd.RangeIndex(3)]
    things += [pd.IntervalIndex.from_breaks([0, 1]), pd.DatetimeIndex(["2020"]), pd.array(["a", None])]
    for thing in things:
        assert repr(loaded(value(thing))) == repr(thing)


def test_what_holds_values_alone_is_made() -> None:
    for cls in (dict, list, np.float64, pd.DataFrame, ValueError, type("Own", (), {})):
        check_makeable(cls)
    assert holds_index(pd.Index([1]))
    assert not holds_index([1])
