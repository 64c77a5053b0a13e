"""What MLflow's signature asks of requests beyond what the model does, where an adapter of the framework serves it.

MLflow leaves out columns that the signature lacks, and refuses 1.5 in a column of whole numbers. The model knows its
columns' names, but to it whole numbers are numbers.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from adapters.base import ModelDir, Signature
from adapters.formats import mlmodel

__all__ = ["as_described"]

_WHOLE = ("integer", "long")  #: MLflow's types


def as_described(signature: Signature, directory: ModelDir) -> Signature:
    """The signature of a model that the `MLmodel` beside or above it describes by the names of its columns."""
    described = None if signature.whole or not signature.inputs else mlmodel.describing(directory)
    columns = described.inputs if described else None
    if not columns or not all("name" in column and column.get("type") != "tensor" for column in columns):
        return signature
    names = [str(column["name"]) for column in columns]
    known = signature.columns or tuple(spec.name for spec in signature.inputs)
    if not set(known) <= set(names):
        return signature  # the model goes by other names than its description: it is asked by its own
    return replace(_with_whole(signature, columns), ignores_unknown=True)


def _with_whole(signature: Signature, columns: list[dict[str, Any]]) -> Signature:
    whole = {str(column["name"]) for column in columns if column.get("type") in _WHOLE}
    if signature.columns and len(signature.inputs) == 1:
        (matrix,) = signature.inputs
        places = tuple(place for place, name in enumerate(signature.columns) if name in whole)
        return replace(signature, inputs=(replace(matrix, whole=places),)) if matrix.dtype.kind == "f" else signature
    inputs = (
        replace(spec, whole=(0,)) if spec.name in whole and spec.dtype.kind == "f" and not spec.any_type else spec
        for spec in signature.inputs
    )
    return replace(signature, inputs=tuple(inputs))
