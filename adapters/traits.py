"""What may be done with the calls of a loaded model, apart from what it takes and gives."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """What may be done with the calls of one loaded model; the server reads it, and never asks which framework it is.

    A class gives its framework's (`traits = Traits(parallel=True)`); a model that differs gets one of its own once it
    is loaded (`self.traits = replace(self.traits, batchable=False)`).
    """

    #: rows are independent: a merged batch gives the same rows as single calls
    batchable: bool = True
    #: `predict` may run in several threads at once on the same instance
    thread_safe: bool = True
    #: `predict` lets go of the interpreter's lock: parts of a large batch gain from running at the same time
    parallel: bool = False
    #: `predict` never waits, and how long it takes depends on its inputs' shapes alone, whatever the values are
    steady: bool = False


class PartOfTraits:
    """Stands on `Adapter` in the place of one trait, so that whoever sets or reads it there is told where it is.

    They were attributes of their own once; an adapter that still sets one would be served as if it had not.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, adapter: Any, owner: type) -> PartOfTraits:
        if adapter is None:
            return self
        raise AttributeError(f"{owner.__qualname__} has no {self._name}: it is a part of its traits")

    def __set__(self, adapter: Any, value: Any) -> None:
        raise TypeError(self._misplaced(type(adapter)))

    def check(self, cls: type) -> None:
        """
        Raises:
            TypeError: the class, or one that it inherits from, has an attribute of that name.
        """
        if getattr(cls, self._name) is not self:
            raise TypeError(self._misplaced(cls))

    def _misplaced(self, cls: type) -> str:
        return f"{cls.__qualname__} sets {self._name}, which is a part of its traits: traits = Traits({self._name}=...)"


#: for every trait what stands in its place
PARTS = {each.name: PartOfTraits(each.name) for each in fields(Traits)}
