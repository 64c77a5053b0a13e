"""MLflow's data frames in a body of V1, as its clients send them: `dataframe_split`, `dataframe_records`.

    {"dataframe_split": {"columns": ["age", "city"], "data": [[31, "Rome"]]}}   columns and rows; "index" says nothing
    {"dataframe_records": [{"age": 31, "city": "Rome"}]}                        objects: V1's instances
    {..., "params": {...}}                                                      V1's parameters

The answer is V1's, as MLflow's own is: {"predictions": [...]}.

Source: MLflow, "Local inference server: accepted input formats".
"""

from __future__ import annotations

from typing import Any

from adapters.base import Signature
from server.codec.error_text import described
from server.errors import InvalidInput

SPLIT, RECORDS, _PARAMS = "dataframe_split", "dataframe_records", "params"
_OF_SPLIT = {"columns", "data", "index"}


def as_instances(body: dict[str, Any], signature: Signature) -> dict[str, Any]:
    """The body with its data frame as V1's instances, and `params` as its parameters; as it is where it has neither.

    Raises:
        InvalidInput: the frame is none, or something else is sent beside it.
    """
    if _PARAMS in body:
        body = _with_parameters(body)
    if SPLIT not in body and RECORDS not in body:
        return body
    field = SPLIT if SPLIT in body else RECORDS
    if also := sorted({SPLIT, RECORDS, "instances", "inputs"} & body.keys() - {field}):
        raise InvalidInput(f"send {field} or {also[0]}; the body has both")
    rest = {name: value for name, value in body.items() if name != field}
    return {**rest, "instances": _rows(body[SPLIT], signature) if field == SPLIT else _records(body[RECORDS])}


def _with_parameters(body: dict[str, Any]) -> dict[str, Any]:
    if "parameters" in body:
        raise InvalidInput("send params or parameters, which are the same; the body has both")
    return {"parameters" if name == _PARAMS else name: value for name, value in body.items()}


def _records(records: Any) -> list[Any]:
    if not isinstance(records, list):
        raise InvalidInput(f"{RECORDS} is {described(records)}: it must be a list with an object a row")
    return records


def _rows(frame: Any, signature: Signature) -> list[Any]:
    """Objects by column; lists where the model, or the frame, knows no names."""
    if not isinstance(frame, dict) or not isinstance(frame.get("data"), list):
        raise InvalidInput(f'{SPLIT} must be an object with "columns" and "data", a list of rows')
    if unknown := sorted(map(str, frame.keys() - _OF_SPLIT)):
        raise InvalidInput(f"{SPLIT} has the unknown name {unknown[0][:60]!r}; known: columns, data, index")
    columns = frame.get("columns")
    rows: list[Any] = frame["data"]
    if columns is None:
        return rows
    if not isinstance(columns, list) or len({str(column) for column in columns}) != len(columns):
        raise InvalidInput(f"{SPLIT}.columns must be a list of names, each of them once")
    for i, row in enumerate(rows):
        if not isinstance(row, list) or len(row) != len(columns):
            held = f"{len(row)} values" if isinstance(row, list) else "no list"
            raise InvalidInput(f"{SPLIT}.data[{i}] holds {held}, and there are {len(columns)} columns")
    named = signature.table or signature.columns or len(signature.inputs) > 1
    if not named or not all(isinstance(column, str) for column in columns):
        return rows
    return [dict(zip(columns, row, strict=True)) for row in rows]
