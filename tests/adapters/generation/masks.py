"""Masks by a function of a test: of the tokens made so far, and the row that it changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any


class CalledMask:
    """`engine.TokenMask` that is always ready."""

    def __init__(self, change: Callable[[Sequence[int], Any], None]) -> None:
        self._change = change
        self._made: list[int] = []

    def is_ready(self, patience: float = 0.0) -> bool:
        return True

    def apply(self, row: Any) -> None:
        self._change(self._made, row)

    def advance(self, token: int) -> None:
        self._made.append(token)


def by(change: Callable[[Sequence[int], Any], None]) -> Callable[[], CalledMask]:
    """`Generation.mask`."""
    return lambda: CalledMask(change)
