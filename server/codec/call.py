"""What every protocol decodes to, and the parts of it that they share: JSON bodies and parameters."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Any

import orjson

from adapters.base import Parameter, Signature, Tensors
from server.codec.tensors import nearest
from server.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class Call:
    """One decoded request: inputs that fit the signature, and how many rows they hold (1 when not batched)."""

    inputs: Tensors
    rows: int
    parameters: dict[str, Any]


def rows_of(inputs: Tensors, signature: Signature) -> int:
    """The common number of rows.

    Raises:
        InvalidInput: the inputs disagree, or hold no row.
    """
    if not signature.batched:
        return 1
    sizes = {name: len(array) for name, array in inputs.items()}
    rows = next(iter(sizes.values()))
    if any(size != rows for size in sizes.values()):
        raise InvalidInput(f"the inputs hold different numbers of rows: {sizes}")
    if rows == 0:
        raise InvalidInput(f"{next(iter(sizes))!r} holds no rows: send at least one")
    return rows


def parse_object(raw: bytes, expected: str) -> dict[str, Any]:
    """The JSON object in a body; `expected` names the keys that it should hold, for messages."""
    if not raw.strip():
        raise InvalidInput(f"the body is empty: send a JSON object with {expected}")
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise InvalidInput(f"the body is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise InvalidInput(f"the body must be a JSON object with {expected}")
    return body


def read_parameters(value: Any, signature: Signature) -> dict[str, Any]:
    """The parameters of a request that the model knows, checked.

    Names that the model does not know are left to the protocol (clients add their own); one that resembles a known
    name is an error, since a typing mistake would otherwise change the answer without a word.
    """
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidInput('"parameters" must be an object')
    known = {parameter.name: parameter for parameter in signature.parameters}
    for name in value:
        if name not in known and (near := difflib.get_close_matches(name, known, n=1, cutoff=0.75)):
            raise InvalidInput(f"parameters: {name!r} is unknown, did you mean {near[0]!r}?")
    return {name: _check(value[name], known[name]) for name in value if name in known and value[name] is not None}


def _check(value: Any, parameter: Parameter) -> Any:
    kinds = (int, float) if parameter.kind is float else (parameter.kind,)
    if not isinstance(value, kinds) or (isinstance(value, bool) and parameter.kind is not bool):
        raise InvalidInput(f"parameters.{parameter.name} must be a {parameter.kind.__name__}, not {value!r}")
    if parameter.choices and value not in parameter.choices:
        raise InvalidInput(
            f"parameters.{parameter.name}: {value!r} is unknown, {nearest(str(value), parameter.choices)}"
        )
    return value
