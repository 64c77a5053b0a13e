"""KServe V1: `{"instances": [...]}` -> `{"predictions": [...]}`, one prediction an instance, in order.

An instance is a row: a value or list for a model with one input; an object by name (in any order) for named columns
or several inputs; for a table also a list in the table's order. `"inputs"` is an alias of `"instances"`, and may also
be an object of whole columns: `{"inputs": {"age": [31, 40], "city": ["Rome", "Oslo"]}}`.

Source: KServe V1 protocol; TensorFlow Serving's REST API for the object forms.
"""

from __future__ import annotations

from typing import Any, TypeGuard

from adapters.base import Signature, Tensors, TensorSpec
from server.codec.call import Call, parse_object, read_parameters, rows_of
from server.codec.outputs import dumps, dumps_arrays, listed, numbers
from server.codec.tensors import common_rows, fit, from_json
from server.codec.wording import described, nearest, quoted
from server.errors import InvalidInput

_EXPECTED = '"instances"'


def decode(raw: bytes | dict[str, Any], signature: Signature) -> Call:
    """A request body, as bytes or already parsed, to inputs that fit the signature.

    Raises:
        InvalidInput: the client's fault, naming the field.
    """
    body = raw if isinstance(raw, dict) else parse_object(raw, _EXPECTED)
    field = "instances" if "instances" in body else "inputs"
    if field not in body:
        hint = nearest(next(iter(body), ""), ["instances", "inputs"]) if body else 'send {"instances": [...]}'
        raise InvalidInput(f'the body has no "instances": {hint}')
    value = body[field]
    if field == "inputs" and isinstance(value, dict):
        inputs = _columnar(value, signature)
    elif not isinstance(value, list):
        raise InvalidInput(f'"{field}" must be a list with one entry an instance')
    elif not value:
        raise InvalidInput(f'"{field}" is empty: send at least one instance')
    elif signature.batched:
        inputs = _rows(value, signature, field)
    else:
        inputs = _whole(value, signature, field)
    return Call(inputs, rows_of(inputs, signature), read_parameters(body.get("parameters"), signature))


def encode(outputs: Tensors, signature: Signature) -> bytes:
    """The response body. One output gives its rows; several (or a `keyed` signature) an object an instance."""
    if len(outputs) == 1 and not signature.keyed:
        (array,) = outputs.values()
        if (values := numbers(array)) is not None:
            return dumps_arrays({"predictions": values if signature.batched else [values]})
        return dumps({"predictions": listed(array) if signature.batched else [listed(array)]})
    columns = [listed(array) for array in outputs.values()]
    rows = zip(*columns, strict=True) if signature.batched else [columns]
    return dumps({"predictions": [dict(zip(outputs, row, strict=True)) for row in rows]})


def _rows(instances: list[Any], signature: Signature, field: str) -> Tensors:
    required = [spec for spec in signature.inputs if not spec.optional]
    by_name = _is_named(instances[0])
    if signature.table or (by_name and len(signature.inputs) > 1) or len(required) > 1:
        names = [spec.name for spec in signature.inputs]
        rows = instances if by_name else _as_named(instances, names, field, signature.table)
        return _by_input(rows, signature, field)
    (spec,) = required or signature.inputs[:1]
    if by_name and signature.columns:
        instances = _ordered(instances, signature.columns, field)
    elif by_name:
        instances = [row[0] for row in _ordered(instances, (spec.name,), field)]
    return {spec.name: fit(from_json(instances, spec, field), spec, field)}


def _is_named(instance: Any) -> TypeGuard[dict[str, Any]]:
    return isinstance(instance, dict) and instance.keys() != {"b64"}


def _ordered(instances: list[Any], columns: tuple[str, ...], field: str) -> list[list[Any]]:
    """Objects by column name to rows in the columns' order."""
    rows = []
    for i, instance in enumerate(instances):
        if not _is_named(instance):
            raise InvalidInput(f"{field}[{i}] must be an object like the first instance")
        try:
            rows.append([instance[name] for name in columns])
        except KeyError as error:
            raise InvalidInput(f"{field}[{i}] lacks {error.args[0]!r}{_wrong(instance, columns)}") from error
        if len(instance) != len(columns):
            raise InvalidInput(f"{field}[{i}]{_wrong(instance, columns)}")
    return rows


def _wrong(instance: dict[str, Any], known: tuple[str, ...]) -> str:
    expected = set(known)
    unknown = next((name for name in instance if name not in expected), None)
    return "" if unknown is None else f" has the unknown name {quoted(unknown)}; {nearest(unknown, known)}"


def _as_named(instances: list[Any], names: list[str], field: str, table: bool) -> list[dict[str, Any]]:
    """Lists in the table's order to objects by name."""
    if not table:
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
        if not _is_named(row):
            raise InvalidInput(f"{field}[{i}] must be an object like the first instance")
        if not row.keys() <= known:
            raise InvalidInput(f"{field}[{i}]{_wrong(row, names)}")
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


def _columnar(value: dict[str, Any], signature: Signature) -> Tensors:
    if signature.columns and len(signature.inputs) == 1 and signature.inputs[0].name not in value:
        for name, column in value.items():
            if not isinstance(column, list):
                raise InvalidInput(f"inputs.{quoted(name)} is {described(column)}, a column must be a list")
        if not value or not common_rows(value, "columns"):
            raise InvalidInput('"inputs" holds no rows: send at least one')
        rows = [dict(zip(value, row, strict=True)) for row in zip(*value.values(), strict=True)]
        return _rows(rows, signature, "inputs")
    names = tuple(spec.name for spec in signature.inputs)
    if not value.keys() <= set(names):
        raise InvalidInput(f"inputs{_wrong(value, names)}")
    return _named_tensors(value, signature, "inputs")


def _whole(instances: list[Any], signature: Signature, field: str) -> Tensors:
    """A model without a batch dimension takes one instance: the whole tensors."""
    if len(instances) != 1:
        raise InvalidInput(
            f'"{field}" holds {len(instances)} instances, but this model has no batch dimension: send one'
        )
    (instance,) = instances
    names = tuple(spec.name for spec in signature.inputs)
    if not _is_named(instance):
        instance = {names[0]: instance}
    if not instance.keys() <= set(names):
        raise InvalidInput(f"{field}[0]{_wrong(instance, names)}")
    return _named_tensors(instance, signature, f"{field}[0]")


def _named_tensors(value: dict[str, Any], signature: Signature, field: str) -> Tensors:
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
