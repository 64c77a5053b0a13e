"""What every protocol decodes to, and the parts of it that they share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from adapters.base import Signature, Tensors
from server.codec.json_tensors import common_rows
from server.errors import InvalidInput

#: the parameter that picks one of a model's signatures
SIGNATURE_NAME = "signature_name"


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
