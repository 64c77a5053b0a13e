"""KServe V1's `:explain`: the body of a prediction -> `{"explanations": [...]}`, one explanation an instance, in order.

    {"contributions": {"age": 0.4, "size": -1.2}, "base_value": 0.1}

`contributions` is an object by column name where the columns have names, else a list in the columns' order. Where the
model has several outputs (classes, targets), each contribution, and the base value, is a list with one number each.
"""

from __future__ import annotations

from typing import Any

from adapters.base import Signature, Tensors
from server.codec.outputs import dumps, listed

CONTRIBUTIONS = "contributions"


def encode(explained: Tensors, signature: Signature) -> bytes:
    """The response body."""
    names = names_of(signature)
    columns = {name: listed(array) for name, array in explained.items()}
    if names and CONTRIBUTIONS in columns:
        columns[CONTRIBUTIONS] = [dict(zip(names, row, strict=True)) for row in columns[CONTRIBUTIONS]]
    rows: Any = zip(*columns.values(), strict=True) if signature.batched else [columns.values()]
    return dumps({"explanations": [dict(zip(columns, row, strict=True)) for row in rows]})


def names_of(signature: Signature) -> tuple[str, ...]:
    """The columns' names, if they have any."""
    return tuple(spec.name for spec in signature.inputs) if signature.table else signature.columns
