"""TensorFlow's words in ours: its types, its values, its errors, and the module itself as we want it set up."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np

from adapters.base import Array, LoadError, TensorSpec
from adapters.shared.messages import brief, fault, without_trace

#: name of a tf.DType -> V2 datatype
DATATYPES = {
    "bool": "BOOL",
    "int8": "INT8",
    "int16": "INT16",
    "int32": "INT32",
    "int64": "INT64",
    "uint8": "UINT8",
    "uint16": "UINT16",
    "uint32": "UINT32",
    "uint64": "UINT64",
    "float16": "FP16",
    "float32": "FP32",
    "float64": "FP64",
    "string": "BYTES",
}

#: the arrays of the inputs, in their order, to those of the outputs
Run: TypeAlias = Callable[[Sequence[Array]], Sequence[Array]]

#: errors of TensorFlow's that say that the request does not fit the graph
_CLIENT = ("InvalidArgumentError", "OutOfRangeError")


@dataclass(frozen=True, slots=True)
class TensorflowPort:
    """An input or output of a graph. `dims` has -1 for a free dimension, and is None where even their number is."""

    name: str
    datatype: str
    dims: tuple[int, ...] | None

    @property
    def shape(self) -> tuple[int, ...]:
        return (-1,) if self.dims is None else self.dims

    def freed(self) -> TensorflowPort:
        """The same of any number of rows."""
        return replace(self, dims=(-1, *self.shape[1:]))

    def input_spec(self) -> TensorSpec:
        return TensorSpec(
            self.name,
            self.datatype,
            self.shape,
            nullable=self.datatype in ("FP16", "FP32", "FP64"),  # as NaN, which is a number to a graph
            binary=self.datatype == "BYTES",
            any_rank=self.dims is None,
        )

    def output_spec(self) -> TensorSpec:
        """TensorFlow Serving's rule: outputs whose names end in `_bytes` go as base64."""
        encoded = self.datatype == "BYTES" and self.name.endswith("_bytes")
        return TensorSpec(self.name, self.datatype, self.shape, binary=self.datatype == "BYTES", base64=encoded)


@dataclass(frozen=True, slots=True)
class Entry:
    """One signature of a model: what it takes and gives, and how it is run."""

    name: str
    inputs: tuple[TensorflowPort, ...]
    outputs: tuple[TensorflowPort, ...]
    run: Run
    #: makes a run that takes whatever shapes the graph bears; `run` insists on those of its placeholders
    unchecked: Callable[[], Run] | None = None

    def of_any_rows(self) -> Entry | None:
        """The same where it was saved with the shape of one row, for any number of them; None where it was not."""
        ports = (*self.inputs, *self.outputs)
        if self.unchecked is None or not self.inputs or any((port.dims or ())[:1] != (1,) for port in ports):
            return None
        inputs, outputs = (tuple(port.freed() for port in each) for each in (self.inputs, self.outputs))
        return Entry(self.name, inputs, outputs, self.unchecked())


def tensorflow() -> Any:
    """The module, quiet, and with one native thread a call."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import tensorflow as tf

    tf.get_logger().setLevel("ERROR")
    return tf


def port(name: str, dtype: Any, shape: Any, where: str) -> TensorflowPort:
    """The port of a tensor, from its `tf.DType` and `tf.TensorShape`; `where` names it for the message.

    Raises:
        LoadError: its type has no V2 datatype.
    """
    if dtype.name not in DATATYPES:
        raise LoadError(
            f"{where} has the type {dtype.name}, which is not served: "
            "export the model with a cast to a float, a whole number type, bool or string"
        )
    dims = None if shape.rank is None else tuple(-1 if size is None else size for size in shape.as_list())
    return TensorflowPort(name, DATATYPES[dtype.name], dims)


def tensor_of(value: Any, datatype: str) -> Array:
    """A value that TensorFlow returned, as an array: it makes scalars of tensors without dimensions."""
    if isinstance(value, np.ndarray):
        return value
    array: Array = np.empty((), dtype=np.object_ if datatype == "BYTES" else np.asarray(value).dtype)
    array[()] = value
    return array


def error_of_run(error: Exception) -> Exception:
    """What to raise for an error of a run: the client's fault, or the model's own."""
    return fault(message_of(error), type(error).__name__ in _CLIENT)


def message_of(error: Exception) -> str:
    """TensorFlow's message without its stack traces and node lists, in one line."""
    text = str(getattr(error, "message", "") or error)
    if lacking := re.search(r"Op type not registered '([^']+)'", text):
        return f"the graph needs the operation {lacking[1]!r}, which another package brings (tensorflow-text, for one)"
    text = without_trace(text)
    for tail in ("\n\t [[", "\n\nErrors may have", " [Op:"):
        text = text.partition(tail)[0]
    return brief(text.removeprefix("Graph execution error:"), type(error).__name__)
