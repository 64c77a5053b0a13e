"""`options.inputs` and `options.outputs` of polyserve.yaml: tensors in a short text form.

    options:
      inputs: "ids: INT64[-1, -1], mask: BOOL[-1, -1]"
      outputs: "logits, pooled"

-1 is any size; a first -1 in every input is the batch. A datatype alone (`x: FP32`) leaves the shape open to a guess.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from adapters.base import LoadError
from adapters.torch_.values import TORCH_NAMES

_INPUT = re.compile(r"\s*+([^:;,\[\]\s]++)\s*+:\s*+(\w++)\s*+(?:\[([^\]]*+)\]\s*+)?(?:[,;]|$)")
_EXAMPLE = '"x: FP32[-1, 4], ids: INT64[-1, -1]"'
_DATATYPES = (*TORCH_NAMES, "BYTES")


@dataclass(frozen=True)
class DeclaredInput:
    """An input: its dims where they are known, -1 for any size."""

    name: str
    datatype: str = ""  #: "" is to be found out
    dims: tuple[int, ...] | None = None  #: None is to be found out


def inputs(text: str) -> tuple[DeclaredInput, ...]:
    """The inputs that the text declares.

    Raises:
        LoadError: the text is of another form.
    """
    found = tuple(_inputs(text))
    if len({port.name for port in found}) != len(found):
        raise LoadError(f"options.inputs names an input twice: {text!r:.200}")
    return found


def outputs(text: str) -> tuple[str, ...]:
    """The outputs' names, in the order in which the program gives them."""
    names = tuple(name for part in re.split(r"[,;]", text) if (name := part.strip()))
    if len(set(names)) != len(names):
        raise LoadError(f"options.outputs names an output twice: {text!r:.200}")
    return names


def _inputs(text: str) -> Iterator[DeclaredInput]:
    at = 0
    while at < len(text.rstrip()):
        match = _INPUT.match(text, at)
        if match is None:
            raise LoadError(f"options.inputs: {text[at:]!r:.80} is not of the form {_EXAMPLE}")
        name, datatype, dims = match.groups()
        if datatype.upper() not in _DATATYPES:
            raise LoadError(f"options.inputs: {name}: {datatype} is no datatype; allowed are {', '.join(_DATATYPES)}")
        yield DeclaredInput(name, datatype.upper(), None if dims is None else _dims(name, dims))
        at = match.end()


def _dims(name: str, text: str) -> tuple[int, ...]:
    try:
        dims = tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise LoadError(f"options.inputs: {name}: [{text}] is no shape: whole numbers, -1 for any size") from error
    if any(size < -1 or size == 0 for size in dims):
        raise LoadError(f"options.inputs: {name}: [{text}] is no shape: a size is -1 or at least 1")
    return dims
