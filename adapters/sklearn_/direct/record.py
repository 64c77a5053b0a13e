"""What was proved of an estimator and its parts, so that nothing is proved twice.

Which proofs are asked for, and in which order (an estimator's parts before itself), is decided by the estimator alone.
So the outcomes in this order say it all to another process that loads the same bytes with the same libraries.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Any

from adapters.sklearn_.direct.kinds import kind_of
from adapters.sklearn_.direct.plan import Kernel

__all__ = ["Record"]


class Record:
    """The proofs of one load, and the paths that they are about."""

    def __init__(self, known: Any = ()) -> None:
        """`known` are another process's `outcomes`, as they came from there: it may have been a damaged one."""
        self.outcomes: list[tuple[str, bool]] = []  #: (estimator and method, whether its path holds), as asked for
        self._known: deque[Any] = deque(known if isinstance(known, Iterable) else ())
        self._paths: dict[tuple[int, str], tuple[Any, Kernel | None]] = {}
        self._facts: dict[tuple[int, str], tuple[Any, Any]] = {}
        self._leaves = False  #: what is looked at now is a part of what is proved whole

    def path(self, estimator: Any, method: str, find: Callable[[], Kernel | None]) -> Kernel | None:
        """What `find` finds, once: the methods of a pipeline share its first steps."""
        key = id(estimator), method
        if key not in self._paths:
            self._paths[key] = estimator, find()  # the estimator is kept, and with it the number that it goes by
        return self._paths[key][1]

    def found(self, estimator: Any, method: str) -> Kernel | None:
        """The path that was found of it; of a part of what was proved whole, as good as that is."""
        return self._paths.get((id(estimator), method), (None, None))[1]

    def kind(self, estimator: Any) -> Hashable:
        """`kind_of` it, as one number: a large model's would be hashed for every question."""
        found: Hashable = self.fact(estimator, "kind", lambda: hash(kind_of(estimator)))
        return found

    def fact(self, estimator: Any, name: str, find: Callable[[], Any]) -> Any:
        """What `find` finds of an estimator, once."""
        key = id(estimator), name
        if key not in self._facts:
            self._facts[key] = estimator, find()
        return self._facts[key][1]

    @contextlib.contextmanager
    def leaving_parts(self, whole: bool) -> Iterator[None]:
        """Within, proofs are left to the `whole` that they are about parts of; it is compared itself."""
        before, self._leaves = self._leaves, self._leaves or whole
        try:
            yield
        finally:
            self._leaves = before

    @property
    def was_told(self) -> bool:
        """Whether another process's outcomes are left: what was proved there needs no kind."""
        return bool(self._known)

    def knows(self, estimator: Any) -> bool:
        """Whether another of its methods has a path."""
        return any(each is estimator and path is not None for each, path in self._paths.values())

    def proof(self, name: str, prove: Callable[[], str]) -> str:
        """What speaks against a path. What failed elsewhere is proved again: this process's log is to say how."""
        known = self._known.popleft() if self._known else None
        about, held = known if isinstance(known, list | tuple) and len(known) == 2 else (None, False)
        if about != name:  # not the same estimator, whatever was promised: nothing that follows is about this one
            self._known.clear()
        difference = "" if self._leaves or (about == name and held is True) else prove()
        self.outcomes.append((name, not difference))
        return difference
