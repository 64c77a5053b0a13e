"""V1's instances and columns to named arrays: what `v1` and `tf_serving` share.

An instance is a row: a value or list for a model with one input; an object by name (in any order) for named columns
or several inputs; for a table also a list in the table's order. Every refusal names the field.
"""

from __future__ import annotations

from typing import Any

from adapters.base import Array, Signature, Tensors, TensorSpec
from server.codec.data_frames import are_frames, is_named, rows_of_frames, takes_columns
from server.codec.error_text import described, nearest, quoted, shown
from server.codec.json_tensors import column_of, common_rows, fit, from_json
from server.errors import InvalidInput

_MADE_UP = "input"  #: how names begin that adapters give to what has none


def decode_rows(instances: list[Any], signature: Signature, field: str) -> Tensors:
    """A row an instance (there is at least one) to one array an input, of as many rows.

    Raises:
        InvalidInput: an instance is of another kind than the first, lacks a name, has an unknown one or does not fit.
    """
    required = [spec for spec in signature.inputs if not spec.optional]
    if are_frames(instances, signature):
        instances = rows_of_frames(instances, signature, field)
    by_name = is_named(instances[0])
    # A table of one column, or of one needed input whose name nobody knows: a bare value is that.
    alone = len(required) == 1 and (signature.any_name or len(signature.inputs) == 1)
    bare = alone and not by_name and not isinstance(instances[0], list)
    if (signature.table and not bare) or (by_name and len(signature.inputs) > 1) or len(required) > 1:
        names = [spec.name for spec in signature.inputs]
        rows = instances if by_name else _as_named(instances, names, field, signature)
        return _by_input(rows, signature, field)
    (spec,) = required or signature.inputs[:1]
    if by_name and signature.columns:
        rows = _ordered(instances, signature.columns, field, signature.ignores_unknown)
        try:
            return {spec.name: fit(from_json(rows, spec, field), spec, field)}
        except InvalidInput:
            _check_columns(instances, signature, field)
            raise
    if by_name and not spec.json:
        if signature.any_name and spec.name not in instances[0]:
            raise InvalidInput(f"{field}[0] is an object, but {_no_names(spec)}")
        instances = [row[0] for row in _ordered(instances, (spec.name,), field, signature.ignores_unknown)]
    return {spec.name: fit(from_json(instances, spec, field), spec, field)}


def _check_columns(instances: list[Any], signature: Signature, field: str) -> None:
    """What is wrong with a matrix, by the name of the column that it is wrong with.

    Raises:
        InvalidInput: a column does not fit.
    """
    (matrix,) = signature.inputs
    for place, name in enumerate(signature.columns):
        spec = column_of(matrix, place)
        at = f"{field}.{name}"
        for i, instance in enumerate(instances):
            if isinstance(instance[name], list | dict):
                raise InvalidInput(f"{at}[{i}] is {described(instance[name])}, the model takes {spec.datatype}")
        fit(from_json([instance[name] for instance in instances], spec, at), spec, at)


def _no_names(spec: TensorSpec) -> str:
    """What is said of an object without the name of the only input."""
    if spec.name.startswith(_MADE_UP):
        return f"the model knows no column names: send {_row_of(spec)}"
    return f"lacks {spec.name!r}: send {_row_of(spec)}, or an object with {spec.name!r} alone"


def _row_of(spec: TensorSpec) -> str:
    """A row of an input, in words."""
    kind = "value" if spec.any_type else "text" if spec.datatype == "BYTES" else "number"
    if len(spec.shape) == 1:
        return f"a {kind} an instance"
    width = spec.shape[1]
    return (
        f"a list of {width} {kind}{'s' * (width != 1)} an instance" if width > 0 else f"a list of {kind}s an instance"
    )


def refuse_v2(value: Any, signature: Signature) -> None:
    """Refuse V2's tensors, which would be taken for rows with odd names.

    Raises:
        InvalidInput: they are V2's; the message says where such a body goes.
    """
    first = value[0] if isinstance(value, list) and value else None
    if not isinstance(first, dict) or not {"name", "shape", "datatype"} <= first.keys():
        return
    if not {"name", "shape", "datatype"} <= {*signature.columns, *(spec.name for spec in signature.inputs)}:
        raise InvalidInput("this is a body of V2: POST it to /v2/models/NAME/infer; V1 takes rows as instances")


def _ordered(instances: list[Any], columns: tuple[str, ...], field: str, lenient: bool) -> list[list[Any]]:
    """Objects by column name to rows in the columns' order; `lenient`: columns that are not known are left out."""
    rows = []
    for i, instance in enumerate(instances):
        if not is_named(instance):
            raise InvalidInput(f"{field}[{i}] must be an object like the first instance")
        try:
            rows.append([instance[name] for name in columns])
        except KeyError as error:
            also = f" and{unknown}" if (unknown := unknown_name(instance, columns)) else ""
            raise InvalidInput(f"{field}[{i}] lacks {error.args[0]!r}{also}") from error
        if len(instance) != len(columns) and not lenient:
            twice = " is an object, but several columns of the model have one name: send lists"
            raise InvalidInput(f"{field}[{i}]{unknown_name(instance, columns) or twice}")
    return rows


def unknown_name(instance: dict[str, Any], known: tuple[str, ...]) -> str:
    """How a message goes on to name the first name that is not known; "" where all are."""
    expected = set(known)
    unknown = next((name for name in instance if name not in expected), None)
    return "" if unknown is None else f" has the unknown name {quoted(unknown)}; {nearest(unknown, known)}"


def _as_named(instances: list[Any], names: list[str], field: str, signature: Signature) -> list[dict[str, Any]]:
    """Lists in the columns' order to objects by name."""
    if not signature.table and (not takes_columns(signature) or any(spec.optional for spec in signature.inputs)):
        raise InvalidInput(f"{field}[0] must be an object with {', '.join(map(repr, names))}")
    rows = []
    for i, instance in enumerate(instances):
        if not isinstance(instance, list) or len(instance) != len(names):
            held = f"{len(instance)} values" if isinstance(instance, list) else "no list"
            raise InvalidInput(f"{field}[{i}] holds {held}, the model takes {len(names)} ({', '.join(names[:10])})")
        rows.append(dict(zip(names, instance, strict=True)))
    return rows


def _by_input(rows: list[Any], signature: Signature, field: str) -> Tensors:
    """Objects by input name to one array an input."""
    names = tuple(spec.name for spec in signature.inputs)
    known = set(names)
    for i, row in enumerate(rows):
        if not is_named(row):
            raise InvalidInput(f"{field}[{i}] must be an object like the first instance")
        if not row.keys() <= known and not signature.ignores_unknown:
            raise InvalidInput(f"{field}[{i}]{unknown_name(row, names)}")
    return {
        spec.name: fit(from_json(values, spec, f"{field}.{spec.name}"), spec, f"{field}.{spec.name}")
        for spec in signature.inputs
        if not spec.unused and (values := _column(rows, spec, field)) is not None
    }


def _column(rows: list[dict[str, Any]], spec: TensorSpec, field: str) -> list[Any] | None:
    if spec.optional and not any(spec.name in row for row in rows):
        return None
    try:
        return [row[spec.name] for row in rows]
    except KeyError:
        i = next(i for i, row in enumerate(rows) if spec.name not in row)
        hint = "; send null for a missing value" if spec.nullable else ""
        raise InvalidInput(f"{field}[{i}] lacks {spec.name!r}{hint}") from None


def decode_columns(value: dict[str, Any], signature: Signature) -> Tensors:
    """Columns by name, each a list with a value a row: of a matrix, or of the inputs.

    Raises:
        InvalidInput: a column is unknown, missing, no list or of another length; it does not fit.
    """
    if any(map(is_named, value.values())) and takes_columns(signature):
        return decode_rows([value], signature, "inputs")
    if signature.columns and len(signature.inputs) == 1 and signature.inputs[0].name not in value:
        for name, column in value.items():
            if not isinstance(column, list):
                raise InvalidInput(f"inputs.{quoted(name)} is {described(column)}, a column must be a list")
        if not value or not common_rows(value, "columns"):
            raise InvalidInput('"inputs" holds no rows: send at least one')
        rows = [dict(zip(value, row, strict=True)) for row in zip(*value.values(), strict=True)]
        return decode_rows(rows, signature, "inputs")
    names = tuple(spec.name for spec in signature.inputs)
    if not value.keys() <= set(names) and not signature.ignores_unknown:
        raise InvalidInput(f"inputs{unknown_name(value, names)}")
    return decode_named(value, signature, "inputs")


def decode_single(instances: list[Any], signature: Signature, field: str) -> Tensors:
    """A model without a batch dimension takes one instance, the whole tensors; or the rows of a fixed first dimension.

    Raises:
        InvalidInput: the number of instances is another; a name is unknown or missing; a tensor does not fit.
    """
    if are_rows(instances, signature):
        return decode_rows(instances, signature, field)
    if len(instances) != 1:
        rows = _fixed_rows(signature)
        takes = f"takes {rows} rows at a time: send {rows}" if rows > 1 else "has no batch dimension: send one"
        raise InvalidInput(f'"{field}" holds {len(instances)} instances, but this model {takes}')
    (instance,) = instances
    names = tuple(spec.name for spec in signature.inputs)
    if not is_named(instance):
        if len(names) == 1 and not signature.inputs[0].unused:
            return {names[0]: _single_tensor(instance, signature.inputs[0], f"{field}[0]")}
        instance = {names[0]: instance}
    if not instance.keys() <= set(names):
        raise InvalidInput(f"{field}[0]{unknown_name(instance, names)}")
    return decode_named(instance, signature, f"{field}[0]")


def _single_tensor(value: Any, spec: TensorSpec, field: str) -> Array:
    """The only tensor of a model without a batch dimension.

    Raises:
        InvalidInput: it does not fit.
    """
    array = from_json(value, spec, field)
    if array.ndim == len(spec.shape) - 1 and spec.shape[:1] == (-1,):
        takes = f"a whole tensor of shape {shown(spec.shape)}, since its answer is not one a row"
        raise InvalidInput(
            f"{field} has shape {shown(array.shape)}, the model takes {takes}: put it into one list more"
        )
    return fit(array, spec, field)


def are_rows(instances: list[Any], signature: Signature) -> bool:
    """Whether they are as many as the rows that a model without a batch dimension takes."""
    return len(instances) == _fixed_rows(signature) > 1


def _fixed_rows(signature: Signature) -> int:
    """The size of the first dimension of every input that must be sent; 0 where there is no such size."""
    sizes = {spec.shape[0] if spec.shape else 0 for spec in signature.inputs if not spec.optional}
    return sizes.pop() if len(sizes) == 1 else 0


def decode_named(value: dict[str, Any], signature: Signature, field: str) -> Tensors:
    """Whole tensors by name, all of them known.

    Raises:
        InvalidInput: one is missing or does not fit.
    """
    tensors: Tensors = {}
    for spec in signature.inputs:
        if spec.unused:
            continue
        if spec.name in value:
            at = f"{field}.{spec.name}"
            tensors[spec.name] = fit(from_json(value[spec.name], spec, at), spec, at)
        elif not spec.optional:
            raise InvalidInput(f"{field} lacks {spec.name!r}")
    return tensors
