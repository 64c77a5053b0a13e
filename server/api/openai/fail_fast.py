"""Lists in bodies that are given up at their first mistake: pydantic would keep one for each of their elements."""

from __future__ import annotations

from typing import Annotated, TypeAlias, TypeVar

from pydantic import FailFast

_E = TypeVar("_E")


class _FailFast(FailFast):
    """As pydantic's, and to be part of a union, whose members are hashed."""

    def __hash__(self) -> int:
        return hash(self.fail_fast)


FailFastList: TypeAlias = Annotated[list[_E], _FailFast()]
