"""What Swagger says of KServe's V1 routes, which read the body themselves, so that FastAPI does not know of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI

_ROWS = {"type": "array", "items": {}, "minItems": 1, "description": "one entry a row"}
_NUMBERS = {"oneOf": [{"type": "number"}, {"type": "array", "items": {"type": "number"}}]}


def _json(schema: Mapping[str, Any], **examples: Any) -> dict[str, Any]:
    """A body; examples are named by the keyword, `_` for a space."""
    shown = {name.replace("_", " "): {"value": value} for name, value in examples.items()}
    return {"content": {"application/json": {"schema": schema, "examples": shown}}}


_BODY = {
    "required": True,
    **_json(
        {
            "type": "object",
            "required": ["instances"],
            "properties": {"instances": _ROWS, "parameters": {"type": "object"}},
        },
        rows={"instances": [[5.1, 3.5, 1.4, 0.2]]},
        rows_by_column_name={"instances": [{"age": 31, "city": "Rome"}]},
    ),
}

_PREDICTIONS = _json(
    {"type": "object", "properties": {"predictions": {**_ROWS, "description": "one entry an instance, in order"}}},
    classes={"predictions": [0]},
    probabilities={"predictions": [[0.98, 0.02, 0.0]]},
)

_CONTRIBUTIONS = {
    "description": "by column name, or in the columns' order where the model knows no names",
    "oneOf": [
        {"type": "object", "additionalProperties": _NUMBERS},
        {"type": "array", "items": _NUMBERS},
    ],
}

_EXPLANATIONS = _json(
    {
        "type": "object",
        "properties": {
            "explanations": {
                **_ROWS,
                "description": "one entry an instance, in order",
                "items": {
                    "type": "object",
                    "properties": {"contributions": _CONTRIBUTIONS, "base_value": _NUMBERS},
                },
            }
        },
    },
    named_columns={"explanations": [{"contributions": {"age": 0.4, "city": -1.2}, "base_value": 0.1}]},
    columns_without_names={"explanations": [{"contributions": [0.4, -1.2], "base_value": 0.1}]},
    three_classes={
        "explanations": [
            {
                "contributions": {"age": [0.4, 0.0, -0.4], "city": [-1.2, 0.7, 0.5]},
                "base_value": [0.1, -0.3, 0.2],
            }
        ]
    },
)

_EXPLAIN = """What made each prediction: the contribution of each column, and the base value that they start from.

Their sum is the model's raw output before its last step: a regression's value, log-odds, the margin of each class, the
logarithm of a count. XGBoost's and LightGBM's models explain themselves by their exact SHAP values, scikit-learn's
linear models by coefficient times value (behind scalers and encoders, of the scaled value, added up by column), and
custom models by whatever their `explain` returns. With several outputs (classes, targets) each contribution is a list
with a number for each. A model that does not explain answers 501.
"""

_ERRORS = {
    "400": "malformed, or not what the model takes",
    "404": "no such model",
    "413": "the body is too large",
    "429": "too many requests wait for the model",
    "500": "the model itself failed",
    "503": "the model is not ready",
    "504": "the request waited too long",
}
_ERROR = _json({"type": "object", "properties": {"error": {"type": "string"}}})


def describe(app: FastAPI) -> None:
    """Add bodies, answers and errors to what the application says of its V1 routes."""
    generated = app.openapi

    def described() -> dict[str, Any]:
        schema = generated()
        for path, operations in schema["paths"].items():
            if path.endswith(":predict"):
                operations["post"].update(_operation(_PREDICTIONS, _ERRORS))
            elif path.endswith(":explain"):
                errors = {**_ERRORS, "501": "the model does not explain its predictions"}
                operations["post"].update(_operation(_EXPLANATIONS, errors), description=_EXPLAIN)
        return schema

    app.openapi = described  # type: ignore[method-assign]  # FastAPI's documented way


def _operation(answer: Mapping[str, Any], errors: Mapping[str, str]) -> dict[str, Any]:
    responses = {status: {"description": text, **_ERROR} for status, text in sorted(errors.items())}
    return {"requestBody": _BODY, "responses": {"200": {"description": "the answers", **answer}, **responses}}
