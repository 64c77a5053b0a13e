"""ONNX Runtime's words in ours: its types, its values and its errors."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from adapters.base import Array, InvalidInput, LoadError, TensorSpec
from adapters.datatypes import NUMPY_OF
from adapters.shared.arrays import array_of
from adapters.shared.messages import brief, fault, shortened

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
class OnnxPort:
    """An input or output as ONNX Runtime declares it. A free dimension is None, or its symbol."""

    name: str
    kind: str  #: "tensor", or for outputs "map" or "sequence"
    datatype: str
    dims: tuple[int | str | None, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(size if isinstance(size, int) else -1 for size in self.dims)

    def input_spec(self, batched: bool, optional: bool = False) -> TensorSpec:
        """NaN is a number to a graph, and stands for a missing value: imputers and trees look for it."""
        nullable = NUMPY_OF[self.datatype].kind == "f"
        return TensorSpec(self.name, self.datatype, self._shape(batched), nullable=nullable, optional=optional)

    def output_spec(self, batched: bool) -> TensorSpec:
        return TensorSpec(self.name, self.datatype, self._shape(batched), json=self.kind != "tensor")

    def _shape(self, batched: bool) -> tuple[int, ...]:
        return (-1, *self.shape[1:]) if batched else self.shape


def port(node: Any, direction: str) -> OnnxPort:
    """The port of an `onnxruntime.NodeArg`.

    Raises:
        LoadError: its type has no V2 datatype; the message names it.
    """
    if node.type in DATATYPES:
        dims = tuple(size if isinstance(size, str) or (size is not None and size >= 0) else None for size in node.shape)
        return OnnxPort(node.name, "tensor", DATATYPES[node.type], dims)
    if direction == "output" and node.type.startswith("map("):
        return OnnxPort(node.name, "map", "BYTES", (1,))
    if direction == "output" and (node.type.startswith("seq(map(") or node.type[4:-1] in DATATYPES):
        return OnnxPort(node.name, "sequence", "BYTES", (None,))
    way_out = "a cast to float, float16, double, string, bool or a whole number type"
    if not node.type.startswith("tensor("):
        way_out = "a tensor in its place"
    raise LoadError(
        f"{direction} {node.name!r} has the type {node.type}, which is not served: export the model with {way_out}"
    )


def observed(declared: OnnxPort, value: Value) -> OnnxPort:
    """The port with the shape that a run really gave, free wherever that differs from what was declared."""
    if declared.kind != "tensor":
        return declared
    if len(declared.dims) != value.ndim:
        return OnnxPort(declared.name, declared.kind, declared.datatype, (None,) * value.ndim)
    dims = tuple(old if old == new else None for old, new in zip(declared.dims, value.shape, strict=True))
    return OnnxPort(declared.name, declared.kind, declared.datatype, dims)


def tensor_of(value: Value) -> Array:
    """An output value as an array: a map or a sequence as an object array of JSON values, keys as strings."""
    if isinstance(value, np.ndarray):
        return value
    return array_of([_json(element) for element in (value if isinstance(value, list) else [value])])


def _json(element: Value) -> Any:
    if isinstance(element, dict):
        return {str(key): _json(item) for key, item in element.items()}
    return element.tolist() if isinstance(element, np.ndarray | np.generic) else element


#: What ONNX Runtime says when free dimensions, or values such as indexes and categories, do not fit the graph.
_SHAPES = re.compile(r"shape|dimension|broadcast|\brank\b|\baxis\b|size", re.IGNORECASE)
_VALUES = re.compile(r"bounds|\bind(ex|ices)\b|unknown category|division by zero", re.IGNORECASE)
_MEMORY = re.compile(r"alloc|memory", re.IGNORECASE)
#: the end of the pool (`arena`)
_POOL = re.compile(r"memory of (\d+) is smaller than requested bytes of (\d+)")


def error_of_run(error: Exception, free: bool) -> Exception:
    """What to raise for an error of a run: the client's fault, or the model's own.

    `free` says that a request may choose sizes beyond the number of rows, so that they may not fit each other.
    """
    if isinstance(error, UnicodeEncodeError):
        return InvalidInput(f"a text is not valid Unicode: {error.reason}")
    message, kind = message_of(error), type(error).__name__
    client = kind == "InvalidArgument" or (
        kind in ("Fail", "RuntimeException")
        and not _MEMORY.search(message)
        and (_VALUES.search(message) is not None or (free and _SHAPES.search(message) is not None))
    )
    return fault(message, client)


#: of texts that are compared in a language of their own (StringNormalizer, which skl2onnx writes for TfidfVectorizer)
_LOCALE = re.compile(r"construct locale with name:\s*([A-Za-z_]+(?:\.[\w-]+)?)")


#: file and line of ONNX Runtime's own source, and the function there; a text may be a model's, so it never looks back
_SOURCE = re.compile(r"^(\S+\.(cc|h|cpp|hpp):\d+ )((?>.*?::)(?>.*?\().*?\)( const)? |\w+ )?")
_LONGEST = 10_000  #: characters of a message that are looked at: names in it are the model's


def message_of(error: Exception) -> str:
    """ONNX Runtime's message without its codes, source files and C++ signatures, in one line."""
    text = shortened(" ".join(str(error).split()), _LONGEST)
    if locale := _LOCALE.search(text):
        return (
            f"it needs the locale {locale[1]}, which this system lacks: install it (Debian: apt-get install locales, "
            f"then localedef -i {locale[1].partition('.')[0]} -f UTF-8 {locale[1]})"
        )
    node = re.search(r"while running (\w+) node", text)
    if pool := _POOL.search(text):
        where = f"{node[1]} " if node else ""
        return f"{where}needs {pool[2]} bytes at once, and {pool[1]} are left of what all ONNX models may use together"
    text = re.split(r"Status Message: |\[ONNXRuntimeError\] : \d+ : \w+ : |Load model from .*? failed:", text)[-1]
    text = re.split(r" was false\. ", text, maxsplit=1)[-1]
    text = _SOURCE.sub("", text)
    text = text.removesuffix(" Please fix either the inputs/outputs or the model.").strip()
    return brief(f"{node[1]}: {text}" if node else text)
