"""Named tensors off the wire (V2 JSON, V2 binary, gRPC) to the inputs that a signature asks for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from adapters.base import Array, Signature, Tensors, TensorSpec
from adapters.shared.arrays import array_of
from server.codec import any_values, json_values
from server.codec.error_text import at, nearest, quoted
from server.codec.json_tensors import column_of, common_rows, fit
from server.errors import InvalidInput

_MOST_TENSORS = 10_000  #: where nobody knows how many columns there are


@dataclass(frozen=True, slots=True)
class WireTensor:
    """A tensor as it was sent: BYTES elements are still `bytes` or `str`."""

    name: str
    array: Array


def check_count(count: int, signature: Signature) -> None:
    """Before any of them is read.

    Raises:
        InvalidInput: they are more than any model of that kind has columns.
    """
    most = max(_MOST_TENSORS, len(signature.inputs), len(signature.columns))
    if count > most:
        raise InvalidInput(f"inputs: {count} tensors were sent, and {most} are read at most: send rows in one tensor")


def bind(tensors: Sequence[WireTensor], signature: Signature, content_type: str = "") -> Tensors:
    """Inputs by name that fit the signature.

    A single input whose name the adapter made up takes any name. The columns of a matrix may come as one tensor each
    (`content_type` "pd", KServe's data frame, says so even where the model knows no names: then in their order).

    Raises:
        InvalidInput: unknown, missing or repeated inputs, or one that does not fit.
    """
    if not tensors and signature.inputs:
        raise InvalidInput('"inputs" is empty: send at least one tensor')
    sent = {tensor.name: tensor for tensor in tensors}
    if len(sent) != len(tensors):
        raise InvalidInput(f"inputs: {_repeated(tensors)} is sent twice")
    if len(signature.inputs) == 1:
        (spec,) = signature.inputs
        if _is_columns(tensors, signature, content_type):
            return {spec.name: fit(_stack(sent, signature, spec), spec, _field(spec.name))}
        if spec.json and signature.any_name and (rows := _objects(tensors, content_type)) is not None:
            return {spec.name: fit(rows, spec, _field(spec.name))}
        if signature.any_name and len(tensors) == 1:
            return {spec.name: _one(tensors[0], spec)}
    elif signature.any_name and (needed := _meant(tensors, signature)) is not None:
        return {needed.name: _one(tensors[0], needed)}
    if signature.table and len(tensors) == 1 and (columns := _split(tensors[0], signature)):
        sent = columns
    return _by_name(sent, signature)


def _meant(tensors: Sequence[WireTensor], signature: Signature) -> TensorSpec | None:
    """The only input that must be sent, where one tensor was sent and its name is no input's."""
    needed = [spec for spec in signature.inputs if not spec.optional]
    named = len(tensors) == 1 and any(tensors[0].name == spec.name for spec in signature.inputs)
    return None if named or len(tensors) != 1 or len(needed) != 1 else needed[0]


def _by_name(sent: dict[str, WireTensor], signature: Signature) -> Tensors:
    specs = {spec.name: spec for spec in signature.inputs}
    for name in sent:
        if name not in specs and not signature.ignores_unknown:
            raise InvalidInput(f"input {quoted(name)} is unknown; {nearest(name, specs)}")
    missing = [name for name, spec in specs.items() if name not in sent and not spec.optional]
    if missing:
        raise InvalidInput(f"input {missing[0]!r} is missing")
    return {name: _one(sent[name], spec) for name, spec in specs.items() if name in sent and not spec.unused}


def _one(tensor: WireTensor, spec: TensorSpec) -> Array:
    array = tensor.array
    if array.ndim == 0 and spec.shape == (-1,):  # one row, as KServe's Hugging Face server takes a text of shape []
        array = array.reshape(1)
    if spec.json:
        values = json_values.from_tensor(array)
        if spec.shape == (-1,) and values.ndim > 1 and values[:1].size > 1:  # several texts a row: a list of them
            values = array_of(values.tolist())
        return fit(values, spec, _field(tensor.name))
    if spec.any_type:
        array = any_values.texts_of(array, _field(tensor.name)) if array.dtype.kind == "O" else array
        return fit(array, spec, _field(tensor.name))
    if array.dtype.kind == "O":
        array = _texts(array, spec, tensor.name)
    return fit(array, spec, _field(tensor.name))


def _texts(array: Array, spec: TensorSpec, name: str) -> Array:
    """BYTES as the spec wants them: `bytes`, or `str` decoded as UTF-8."""
    if spec.datatype != "BYTES":
        return array
    texts = np.empty(array.shape, dtype=np.object_)
    for where, value in np.ndenumerate(array):
        if value is None and not spec.nullable:
            raise InvalidInput(f"{at(_field(name), where)} is null, and the model takes no missing values")
        try:
            texts[where] = _text(value, spec.binary)
        except UnicodeDecodeError as error:
            raise InvalidInput(f"{at(_field(name), where)} is not UTF-8 text: {error.reason}") from error
    return texts


def _text(value: str | bytes | None, binary: bool) -> str | bytes | None:
    if isinstance(value, bytes):
        return value if binary else value.decode()
    return value.encode() if binary and value is not None else value


def _objects(tensors: Sequence[WireTensor], content_type: str) -> Array | None:
    """Objects by name, sent as one tensor a name; None where a tensor is meant as it is, or is no column."""
    columns = [tensor.array for tensor in tensors]
    alone = len(columns) == 1 and content_type != "pd"
    if alone or any(each.ndim != 1 and each.shape[1:] != (1,) for each in columns):
        return None
    common_rows({tensor.name: tensor.array for tensor in tensors}, "columns")
    values = [json_values.from_tensor(column.reshape(-1)).tolist() for column in columns]
    names = [tensor.name for tensor in tensors]
    return array_of([dict(zip(names, row, strict=True)) for row in zip(*values, strict=True)])


def _is_columns(tensors: Sequence[WireTensor], signature: Signature, content_type: str) -> bool:
    (spec,) = signature.inputs
    if spec.datatype == "BYTES" or len(spec.shape) != 2 or any(tensor.name == spec.name for tensor in tensors):
        return False
    if signature.columns and (len(tensors) > 1 or tensors[0].name in signature.columns):
        return True
    return content_type == "pd" and all(tensor.array.ndim == 1 or tensor.array.shape[1:] == (1,) for tensor in tensors)


def _split(tensor: WireTensor, signature: Signature) -> dict[str, WireTensor]:
    """A table that is sent as one tensor [n, columns], as V1 sends rows: its columns; {} for any other tensor."""
    names = [spec.name for spec in signature.inputs]
    if tensor.name in names or tensor.array.ndim != 2 or tensor.array.shape[1] != len(names):
        return {}
    return {name: WireTensor(name, tensor.array[:, index]) for index, name in enumerate(names)}


def _stack(sent: dict[str, WireTensor], signature: Signature, spec: TensorSpec) -> Array:
    """One tensor a column to the matrix, in the columns' order."""
    columns = dict.fromkeys(signature.columns or sent)
    for name in sent:
        if name not in columns and not signature.ignores_unknown:
            raise InvalidInput(f"column {quoted(name)} is unknown; {nearest(name, columns)}")
    if missing := [name for name in columns if name not in sent]:
        raise InvalidInput(f"column {missing[0]!r} is missing")
    usual = column_of(spec)
    specs = {place: column_of(spec, place) for place in spec.whole}
    arrays = {name: _one(sent[name], specs.get(place, usual)) for place, name in enumerate(columns)}
    common_rows(arrays, "columns")
    return np.stack(list(arrays.values()), axis=1)


def _repeated(tensors: Sequence[WireTensor]) -> str:
    counts = Counter(tensor.name for tensor in tensors)
    return quoted(counts.most_common(1)[0][0])


def _field(name: str) -> str:
    return f"input {quoted(name)}"
