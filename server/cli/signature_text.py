"""A signature in words, short enough for a line of a table."""

from __future__ import annotations

from collections.abc import Sequence

from adapters.base import Signature, TensorSpec

_MOST = 3  #: tensors that are named in a line
_UNNAMED = "output-0"  #: what an output is called whose model has no name for it


def takes(signature: Signature) -> str:
    """What goes in."""
    if signature.generates:
        return "text"
    if signature.whole:
        return "whole requests"
    if signature.columns:
        (matrix,) = signature.inputs
        return f"{len(signature.columns)} columns {matrix.datatype}"
    if signature.table and len(signature.inputs) > _MOST:
        return f"{len(signature.inputs)} columns"
    return _some([tensor(each) for each in signature.inputs if not each.optional])


def gives(signature: Signature) -> str:
    """What comes out."""
    if signature.generates:
        return "text (language model)"
    if len(signature.outputs) == 1:
        return tensor(signature.outputs[0]).removeprefix(f"{_UNNAMED} ")
    return _some([tensor(each) for each in signature.outputs])


def tensor(spec: TensorSpec) -> str:
    """`name FP32[?, 10]`."""
    sizes = ["?" if size == -1 else str(size) for size in spec.shape]
    return f"{spec.name} {spec.datatype}[{', '.join(sizes)}]{' (optional)' if spec.optional else ''}"


def _some(names: Sequence[str]) -> str:
    more = len(names) - _MOST
    return ", ".join([*names[:_MOST], *([f"{more} more"] if more > 0 else [])])
