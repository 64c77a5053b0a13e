"""Inputs that are categories, which a booster knows by their codes: what such a column takes, and its codes."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from adapters.base import InvalidInput, TensorSpec
from adapters.shared.messages import listed

__all__ = ["as_known", "category_spec", "check_kind", "known"]

#: from here on, neighbouring whole numbers share a float64
_EXACT = 2**53


def category_spec(name: str, categories: Collection[Any], *, finite: bool = False) -> TensorSpec:
    """The column of a table that holds these categories: texts, or numbers. A missing value is welcome.

    Numbers come as FP64, which holds a missing one, unless two categories could be one float64: those come as sent.
    """
    if any(isinstance(value, str) for value in categories):
        return TensorSpec(name, "BYTES", (-1,), nullable=True)
    wide = [value for value in categories if type(value) is int and abs(value) >= _EXACT]
    if wide:
        datatype = "UINT64" if max(wide) >= 2**63 else "INT64"
        return TensorSpec(name, datatype, (-1,), nullable=True, any_type=True)
    return TensorSpec(name, "FP64", (-1,), nullable=True, finite=finite)


def check_kind(name: str, values: Collection[Any], categories: Collection[Any]) -> None:
    """Where values come as they are sent: a text is no number.

    Raises:
        InvalidInput: there is one among categories that are numbers.
    """
    numbers = not any(isinstance(value, str) for value in categories)
    if numbers and (text := next((value for value in values if isinstance(value, str)), None)) is not None:
        raise InvalidInput(f"{name}: {text[:60]!r} is not one of its categories; {known(categories)}")


def as_known(value: Any, categories: Collection[Any]) -> Any:
    """A value as the client wrote it: whole numbers come as floats, for the missing among them."""
    whole = isinstance(value, float) and value.is_integer()
    return int(value) if whole and all(isinstance(each, int) for each in categories) else value


def known(categories: Collection[Any]) -> str:
    """The categories, for a message."""
    return f"known: {listed([repr(value) for value in categories], 10)}"
