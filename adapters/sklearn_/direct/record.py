"""What was proved of an estimator and its parts, so that nothing is proved twice.

Which proofs are asked for, and in which order (an estimator's parts before itself), is decided by the estimator alone.
So the outcomes in this order say it all to another process that loads the same bytes with the same libraries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from adapters.sklearn_.direct.plan import Kernel

__all__ = ["Record"]


class Record:
    """The proofs of one load, and the paths that they are about."""

    def __init__(self, known: Any = ()) -> None:
        """`known` are another process's `outcomes`, as they came from there: it may have been a damaged one."""
        self.outcomes: list[tuple[str, bool]] = []  #: (estimator and method, whether its path holds), as asked for
        self._known: Iterator[Any] = iter(known if isinstance(known, Iterable) else ())
        self._paths: dict[tuple[int, str], tuple[Any, Kernel | None]] = {}

    def path(self, estimator: Any, method: str, find: Callable[[], Kernel | None]) -> Kernel | None:
        """What `find` finds, once: the methods of a pipeline share its first steps."""
        key = id(estimator), method
        if key not in self._paths:
            self._paths[key] = estimator, find()  # the estimator is kept, and with it the number that it goes by
        return self._paths[key][1]

    def knows(self, estimator: Any) -> bool:
        """Whether another of its methods has a path."""
        return any(each is estimator and path is not None for each, path in self._paths.values())

    def proof(self, name: str, prove: Callable[[], str]) -> str:
        """What speaks against a path. What failed elsewhere is proved again: this process's log is to say how."""
        known = next(self._known, None)
        about, held = known if isinstance(known, list | tuple) and len(known) == 2 else (None, False)
        if about != name:  # not the same estimator, whatever was promised: nothing that follows is about this one
            self._known = iter(())
        difference = "" if about == name and held is True else prove()
        self.outcomes.append((name, not difference))
        return difference
