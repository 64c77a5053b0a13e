"""ONNX Runtime's words in ours: its types, its values and its errors."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from adapters.base import Array, InvalidInput, LoadError, TensorSpec

#: ONNX Runtime type -> V2 datatype
DATATYPES = {
    "tensor(bool)": "BOOL",
    "tensor(int8)": "INT8",
    "tensor(int16)": "INT16",
    "tensor(int32)": "INT32",
    "tensor(int64)": "INT64",
    "tensor(uint8)": "UINT8",
    "tensor(uint16)": "UINT16",
    "tensor(uint32)": "UINT32",
    "tensor(uint64)": "UINT64",
    "tensor(float16)": "FP16",
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
    "tensor(string)": "BYTES",
}

#: What a session's run returns for one output: an array, a dict (map), or a list of either (sequence).
Value: TypeAlias = Any


@dataclass(frozen=True)
class Port:
    """An input or output as ONNX Runtime declares it. A free dimension is None, or its symbol."""

    name: str
    kind: str  #: "tensor", or for outputs "map" or "sequence"
    datatype: str
    dims: tuple[int | str | None, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(size if isinstance(size, int) else -1 for size in self.dims)

    def spec(self, batched: bool, optional: bool = False) -> TensorSpec:
        shape = (-1, *self.shape[1:]) if batched else self.shape
        return TensorSpec(self.name, self.datatype, shape, optional=optional, json=self.kind != "tensor")


def port(node: Any, direction: str) -> Port:
    """The port of an `onnxruntime.NodeArg`.

    Raises:
        LoadError: its type has no V2 datatype; the message names it.
    """
    if node.type in DATATYPES:
        dims = tuple(size if isinstance(size, str) or (size is not None and size >= 0) else None for size in node.shape)
        return Port(node.name, "tensor", DATATYPES[node.type], dims)
    if direction == "output" and node.type.startswith("map("):
        return Port(node.name, "map", "BYTES", (1,))
    if direction == "output" and (node.type.startswith("seq(map(") or node.type[4:-1] in DATATYPES):
        return Port(node.name, "sequence", "BYTES", (None,))
    raise LoadError(
        f"{direction} {node.name!r} has the type {node.type}, which the V2 protocol cannot carry: "
        "export the model with a cast to float, float16, double, string, bool or a whole number type"
    )


def rows_of(value: Value) -> int | None:
    """How many rows an output value has: a map is one, a scalar has none."""
    if isinstance(value, np.ndarray):
        return value.shape[0] if value.ndim else None
    return len(value) if isinstance(value, list) else 1


def observed(declared: Port, value: Value) -> Port:
    """The port with the shape that a run really gave, free wherever that differs from what was declared."""
    if declared.kind != "tensor":
        return declared
    if len(declared.dims) != value.ndim:
        return Port(declared.name, declared.kind, declared.datatype, (None,) * value.ndim)
    dims = tuple(old if old == new else None for old, new in zip(declared.dims, value.shape, strict=True))
    return Port(declared.name, declared.kind, declared.datatype, dims)


def array_of(value: Value) -> Array:
    """An output value as an array: a map or a sequence as an object array of JSON values, keys as strings."""
    if isinstance(value, np.ndarray):
        return value
    elements = value if isinstance(value, list) else [value]
    array = np.empty(len(elements), dtype=np.object_)
    for index, element in enumerate(elements):
        array[index] = _json(element)
    return array


def _json(element: Value) -> Any:
    if isinstance(element, dict):
        return {str(key): _json(item) for key, item in element.items()}
    return element.tolist() if isinstance(element, np.ndarray | np.generic) else element


def joined(runs: Sequence[dict[str, Array]]) -> dict[str, Array]:
    """The outputs of one run a row, row under row.

    Raises:
        InvalidInput: the rows gave different shapes, which no tensor holds.
    """
    outputs: dict[str, Array] = {}
    for name in runs[0]:
        parts = [run[name] for run in runs]
        if len({part.shape for part in parts}) > 1:
            raise InvalidInput(f"output {name!r} has another shape for every instance: send one instance a request")
        outputs[name] = np.concatenate(parts)
    return outputs


#: What ONNX Runtime says when free dimensions, or values such as indexes and categories, do not fit the graph.
_SHAPES = re.compile(r"shape|dimension|broadcast|\brank\b|\baxis\b|size", re.IGNORECASE)
_VALUES = re.compile(r"bounds|\bind(ex|ices)\b|unknown category|division by zero", re.IGNORECASE)
_MEMORY = re.compile(r"alloc|memory", re.IGNORECASE)


def fault(error: Exception, free: bool) -> Exception:
    """What to raise for an error of a run: the client's fault, or the model's own.

    `free` says that a request may choose sizes beyond the number of rows, so that they may not fit each other.
    """
    if isinstance(error, UnicodeEncodeError):
        return InvalidInput(f"a text is not valid Unicode: {error.reason}")
    message, kind = brief(error), type(error).__name__
    client = kind == "InvalidArgument" or (
        kind in ("Fail", "RuntimeException")
        and not _MEMORY.search(message)
        and (_VALUES.search(message) is not None or (free and _SHAPES.search(message) is not None))
    )
    return InvalidInput(f"the model refuses the input: {message}") if client else RuntimeError(message)


def brief(error: Exception) -> str:
    """ONNX Runtime's message without its codes, source files and C++ signatures; one line of at most 300 characters."""
    text = " ".join(str(error).split())
    node = re.search(r"while running (\w+) node", text)
    text = re.split(r"Status Message: |\[ONNXRuntimeError\] : \d+ : \w+ : |Load model from .*? failed:", text)[-1]
    text = re.split(r" was false\. ", text, maxsplit=1)[-1]
    text = re.sub(r"^(\S+\.(cc|h|cpp|hpp):\d+ )(.*?::.*?\(.*?\)( const)? |\w+ )?", "", text)
    text = text.removesuffix(" Please fix either the inputs/outputs or the model.").strip()
    text = f"{node[1]}: {text}" if node else text
    return text if len(text) <= 300 else f"{text[:297]}..."
