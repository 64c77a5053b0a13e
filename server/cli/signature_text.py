"""A signature in words, short enough for a line of a table."""

from __future__ import annotations

from collections.abc import Sequence

from adapters.base import Signature, TensorSpec

_MOST = 3  #: tensors or columns that are named in a line


def takes(signature: Signature) -> str:
    """What goes in."""
    if signature.generates:
        return "text"
    if signature.whole:
        return "whole requests"
    if signature.columns:
        (matrix,) = signature.inputs
        return f"{len(signature.columns)} columns {matrix.datatype}: {_some(signature.columns)}"
    if signature.table and len(signature.inputs) > _MOST:
        return f"{len(signature.inputs)} columns: {_tensors(signature.inputs)}"
    return _tensors(signature.inputs)


def gives(signature: Signature) -> str:
    """What comes out."""
    if signature.generates:
        return "text (language model)"
    return _tensors(signature.outputs)


def tensor(spec: TensorSpec) -> str:
    """`name FP32[?, 10]`."""
    sizes = ["?" if size == -1 else str(size) for size in spec.shape]
    return f"{spec.name} {spec.datatype}[{', '.join(sizes)}]{' (optional)' if spec.optional else ''}"


def _tensors(specs: Sequence[TensorSpec]) -> str:
    return _some([tensor(each) for each in specs])


def _some(names: Sequence[str]) -> str:
    more = len(names) - _MOST
    return ", ".join([*names[:_MOST], *([f"{more} more"] if more > 0 else [])])
