"""Torch's values in ours: dtypes, outputs as named arrays, errors in one line."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from adapters.base import Array, LoadError, Tensors
from adapters.shared.messages import brief, fault

#: V2 datatype -> the name of torch's dtype
TORCH_NAMES = {
    "BOOL": "bool",
    "INT8": "int8",
    "INT16": "int16",
    "INT32": "int32",
    "INT64": "int64",
    "UINT8": "uint8",
    "UINT16": "uint16",
    "UINT32": "uint32",
    "UINT64": "uint64",
    "FP16": "float16",
    "FP32": "float32",
    "FP64": "float64",
}
_DATATYPES = {name: datatype for datatype, name in TORCH_NAMES.items()}


def datatype_of(dtype: Any) -> str:
    """The V2 datatype of a torch dtype; bfloat16, which numpy lacks, travels as FP32.

    Raises:
        LoadError: there is none.
    """
    name = str(dtype).removeprefix("torch.")
    if name == "bfloat16":
        return "FP32"
    if name not in _DATATYPES:
        raise LoadError(f"a tensor is of type {name}, which is not served: cast it in the model")
    return _DATATYPES[name]


def tensor_of(array: Array) -> Any:
    """A torch tensor over the array's memory; a list of strings for texts."""
    import torch

    if array.dtype.kind == "O":
        return [str(item) for item in array.reshape(-1)]
    return torch.from_numpy(array if array.flags.writeable else array.copy())


def flatten(value: Any, name: str = "") -> Tensors:
    """A program's result as arrays by name.

    A dict gives its keys, a named tuple its fields, other sequences `output-0`, `output-1`, ...; what is nested joins
    its names with dots. None gives nothing.
    """
    return dict(_flatten(value, name))


def _flatten(value: Any, name: str) -> Iterator[tuple[str, Array]]:
    import torch

    if value is None:
        return
    if isinstance(value, torch.Tensor):
        yield name or "output-0", _array(value)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _flatten(item, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list | tuple) and not _is_texts(value):
        fields = getattr(value, "_fields", None) or [f"output-{i}" if not name else str(i) for i in range(len(value))]
        for field, item in zip(fields, value, strict=True):
            yield from _flatten(item, f"{name}.{field}" if name else str(field))
    else:
        yield name or "output-0", _plain(value)


def _is_texts(value: Sequence[Any]) -> bool:
    return bool(value) and isinstance(value, list) and all(isinstance(item, str) for item in value)


def _plain(value: Any) -> Array:
    """A number, a text or a list of texts."""
    texts = isinstance(value, str | list)
    array = np.asarray(value, dtype=np.object_ if texts else None)
    if array.dtype.kind not in ("O" if texts else "biuf"):  # numpy makes an array of objects of anything
        raise LoadError(f"the model gives a {type(value).__name__}, which no tensor holds")
    return array


def _array(tensor: Any) -> Array:
    import torch

    if tensor.is_quantized:
        tensor = tensor.dequantize()
    if tensor.layout is not torch.strided:
        tensor = tensor.to_dense()
    if tensor.dtype is torch.bfloat16:
        tensor = tensor.to(torch.float32)
    if tensor.is_complex():
        raise LoadError("the model gives complex numbers, which is not served: torch.view_as_real")
    array: Array = tensor.detach().cpu().resolve_conj().resolve_neg().numpy()
    return array


#: what torch says when sizes, or values such as indexes, do not fit the program
_SHAPES = re.compile(
    r"shape|size|dimension|\bdim\b|broadcast|expected .* channels|must match|to be (<=|>=|equal)", re.I
)
_VALUES = re.compile(r"out of (range|bounds)|\bindex(es)? |division by zero|Class values", re.I)


def error_of_run(error: Exception, free: bool) -> Exception:
    """What to raise for an error of a run: the client's fault, or the model's own.

    `free` says that a request may choose sizes beyond the number of rows, so that they may not fit each other.
    """
    message = message_of(error)
    return fault(message, bool(_VALUES.search(message) or (free and _SHAPES.search(message))))


def message_of(error: BaseException) -> str:
    """Torch's message without its stack traces, in one line."""
    text = str(error).strip()
    if "TorchScript interpreter" in text:  # the cause stands in the last paragraph, behind two traces
        causes = re.findall(r"^(?:[\w.]*(?:Error|Exception)): (.*(?:\n(?!\s|Traceback).*)*)", text, re.MULTILINE)
        text = causes[-1] if causes else text.splitlines()[-1]
    return brief(text, type(error).__name__)
