"""The pickle machine that loads, with the policy enforced at every opcode that names, makes or changes an object."""

from __future__ import annotations

import importlib
import io
import math
import sys
from collections import deque
from collections.abc import Iterable
from typing import Any

import numpy as np

from adapters.base import Array, LoadError
from adapters.formats.pickles.arrays import ArrayKind, kind_of
from adapters.formats.pickles.machine import Machine, Taken
from adapters.formats.pickles.natives import check_makeable, plain
from adapters.formats.pickles.policy import ARRAY_WRAPPERS, Refused, Use, dotted, judge, refusal, strange
from adapters.formats.pickles.states import set_state
from adapters.formats.pickles.stream import skip, take
from adapters.formats.pickles.values import STAND_INS, Placeholder, check_names, dtype_with, native

__all__ = ["Loading"]

_CALL = Use.CALL
_CONTAINERS = (list, dict, set, deque)
_MOST_SEARCHED = 10_000_000  #: picklers finish a dtype a few steps after they have begun it


class _ArrayHeader:
    """joblib's stand-in for an array, whose bytes follow in the file."""


class Loading(Machine):
    """Loads one pickle whose names and acts the policy allows; everything else raises Refused."""

    def __init__(self, stream: io.BufferedReader, nested: bool = False) -> None:
        super().__init__(stream, Taken())
        self._nested = nested
        self._searched = 0  #: places of the memory that were looked at for dtypes
        self._built: dict[int, Any] = {}  #: by id, what was given its state, kept so that no other gets the id
        self._named: dict[int, Use] = {}  #: by id, how the pickle may use what it named

    def find_class(self, module: str, name: str) -> Any:
        module, name = self.modern(module, name)
        use, label = judge(module, name), dotted(module, name)
        if use is None:
            raise Refused(refusal([label]))
        sys.audit("pickle.find_class", module, name)
        found = _resolve(module, name, use, label)
        self._named[id(found)] = _CALL if label in STAND_INS else use
        return found

    # making objects

    def load_reduce(self) -> None:
        args = self.stack.pop()
        maker = self.stack[-1]
        if self._named.get(id(maker)) is not _CALL:
            raise strange(f"calls {_label(maker)}")
        self.stack[-1] = maker(*plain(args))

    def load_newobj(self) -> None:
        args = self.stack.pop()
        self.stack[-1] = _made(self.stack[-1], args, {})

    def load_newobj_ex(self) -> None:
        kwargs, args = self.stack.pop(), self.stack.pop()
        self.stack[-1] = _made(self.stack[-1], args, kwargs)

    def _instantiate(self, klass: Any, args: Any) -> None:
        """INST and OBJ, of Python 2's classes."""
        raise strange(f"makes a {_label(klass)} with an opcode of Python 2")

    def load_bytearray8(self) -> None:
        """Read what is there; the standard library makes room for what is claimed first."""
        size = int.from_bytes(self.read(8), "little")
        self.append(bytearray(self.read(size) if self.in_frame() else take(self.stream, size)))

    # changing objects

    def load_build(self) -> None:
        state = self.stack.pop()
        target = self.stack[-1]
        if isinstance(target, _ArrayHeader):
            self.stack[-1] = self._array(state)
        elif isinstance(target, np.dtype):
            self._finish(target, state)
        elif id(target) in self._named or isinstance(target, type):
            raise strange(f"changes {_label(target)}")
        elif id(target) in self._built:  # native code makes room for its state once
            raise strange(f"gives a {_label(target)} its state twice")
        else:
            if not isinstance(target, np.ndarray):  # which are told apart by their sizes
                self._built[id(target)] = target
            set_state(target, state)

    def _finish(self, dtype: np.dtype[Any], state: Any) -> None:
        """Put what the state makes of a dtype in its place, and in the memory, where picklers have it by then."""
        self.stack[-1] = finished = dtype_with(dtype, state)
        if finished is not dtype:
            self._searched += self.memo.replace(dtype, finished)
            if self._searched > _MOST_SEARCHED:
                raise strange("finishes its dtypes long after it has begun them")

    def load_append(self) -> None:
        _check_container(self.stack[-2])
        super().load_append()  # type: ignore[misc]

    def load_appends(self) -> None:
        _check_container(self.metastack[-1][-1])
        super().load_appends()  # type: ignore[misc]

    def load_setitem(self) -> None:
        _check_container(self.stack[-3], self.stack[-2:-1])
        super().load_setitem()  # type: ignore[misc]

    def load_setitems(self) -> None:
        if type(self.metastack[-1][-1]) is not dict:
            _check_container(self.metastack[-1][-1], self.stack[::2])
        super().load_setitems()  # type: ignore[misc]

    def load_additems(self) -> None:
        _check_container(self.metastack[-1][-1])
        super().load_additems()  # type: ignore[misc]

    def _array(self, state: Any) -> Array:
        """The array that follows joblib's stand-in, as joblib reads it: a subclass as a plain array."""
        dtype = state["dtype"]
        if not isinstance(dtype, np.dtype) or self._nested:
            raise strange("describes an array without its type")
        if dtype.hasobject:
            return native(Loading(self.stream, nested=True).load())
        if state.get("numpy_array_alignment_bytes") is not None:
            skip(self.stream, take(self.stream, 1)[0])
        shape = tuple(state["shape"])
        array, order = _read(self.stream, math.prod(shape), dtype), state["order"]
        if len(shape) != 1:
            array = array.reshape(shape[::-1]).T if order == "F" else array.reshape(shape)
        return native(array)


def _read(stream: io.BufferedReader, count: int, dtype: np.dtype[Any]) -> Array:
    array = np.empty(count, dtype)
    if not array.nbytes:
        return array
    rest = array.view(np.uint8).data
    while (size := stream.readinto(rest)) < len(rest):
        if not size:
            raise EOFError("the file ends within an array")
        rest = rest[size:]
    return array


def _resolve(module: str, name: str, use: Use, label: str) -> Any:
    """Import what the policy allows, and see that it is what the policy takes it for."""
    if label in ARRAY_WRAPPERS:
        return _ArrayHeader
    if label in STAND_INS:
        return STAND_INS[label]
    if use is Use.INERT:
        return Placeholder
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise LoadError(f"names {label}, which is not installed here: {error}") from error
    if use is Use.CONSTANT:
        return found
    home = (str(getattr(found, "__module__", "")), str(getattr(found, "__name__", "")))
    if isinstance(found, type):
        sound = use is not Use.FUNCTION and judge(found.__module__, found.__qualname__) is not None
    else:
        near = home[0].partition(".")[0] in ("", module.partition(".")[0]) or judge(*home) is use
        sound = use is not Use.CLASS and callable(found) and near
    if not sound:
        raise Refused(refusal([f"{label} ({dotted(*home)})"]))
    is_array = isinstance(found, type) and issubclass(found, np.ndarray)
    return kind_of(found) if is_array else found


def _made(cls: Any, args: Any, kwargs: Any) -> Any:
    """`cls.__new__(cls, ...)`, of a class alone."""
    if isinstance(cls, ArrayKind):
        raise strange("makes an array with an opcode for other objects")
    check_makeable(cls)
    return cls.__new__(cls, *plain(args), **kwargs)


def _check_container(target: Any, keys: Iterable[Any] = ()) -> None:
    if not isinstance(target, _CONTAINERS):
        raise strange(f"adds to {_label(target)}")
    if type(target) is not dict:  # a Bunch's items are its attributes too
        check_names(keys)


def _label(value: Any) -> str:
    """A class or function by its name, an object by its class."""
    named = value if isinstance(value, type) or hasattr(value, "__qualname__") else type(value)
    module = getattr(named, "__module__", "builtins")  # which methods of built-in types do not tell
    return f"{module}.{named.__qualname__}"
