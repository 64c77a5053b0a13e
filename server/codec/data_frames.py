"""Instances that are data frames, as KServe's clients send them: what pandas' `DataFrame(instance)` takes.

    {"age": [31, 40], "city": ["Rome", "Oslo"]}                     columns as lists
    {"age": {"0": 31, "1": 40}, "city": {"0": "Rome", "1": "Oslo"}} columns as `DataFrame.to_dict` gives them
    [{"age": 31, "city": "Rome"}, {"age": 40, "city": "Oslo"}]      records

Each is as many rows as it holds; an instance with a value a column is one row of any table. What a record lacks is
missing, as in pandas, where the model takes missing values.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeGuard

from adapters.base import Signature
from server.codec.error_text import described, quoted
from server.errors import InvalidInput

_NESTED = frozenset({list, dict})


def is_named(instance: Any) -> TypeGuard[dict[str, Any]]:
    """Whether it holds values by name: an object, but none that stands for bytes."""
    return isinstance(instance, dict) and instance.keys() != {"b64"}


def takes_columns(signature: Signature) -> bool:
    """Whether what the model takes is columns of one value a row, so that lists in an instance can only be rows."""
    if signature.tf_serving or not signature.batched:
        return False
    if len(signature.inputs) == 1 and signature.columns:
        return True
    single = ((-1,), (-1, 1))
    return all(spec.shape in single and not spec.any_rank and not spec.json for spec in signature.inputs)


def are_frames(instances: list[Any], signature: Signature) -> bool:
    """Whether the first instance is a data frame, and the model takes columns: records, or columns that hold rows."""
    first = instances[0]
    if isinstance(first, list):
        return bool(first) and is_named(first[0]) and takes_columns(signature)
    return _is_nested(first) and takes_columns(signature) and _is_nested(_looked_at(first, signature))


def _is_nested(instance: Any) -> bool:
    return isinstance(instance, dict) and not _NESTED.isdisjoint(map(type, instance.values())) and is_named(instance)


def _looked_at(frame: dict[str, Any], signature: Signature) -> dict[str, Any]:
    """The columns that matter: the others may hold anything."""
    unused = {spec.name for spec in signature.inputs if spec.unused}
    known = (
        {*signature.columns, *(spec.name for spec in signature.inputs)} if signature.ignores_unknown else frame.keys()
    )
    return {name: column for name, column in frame.items() if name in known and name not in unused}


def rows_of_frames(instances: list[Any], signature: Signature, field: str) -> list[dict[str, Any]]:
    """Every row of every data frame, as an object by column name.

    Raises:
        InvalidInput: one is no data frame, or its columns are of different lengths or have different indexes; none
            holds a row.
    """
    rows: list[dict[str, Any]] = []
    missing = dict.fromkeys(_may_lack(signature))
    for i, instance in enumerate(instances):
        if isinstance(instance, list) and all(map(is_named, instance)):
            rows += [missing | record for record in instance] if missing else instance
        elif is_named(instance):
            rows += _rows(_looked_at(instance, signature), f"{field}[{i}]")
        else:
            raise InvalidInput(f"{field}[{i}] must be an object of columns, like the first instance")
    if not rows:
        raise InvalidInput(f"{field}[0] holds no rows: send at least one")
    return rows


def _may_lack(signature: Signature) -> Iterator[str]:
    """The columns that a row need not have a value for."""
    for spec in signature.inputs:
        if spec.nullable and not spec.unused:
            yield from signature.columns or (spec.name,)


def _rows(frame: dict[str, Any], field: str) -> list[dict[str, Any]]:
    """The rows of one data frame."""
    columns = {name: column for name, column in frame.items() if isinstance(column, list) or is_named(column)}
    if not columns:
        return [frame]
    first, column = next(iter(columns.items()))
    keys: Any = range(len(column)) if isinstance(column, list) else column
    for name, other in frame.items():
        if name not in columns:
            if len(keys) == 1:  # pandas repeats it for more, which a short body could make many values
                continue
        elif isinstance(column, list) and isinstance(other, list):
            if len(other) == len(keys):
                continue
            held = f"{first!r} holds {len(keys)}, {name!r} holds {len(other)}"
            raise InvalidInput(f"the columns of {field} hold different numbers of rows: {held}")
        elif is_named(column) and is_named(other):
            if other.keys() == column.keys():
                continue
            index = quoted(next(iter(other.keys() ^ column.keys())))
            raise InvalidInput(
                f"{field}: only one of the columns {first!r} and {name!r} has the index {index}: send "
                "null for a missing value"
            )
        kinds = f"{first!r} is {described(column)}, {name!r} is {described(other)}"
        raise InvalidInput(f"the columns of {field} are not alike: {kinds}")
    return [{name: column[key] if name in columns else column for name, column in frame.items()} for key in keys]
