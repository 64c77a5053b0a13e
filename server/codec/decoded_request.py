"""What every protocol decodes to, and the parts of it that they share: JSON bodies and parameters."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from adapters.base import Parameter, Signature, Tensors
from server.codec.error_text import described, nearest, quoted, resembling
from server.codec.json_tensors import common_rows
from server.errors import InvalidInput

#: the parameter that picks one of a model's signatures
SIGNATURE_NAME = "signature_name"

_KINDS = {str: "a string", bool: "true or false", int: "a whole number", float: "a finite number"}
_LIKENESS = 0.75  #: of a parameter's name to a known one, from which on it is a typing mistake


@dataclass(slots=True, eq=False)  # not frozen: that would make the making of one three times as dear
class DecodedRequest:
    """One decoded request: inputs that fit the signature, and how many rows they hold (1 when not batched)."""

    inputs: Tensors
    rows: int
    parameters: dict[str, Any]
    #: False: whole tensors that go to the model as they are, and share a call with none (as if not `signature.batched`)
    batched: bool = field(default=True, kw_only=True)
    #: equal for requests that may share a call, where the decoder knows that already
    key: Any = field(default=None, kw_only=True)


def rows_of(inputs: Tensors, signature: Signature) -> int:
    """The common number of rows.

    Raises:
        InvalidInput: the inputs disagree, or hold no row.
    """
    if not signature.batched:
        return 1
    if not inputs:
        raise InvalidInput(f"no input was sent: send one of {', '.join(repr(spec.name) for spec in signature.inputs)}")
    rows = common_rows(inputs, "inputs")
    if empty := [name for name, array in inputs.items() if not array.size]:
        raise InvalidInput(f"{empty[0]!r} holds no {'values' if rows else 'rows: send at least one'}")
    return rows


def variant(signature: Signature, parameters: Mapping[str, Any]) -> Signature:
    """The signature that a request asks for by its parameter `signature_name`; the model's own when it names none."""
    return signature.variants.get(parameters.get(SIGNATURE_NAME, ""), signature)


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
        if name not in known and (near := resembling(name, known, _LIKENESS)) is not None:
            raise InvalidInput(f"parameters: {quoted(name)} is unknown, did you mean {near!r}?")
    return {name: _check(value[name], known[name]) for name in value if name in known and value[name] is not None}


def with_outputs(parameters: dict[str, Any], requested: Collection[str], signature: Signature) -> dict[str, Any]:
    """Tell a model that computes what is asked for (by its parameter `outputs`) which outputs a V2 request names."""
    if requested and "outputs" not in parameters and any(known.name == "outputs" for known in signature.parameters):
        return parameters | {"outputs": ",".join(requested)}
    return parameters


def _check(value: Any, parameter: Parameter) -> Any:
    field = f"parameters.{parameter.name}"
    if parameter.kind is float and type(value) is int:
        value = float(value)
    if type(value) is not parameter.kind or (type(value) is float and not math.isfinite(value)):
        raise InvalidInput(f"{field} must be {_KINDS[parameter.kind]}, not {described(value)}")
    if parameter.choices and value not in parameter.choices:
        raise InvalidInput(
            f"{field}: {described(value)} is unknown, {nearest(str(value), map(str, parameter.choices))}"
        )
    return value
