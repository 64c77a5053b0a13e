"""MLflow's signature as ours: columns of a table, or tensors; parameters; answers.

Source: MLflow's documentation, "Model Signatures": column specs, tensor specs, parameters, and their types.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from adapters.base import Parameter, Signature, TensorSpec
from adapters.datatypes import datatype_of
from adapters.formats.mlmodel import FILE, MLmodel, UnreadableDescription

__all__ = ["INPUT", "OUTPUT", "Schema", "schema_of"]

INPUT, OUTPUT = "input-0", "output-0"

_DATATYPES = {
    "boolean": "BOOL", "integer": "INT32", "long": "INT64", "float": "FP32", "double": "FP64",
    "string": "BYTES", "binary": "BYTES", "datetime": "BYTES",
}  # fmt: skip
#: types of columns whose values are made of others, or may be anything
_NESTED = {"array", "object", "map", "any", "sparkml_vector"}
_KINDS: dict[str, type] = {
    "boolean": bool, "integer": int, "long": int, "float": float, "double": float, "string": str, "datetime": str,
}  # fmt: skip

#: what the model takes: a data frame, an array, arrays by name, or whatever it is that was sent
Form = Literal["frame", "array", "arrays", "anything"]


@dataclass(frozen=True)
class Schema:
    """What the model takes and gives."""

    form: Form
    signature: Signature
    named: bool = True  #: a frame's columns have names
    dates: frozenset[str] = frozenset()  #: columns of texts that the model takes as dates


def schema_of(mlmodel: MLmodel) -> Schema:
    """The schema of a model; one without a signature takes anything.

    Raises:
        UnreadableDescription: the signature is damaged, or of a type that MLflow does not have.
    """
    outputs, keyed = _outputs(mlmodel.outputs)
    parameters = tuple(_parameter(spec) for spec in mlmodel.params if _is_offered(spec))
    specs = mlmodel.inputs
    if specs is None:
        anything = TensorSpec(INPUT, "BYTES", (-1,), json=True)
        return Schema("anything", Signature((anything,), outputs, keyed=keyed, any_name=True, parameters=parameters))
    named = all("name" in spec for spec in specs)
    tensors = specs[0].get("type") == "tensor"
    inputs = tuple(
        (_tensor if tensors else _column)(spec, _name(spec, i, specs, INPUT)) for i, spec in enumerate(specs)
    )
    signature = Signature(
        inputs,
        outputs,
        table=not tensors and (named or len(inputs) > 1),
        ignores_unknown=named and not tensors,  # as MLflow's own enforcement of a signature does
        keyed=keyed,
        any_name=len(inputs) == 1 and not named,
        batched=all(spec.shape[:1] == (-1,) for spec in inputs),
        parameters=parameters,
    )
    form: Form = ("arrays" if named else "array") if tensors else "frame"
    dates = frozenset(inputs[i].name for i, spec in enumerate(specs) if spec.get("type") == "datetime")
    return Schema(form, signature, named, dates)


def _outputs(specs: list[dict[str, Any]] | None) -> tuple[tuple[TensorSpec, ...], bool]:
    """The outputs, and whether an answer is an object by name; a model that does not say gives what it gives."""
    if not specs:
        return (), False
    make = _tensor if specs[0].get("type") == "tensor" else _column
    outputs = tuple(make(spec, _name(spec, i, specs, OUTPUT)) for i, spec in enumerate(specs))
    return outputs, all("name" in spec for spec in specs)


def _name(spec: Mapping[str, Any], index: int, specs: list[dict[str, Any]], default: str) -> str:
    if "name" in spec:
        return str(spec["name"])
    return default if len(specs) == 1 else f"{default.partition('-')[0]}-{index}"


def _column(spec: Mapping[str, Any], name: str) -> TensorSpec:
    kind = spec.get("type")
    optional = spec.get("required") is False or spec.get("optional") is True
    if kind in _NESTED:
        return TensorSpec(name, "BYTES", (-1,), optional=optional, json=True)
    if kind not in _DATATYPES:
        raise UnreadableDescription(f"{FILE}: the column {name!r} is of the type {kind!r}, which MLflow does not have")
    datatype = _DATATYPES[str(kind)]
    nullable = datatype in ("FP32", "FP64", "BYTES")
    return TensorSpec(name, datatype, (-1,), nullable=nullable, optional=optional, binary=kind == "binary")


def _tensor(spec: Mapping[str, Any], name: str) -> TensorSpec:
    inner = spec.get("tensor-spec")
    shape = inner.get("shape") if isinstance(inner, Mapping) else None
    if not isinstance(inner, Mapping) or not isinstance(shape, list) or not all(type(size) is int for size in shape):
        raise UnreadableDescription(f"{FILE}: the tensor {name!r} has no dtype and shape")
    try:
        datatype = datatype_of(np.dtype(str(inner.get("dtype"))))
    except TypeError as error:
        raise UnreadableDescription(f"{FILE}: the tensor {name!r} is of an unknown dtype: {error}") from error
    return TensorSpec(name, datatype, tuple(shape), nullable=datatype in ("FP16", "FP32", "FP64"))


def _is_offered(spec: Mapping[str, Any]) -> bool:
    """Parameters that are lists have no place in a request."""
    return isinstance(spec.get("name"), str) and spec.get("type") in _KINDS and spec.get("shape") is None


def _parameter(spec: Mapping[str, Any]) -> Parameter:
    return Parameter(spec["name"], _KINDS[spec["type"]], meaning=f"{spec.get('default')!r} unless given")
