"""Everything that a loaded model holds, whatever holds it.

A list of containers to look into would always know fewer than a loader builds: a deque, a frozenset, the keys of a
dict, a subclass with attributes, slots, a bound method. So the walk asks Python's garbage collector, which has to know
of every reference of every type; and numpy, whose arrays of objects are the one container that the collector does not
look into. Each object is met once, so the walk takes as long as the model is large, and no longer.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable
from functools import cached_property
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

import numpy as np

from adapters.sklearn_.columns import lineage

__all__ = ["Objects", "holds_a", "objects_of", "parts_of"]

#: hold nothing of the model's own: values, and what belongs to a library
_LEAVES = (str, bytes, bytearray, int, float, bool, complex, type(None), type, ModuleType, BuiltinFunctionType)
_LEAF_TYPES = frozenset(_LEAVES)  #: most are of these very types, which one look tells


class Objects(list[Any]):
    """What a walk has found: whoever asks about a whole model may be given this instead, and need not walk again."""

    @cached_property
    def parts(self) -> list[Any]:
        """Those with attributes."""
        return [part for part in self if hasattr(part, "__dict__")]

    @cached_property
    def names(self) -> frozenset[str]:
        """What the classes of all are called, and those that they derive from."""
        classes: set[Any] = {type(part) for part in self}
        return frozenset[str]().union(*[lineage(cls) for cls in classes])


def parts_of(model: Any) -> list[Any]:
    """The model and every object with attributes that it holds, at any depth, each once."""
    return objects_of(model).parts


def holds_a(model: Any, *names: str) -> bool:
    """Whether the model, or anything that it holds, is of a class of one of these names, or derives from one."""
    return not objects_of(model).names.isdisjoint(names)


def objects_of(model: Any) -> Objects:
    """The model and every object that it holds, at any depth, each once; plain values and classes are left out."""
    if type(model) is Objects:
        return model
    found: dict[int, Any] = {}
    waiting = [model]
    while waiting:
        part = waiting.pop()
        if type(part) in _LEAF_TYPES or id(part) in found or isinstance(part, _LEAVES):
            continue
        found[id(part)] = part
        waiting.extend(_held(part))
    return Objects(found.values())


def _held(part: Any) -> Iterable[Any]:
    if isinstance(part, FunctionType):  # not its globals: they are all of its module
        return (part.__closure__, part.__defaults__, part.__kwdefaults__, vars(part))
    if isinstance(part, np.ndarray | np.void) and part.dtype.hasobject:
        return [*gc.get_referents(part), *_elements(part)]
    return gc.get_referents(part)


def _elements(part: Any) -> list[Any]:
    """The objects in an array's memory, masked ones too; of a structured array its rows."""
    plain = part.view(np.ndarray).ravel() if isinstance(part, np.ndarray) else np.array([part], part.dtype)
    return list(plain.tolist())
