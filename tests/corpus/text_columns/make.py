"""Two columns of texts, each with its own vocabulary, beside a number; objects of the rows name them in any order."""

from pathlib import Path
from typing import Any

import joblib
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import SGDClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler


def make(folder: Path) -> dict[str, Any]:
    frame = pd.DataFrame(
        {"title": ["aa größe", "cc dd", "cc"] * 10, "body": ["xx yy", "zz ww", "zz"] * 10, "n": [1, 2, 2] * 10}
    )
    columns = ColumnTransformer(
        [
            ("title", TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 3)), "title"),
            ("body", CountVectorizer(), "body"),
            ("n", MinMaxScaler(), ["n"]),
        ]
    )
    labels = pd.Series(["rare", "usual", "usual"] * 10, dtype=object)
    model = make_pipeline(columns, SGDClassifier(class_weight="balanced", random_state=0)).fit(frame, labels)
    joblib.dump(model, folder / "model.joblib")
    asked = pd.DataFrame({"title": ["cc dd", "aa größe"], "body": ["xx", ""], "n": [1, 2]})
    return {"rows": model.predict(asked).tolist(), "another_order": model.predict(asked).tolist()}
