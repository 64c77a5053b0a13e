"""The calls that a pickle may make: stand-ins for those functions that would do more than build a value, if asked to.

Each does what the function of its name does for the arguments that real pickles give it, and refuses others.
"""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from adapters.base import Array
from adapters.formats.pickles.arrays import create_array, empty, empty_masked
from adapters.formats.pickles.natives import array_backed, check_makeable, new_index, new_neighbours, plain
from adapters.formats.pickles.policy import CHECK_ARRAY, GETATTR, PARTIAL, STR_METHODS, Refused, refusal, strange

__all__ = ["STAND_INS", "Placeholder", "check_names", "dtype_with", "native"]

_BASES = (object, dict, list, set, tuple, frozenset, str, int, float)


class Placeholder:
    """Stands for an object that prediction never uses (a search's distributions); it takes any state and keeps none."""

    def __new__(cls, *args: Any) -> Placeholder:
        return super().__new__(cls)

    def __setstate__(self, state: Any) -> None:
        """Forget it."""


def check_names(names: Iterable[Any]) -> None:
    """Refuse reserved names: libraries look some of them up on objects, to read memory for one."""
    for name in names:
        if isinstance(name, str) and name.startswith("__") and name.endswith("__"):
            raise strange(f"sets the reserved attribute {name}")


def _method(owner: Any, name: Any) -> Any:
    """`getattr` for methods of texts, and for those that a distribution keeps: both of them are placeholders."""
    if owner is str and type(name) is str and name in STR_METHODS:
        return getattr(str, name)
    if not isinstance(owner, Placeholder):
        raise Refused(refusal([GETATTR]))
    return owner


def _partial(function: Any) -> Any:
    """`functools.partial` of sklearn's `check_array`, which histogram boosting keeps; a state brings the arguments."""
    if f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', '')}" != CHECK_ARRAY:
        raise Refused(refusal([PARTIAL]))
    return functools.partial(function)


def _reconstructor(cls: Any, base: Any, state: Any) -> Any:
    """`copyreg._reconstructor`, for the bases that hold plain values: it runs the base's constructor."""
    if not any(base is known for known in _BASES) or not isinstance(cls, type):
        raise strange(f"rebuilds an object from {base!r}")
    check_makeable(cls)
    if base is object:
        return object.__new__(cls)
    check_names(state if isinstance(state, dict) else ())
    made = base.__new__(cls, state)
    base.__init__(made, state)
    return made


def _new(cls: Any, *args: Any) -> Any:
    check_makeable(cls)
    return cls.__new__(cls, *plain(args))


def _new_ex(cls: Any, args: Any, kwargs: Any) -> Any:
    check_makeable(cls)
    return cls.__new__(cls, *plain(args), **kwargs)


def _latin1(text: Any, encoding: Any) -> bytes:
    """`_codecs.encode`, as which protocols 0 to 2 write bytes."""
    if type(text) is not str or encoding != "latin1":
        raise strange(f"encodes by {encoding!r}")
    return text.encode("latin1")


def _bytes(kind: type[bytes] | type[bytearray]) -> Callable[..., bytes | bytearray]:
    def make(content: Any = b"", encoding: Any = None) -> bytes | bytearray:
        if isinstance(content, str) and encoding == "latin-1":
            content = content.encode("latin-1")
        if not isinstance(content, bytes | bytearray | list):  # a number would ask for that many zeros
            raise strange(f"makes {kind.__name__} of a {type(content).__name__}")
        return kind(content)

    return make


def _of_list(kind: type[set[Any]] | type[frozenset[Any]]) -> Callable[..., set[Any] | frozenset[Any]]:
    def make(items: Any = ()) -> set[Any] | frozenset[Any]:
        if not isinstance(items, list | tuple):  # a range would ask for that many numbers
            raise strange(f"makes a {kind.__name__} of a {type(items).__name__}")
        return kind(items)

    return make


def _bit_generator(kind: Any = "MT19937") -> np.random.BitGenerator:
    name = kind.__name__ if isinstance(kind, type) else kind
    known: Mapping[str, type[np.random.BitGenerator]] = {
        cls.__name__: cls
        for cls in (
            np.random.MT19937,
            np.random.PCG64,
            np.random.PCG64DXSM,
            np.random.Philox,
            np.random.SFC64,
        )
    }
    if not isinstance(name, str) or name not in known or (isinstance(kind, type) and kind is not known[name]):
        raise strange(f"makes a random generator of {kind!r}")
    return known[name]()


def _arrow_array(data: Any) -> Any:
    """`pyarrow.lib._restore_array`, which believes what the file says of its buffers' lengths: they are checked."""
    array = importlib.import_module("pyarrow.lib")._restore_array(data)
    array.validate(full=True)
    return array


def _arrow_buffer(data: Any) -> Any:
    if type(data) not in (bytes, bytearray):
        raise strange(f"makes a buffer of a {type(data).__name__}")
    return importlib.import_module("pyarrow.lib").py_buffer(data)


def _random(kind: Callable[[np.random.BitGenerator], Any]) -> Callable[..., Any]:
    def make(source: Any = "MT19937", _maker: Any = None) -> Any:
        return kind(source if isinstance(source, np.random.BitGenerator) else _bit_generator(source))

    return make


#: where pickles find `_new_Index`, and scikit-learn's `newObj`
_INDEX_MODULES = ("base", "api", "category", "range", "multi", "numeric")
_NEIGHBOUR_MODULES = (
    "metrics._dist_metrics", "neighbors._dist_metrics", "neighbors._kd_tree", "neighbors._ball_tree",
)  # fmt: skip

#: dotted name -> what is called instead
STAND_INS: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {
        GETATTR: _method,
        PARTIAL: _partial,
        "builtins.bytes": _bytes(bytes),
        "builtins.bytearray": _bytes(bytearray),
        "builtins.set": _of_list(set),
        "builtins.frozenset": _of_list(frozenset),
        "copyreg._reconstructor": _reconstructor,
        "dill._dill._create_array": create_array,
        "copyreg.__newobj__": _new,
        "copyreg.__newobj_ex__": _new_ex,
        "_codecs.encode": _latin1,
        "numpy._core.multiarray._reconstruct": empty,
        "numpy.core.multiarray._reconstruct": empty,
        "pyarrow.lib._restore_array": _arrow_array,
        "pyarrow.lib.py_buffer": _arrow_buffer,
        "numpy.ma.core._mareconstruct": empty_masked,
        "numpy.ma._mareconstruct": empty_masked,
        "pandas._libs.arrays.__pyx_unpickle_NDArrayBacked": array_backed,
        **{f"pandas.core.indexes.{module}._new_Index": new_index for module in _INDEX_MODULES},
        **{f"sklearn.{module}.newObj": new_neighbours for module in _NEIGHBOUR_MODULES},
        "numpy.random._pickle.__bit_generator_ctor": _bit_generator,
        "numpy.random._pickle.__generator_ctor": _random(np.random.Generator),
        "numpy.random._pickle.__randomstate_ctor": _random(np.random.RandomState),
    }
)


def dtype_with(dtype: np.dtype[Any], state: Any) -> np.dtype[Any]:
    """The dtype that a state describes, if numpy itself would have written it; none is ever changed.

    A forged one can call plain bytes Python objects, whose addresses the file then chooses; so could one that is
    changed once an array has it, or keeps the file's own dictionary of fields, which the file goes on to change.
    """
    try:
        if _layout(dtype.__reduce__()[2]) == _layout(state):
            return dtype
        made = _dtype_of(dtype, state)
        same = _layout(made.__reduce__()[2]) == _layout(state)
    except (TypeError, ValueError, IndexError, KeyError, AttributeError) as error:
        raise strange("describes a type of array that numpy does not know") from error
    if not same:
        raise strange("describes a type of array otherwise than numpy would")
    return made


def _layout(state: Any) -> tuple[Any, ...]:
    """Of a dtype's state what decides how memory is read: not the alignment, and of dates their unit alone."""
    version, order, sub, names, fields, size, _alignment, flags, *unit = state
    if version not in range(5):
        raise ValueError(f"a state of version {version!r}")
    return order, sub, names, fields, size, flags & 0x7F, unit and unit[0][1]


def _dtype_of(dtype: np.dtype[Any], state: tuple[Any, ...]) -> np.dtype[Any]:
    _, order, sub, names, fields, size, _, flags = state[:8]
    if names is not None:
        formats, offsets = [fields[name][0] for name in names], [fields[name][1] for name in names]
        columns = {"names": list(names), "formats": formats, "offsets": offsets, "itemsize": size}
        kind, dtype = dtype.type, np.dtype(columns, align=bool(flags & 0x80))  # type: ignore[call-overload]
        if kind is np.record:
            dtype = np.dtype((kind, dtype))
    elif sub is not None:
        dtype = np.dtype(sub)
    elif len(state) > 8:  # dates: their unit
        unit, count = state[8][1][:2]
        dtype = np.dtype(f"{dtype.kind}8[{count}{unit.decode()}]")
    return dtype.newbyteorder(order)


def native(array: Array) -> Array:
    """The array in this machine's byte order, swapped in the cases in which joblib swaps."""
    if array.dtype.isnative:
        return array
    foreign = ">" if sys.byteorder == "little" else "<"
    fields = array.dtype.fields
    if array.dtype.byteorder == foreign or (fields and all(field[0].byteorder == foreign for field in fields.values())):
        return array.byteswap().view(array.dtype.newbyteorder("="))
    return array
