"""One small real model per framework, made on the spot: `python -m examples DIR` (see README.md).

No network: the data come with scikit-learn or are made up here, and every seed is fixed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from examples import bert_sentiment, spacy_ner, tabular


@dataclass(frozen=True)
class Example:
    """How to make a model, and a first request for it."""

    make: Callable[[Path], None]  #: writes the model's files into an existing folder
    requires: tuple[str, ...]  #: modules that making it imports
    sample: dict[str, Any]  #: body of a V1 request (POST /v1/models/NAME:predict)


_IRIS = ("sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)")
_CELLS = [
    17.99, 10.38, 122.8, 1001.0, 0.1184, 0.2776, 0.3001, 0.1471, 0.2419, 0.0787,
    1.095, 0.9053, 8.589, 153.4, 0.0064, 0.049, 0.0537, 0.0159, 0.03, 0.0062,
    25.38, 17.33, 184.6, 2019.0, 0.1622, 0.6656, 0.7119, 0.2654, 0.4601, 0.1189,
]  # fmt: skip
_PATIENT = {
    "age": 0.038, "sex": 0.051, "bmi": 0.062, "bp": 0.022, "s1": -0.044,
    "s2": -0.035, "s3": -0.043, "s4": -0.003, "s5": 0.020, "s6": -0.018,
}  # fmt: skip
_WINE = [14.23, 1.71, 2.43, 15.6, 127.0, 2.8, 3.06, 0.28, 2.29, 5.64, 1.04, 3.92, 1065.0]
_ZERO = [
    0, 0, 5, 13, 9, 1, 0, 0, 0, 0, 13, 15, 10, 15, 5, 0, 0, 3, 15, 2, 0, 11, 8, 0, 0, 4, 12, 0, 0, 8, 8, 0,
    0, 5, 8, 0, 0, 9, 8, 0, 0, 4, 11, 0, 1, 12, 7, 0, 0, 2, 14, 5, 10, 12, 0, 0, 0, 0, 6, 13, 10, 0, 0, 0,
]  # fmt: skip

#: name of the model's folder -> how it is made; those that take longest first
EXAMPLES: dict[str, Example] = {
    "spacy-ner": Example(
        spacy_ner.make,
        ("spacy",),
        {"instances": [{"text": "Apple is looking at buying U.K. startup for $1 billion"}]},
    ),
    "bert-sentiment": Example(
        bert_sentiment.make,
        ("torch", "tokenizers", "transformers"),
        {"instances": ["what a wonderful movie", "the room was dirty and noisy"]},
    ),
    "sklearn-iris": Example(
        tabular.sklearn_iris,
        ("sklearn", "pandas", "joblib"),
        {"instances": [dict(zip(_IRIS, row, strict=True)) for row in ((5.1, 3.5, 1.4, 0.2), (5.9, 3.0, 5.1, 1.8))]},
    ),
    "sklearn-forest": Example(tabular.sklearn_forest, ("sklearn", "joblib"), {"instances": [_CELLS]}),
    "xgboost-diabetes": Example(tabular.xgboost_diabetes, ("xgboost", "sklearn", "pandas"), {"instances": [_PATIENT]}),
    "lightgbm-wine": Example(tabular.lightgbm_wine, ("lightgbm", "sklearn", "pandas"), {"instances": [_WINE]}),
    "onnx-digits": Example(tabular.onnx_digits, ("skl2onnx", "onnx", "sklearn"), {"instances": [_ZERO]}),
}
