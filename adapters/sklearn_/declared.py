"""What a model's folder says of columns of which the estimator itself says nothing.

`options.inputs` of polyserve.yaml names them with their datatypes, and examples.json holds requests with values:

    options:
      inputs: "when: BYTES, sepal length (cm): FP64"
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from adapters.base import LoadError, ModelDir
from adapters.datatypes import NUMPY_OF
from adapters.formats import json_text
from adapters.sklearn_.columns import Column

__all__ = ["datatypes_of", "declare", "recorded_rows", "teach"]

#: what stands behind a column's name, which may hold nearly anything
_DATATYPE = re.compile(r":\s*+(\w++)\s*+(?:[,;]|$)")
_FILE = "examples.json"
_MAX_BYTES = 16 * 2**20
_SCALARS = (str, bool, int, float)


def datatypes_of(text: str) -> dict[str, str]:
    """The datatypes that `options.inputs` gives, by column.

    Raises:
        LoadError: the text is of another form.
    """
    found: dict[str, str] = {}
    at = 0
    text = text.strip()
    while at < len(text):
        match = _DATATYPE.search(text, at + 1)
        name = text[at : match.start()].strip() if match else ""
        if match is None or not name:
            raise LoadError(f'options.inputs: {text[at:]!r:.80} is not of the form "when: BYTES, size: FP64"')
        datatype = match[1].upper()
        if datatype not in NUMPY_OF:
            allowed = ", ".join(NUMPY_OF)
            raise LoadError(f"options.inputs: {name:.80}: {match[1]:.80} is no datatype; allowed are {allowed}")
        if name in found:
            raise LoadError(f"options.inputs names {name!r:.80} twice")
        found[name] = datatype
        at = match.end()
    return found


def declare(columns: Sequence[Column], datatypes: Mapping[str, str]) -> None:
    """Set what the folder says of columns.

    Raises:
        LoadError: there is no such column, or it holds categories, which the model knows better.
    """
    known = {column.name: column for column in columns}
    for name, datatype in datatypes.items():
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(list(known)[:10])}"
            raise LoadError(f"options.inputs: the model has no column {name!r}; {hint}")
        column = known[name]
        if column.categories is not None:
            raise LoadError(f"options.inputs: the model knows the categories of {name!r} itself: leave it out")
        if (column.datatype == "BYTES") != (datatype == "BYTES"):
            column.seen = []
        column.datatype, column.any_type, column.declared = datatype, False, True


def recorded_rows(model_dir: ModelDir) -> list[Any]:
    """Rows of the recorded requests: objects by name, or lists. What they answer, and what is wrong with the file, is
    the server's to check.
    """
    if _FILE not in model_dir.files:
        return []
    try:
        entries = json_text.loads(model_dir.head(_FILE, _MAX_BYTES))
        return [row for entry in entries for row in _rows(entry["request"])]
    except (OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return []


def _rows(request: Any) -> Iterator[Any]:
    rows = request.get("instances", request.get("inputs"))
    if isinstance(rows, list) and all(isinstance(row, dict) and "datatype" in row for row in rows):  # V2's tensors
        columns = {tensor["name"]: tensor["data"] for tensor in rows}
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=False)]
    elif isinstance(rows, dict):
        rows = [dict(zip(rows, row, strict=True)) for row in zip(*rows.values(), strict=False)]
    yield from rows if isinstance(rows, list) else ()


def teach(columns: Sequence[Column], rows: Sequence[Any]) -> None:
    """Let columns of any type have seen two recorded rows; those of texts take texts from now on."""
    for index, column in enumerate(columns):
        values = [
            row[column.name] if isinstance(row, dict) else row[index]
            for row in rows
            if (isinstance(row, dict) and column.name in row) or (isinstance(row, list) and len(row) == len(columns))
        ]
        known = [value for value in values if isinstance(value, _SCALARS)]
        if not column.any_type or column.seen or not known:
            continue
        column.seen = known[:2]
        if all(isinstance(value, str) for value in known):
            column.datatype, column.any_type = "BYTES", False
