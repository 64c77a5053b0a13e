"""What a V2 request says of the outputs that it names: how they go, and what becomes of them first.

    binary_data      raw, behind the JSON (the binary tensor extension)
    classification   Triton's classification extension: so many of the largest values, as texts "value:index", or
                     "value:index:label" where the output's values have names
    content_type     MLServer's: what the elements stand for

Rows that are arrays of their own (an object array of them) become one tensor here, where they have one shape.

Source: Triton's "Binary tensor data extension" and "Classification Extension".
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from adapters.base import Array, Signature, Tensors
from adapters.datatypes import datatype_of
from adapters.shared.arrays import array_of
from server.codec.content_types import content_type
from server.codec.error_text import described, nearest, quoted
from server.codec.outputs import texts
from server.codec.parameters import flag, refuse_others
from server.errors import InvalidInput

_KNOWN = ("binary_data", "classification", "content_type")


@dataclass(frozen=True, slots=True)
class RequestedOutput:
    """One output that a request names."""

    binary: bool
    classes: int = 0  #: how many of the largest values; 0: all of them as they are
    content_type: str = ""
    labels: tuple[str, ...] = ()  #: what the values are called


def read_output(
    parameters: Mapping[str, Any], binary: bool, field: str, labels: tuple[str, ...] = ()
) -> RequestedOutput:
    """An output's parameters; `binary` is how it goes if they do not say, `labels` what its values are called.

    Raises:
        InvalidInput: one is unknown, or its value is of another kind.
    """
    refuse_others(f"{field}.parameters", parameters, _KNOWN)
    classes = parameters.get("classification") or 0
    if type(classes) is not int or classes < 0:
        raise InvalidInput(
            f"{field}.parameters.classification must be how many classes to answer, not {described(classes)}"
        )
    kind = content_type(parameters.get("content_type"), field)
    return RequestedOutput(flag(parameters, "binary_data", binary, f"{field}.parameters"), classes, kind, labels)


def select(outputs: Tensors, requested: Mapping[str, RequestedOutput], batched: bool) -> Tensors:
    """The requested outputs (all when none is requested), in the requested order, as they are asked for.

    Raises:
        InvalidInput: there is none of that name, or it is not what it is asked to be.
    """
    outputs = {name: _as_tensor(array) if array.dtype.kind == "O" else array for name, array in outputs.items()}
    if not requested:
        return outputs
    for name in requested:
        if name not in outputs:
            raise InvalidInput(f"outputs: {quoted(name)} is unknown; {nearest(name, outputs)}")
    return {name: _as_asked(name, outputs[name], asked, batched) for name, asked in requested.items()}


def _as_tensor(array: Array) -> Array:
    """Rows of numbers as the tensor that they are together; lists a row where their shapes differ.

    Of one request's rows, so that no answer depends on whose rows shared its call.
    """
    if array.ndim != 1 or not len(array) or not isinstance(array[0], np.ndarray):
        return array
    alike = len({(row.dtype, row.shape) for row in array}) == 1
    return np.stack(array.tolist()) if alike else array


def _as_asked(name: str, array: Array, asked: RequestedOutput, batched: bool) -> Array:
    if asked.classes:
        array = _largest(name, array, asked, batched)
    if asked.content_type in ("", "np"):
        return array
    if datatype_of(array.dtype) != "BYTES":
        raise InvalidInput(
            f"the output {name!r} holds numbers, and content_type {asked.content_type!r} is one of texts: "
            "leave it out, or ask for 'np'"
        )
    if asked.content_type == "base64":
        return array_of([base64.b64encode(item) for item in texts(array)]).reshape(array.shape)
    return array


def labels_of(name: str, signature: Signature) -> tuple[str, ...]:
    """What the values of the model's output of that name are called."""
    return next((spec.labels for spec in signature.outputs if spec.name == name), ())


def _largest(name: str, array: Array, asked: RequestedOutput, batched: bool) -> Array:
    """Texts "value:index:label", the largest value first: [rows, count], or [count] of an output without rows."""
    if array.dtype.kind not in "iuf":
        raise InvalidInput(f"the output {name!r} holds no numbers to classify: leave out its parameter classification")
    rows = array.reshape(len(array) if batched else 1, -1)
    count = min(asked.classes, rows.shape[1])
    ranked = np.nan_to_num(rows, nan=-np.inf, posinf=np.inf, neginf=-np.inf) if rows.dtype.kind == "f" else rows
    # reversed twice, so that of equal values the first comes first
    order = rows.shape[1] - 1 - np.argsort(ranked[:, ::-1], axis=1, kind="stable")[:, ::-1][:, :count]
    shown = "{:f}:{}{}" if rows.dtype.kind == "f" else "{}:{}{}"  # C++'s std::to_string
    called = [f":{label}" for label in asked.labels[: rows.shape[1]]]
    called += [""] * (rows.shape[1] - len(called))
    pairs = zip(np.take_along_axis(rows, order, axis=1).flat, order.flat, strict=True)
    answer = array_of([shown.format(value, index, called[index]) for value, index in pairs])
    return answer.reshape((len(rows), count) if batched else (count,))
