"""A category that an encoder does not know is told by the column's name, as the client wrote it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from adapters.sklearn_.unseen import refusal

FRAME = pd.DataFrame({"age": [1.0, 2.0] * 10, "city": ["Rome", "Oslo"] * 10, "tier": [7, 8] * 10})
COLUMNS = make_column_transformer(
    (StandardScaler(), ["age"]), (OneHotEncoder(), ["city"]), (OrdinalEncoder(), ["tier"])
)
SENT: dict[str, Any] = {"age": [1.0], "city": ["Rome"], "tier": [7.0]}


def said(model: Any, **sent: Any) -> str:
    inputs = {name: np.array(values) for name, values in {**SENT, **sent}.items()}
    with pytest.raises(ValueError, match="unknown categories") as caught:
        model.predict(pd.DataFrame(inputs))
    return refusal(caught.value, model, inputs)


@pytest.mark.parametrize(
    "model",
    [
        make_pipeline(COLUMNS, LogisticRegression()),
        GridSearchCV(make_pipeline(COLUMNS, LogisticRegression()), {"logisticregression__C": [1]}, cv=2),
    ],
)
def test_it_is_named_whatever_holds_the_encoder(model: Any) -> None:
    model.fit(FRAME, [0, 1] * 10)
    assert said(model, city=["Bern"]) == "city: 'Bern' is not one of its categories; known: 'Oslo', 'Rome'"
    assert said(model, tier=[9.0]) == "tier: 9 is not one of its categories; known: 7, 8"


def test_dates_are_told_as_dates() -> None:
    frame = pd.DataFrame({"day": pd.to_datetime(["2024-01-05", "2024-07-05"] * 10)})
    model = make_pipeline(make_column_transformer((OneHotEncoder(), ["day"])), LogisticRegression()).fit(
        frame, [0, 1] * 10
    )
    sent = ["2024-01-05T00:00:00", "1999-12-31"]
    with pytest.raises(ValueError, match="unknown categories") as caught:
        model.predict(pd.DataFrame({"day": pd.to_datetime(sent, format="ISO8601")}))
    told = "day: '1999-12-31' is not one of its categories; known: '2024-01-05', '2024-07-05'"
    assert refusal(caught.value, model, {"day": np.array(sent, dtype=object)}) == told


def test_columns_that_come_as_one_matrix_are_named_too() -> None:
    columns = make_column_transformer((OrdinalEncoder(), ["tier"]), remainder="passthrough")
    model = make_pipeline(columns, LogisticRegression()).fit(FRAME[["tier", "age"]], [0, 1] * 10)
    rows = np.array([[7.0, 1.0], [7.5, 1.0]])
    with pytest.raises(ValueError, match="unknown categories") as caught:
        model.predict(pd.DataFrame(rows, columns=["tier", "age"]))
    told = "tier: 7.5 is not one of its categories; known: 7, 8"
    assert refusal(caught.value, model, {"input-0": rows}, ("tier", "age")) == told


def test_an_encoder_that_was_trained_without_names_and_other_errors_stay_as_they_are() -> None:
    model = make_pipeline(OneHotEncoder(), LogisticRegression()).fit(FRAME[["city"]].to_numpy(), [0, 1] * 10)
    with pytest.raises(ValueError, match="unknown categories") as caught:
        model.predict([["Bern"]])
    assert refusal(caught.value, model, {"input-0": np.array([["Bern"]])}) == str(caught.value)
    assert refusal(ValueError("a fault\nof another kind"), model, {}) == "a fault"
