"""No text holds everybody else, and none takes many times its own length."""

from __future__ import annotations

from pathlib import Path

import joblib
import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from adapters.base import InvalidInput, LoadError, ModelDir
from adapters.sklearn_ import SklearnAdapter
from adapters.sklearn_.text_bounds import LONGEST, of_one_width


def words(folder: Path, **options: int) -> SklearnAdapter:
    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(["good day", "bad night"] * 5, [1, 0] * 5)
    joblib.dump(model, folder / "model.joblib")
    return SklearnAdapter.load(ModelDir.of(folder), "model.joblib", options)


def texts(*values: str) -> dict[str, np.ndarray]:
    return {"input-0": np.array([*values], dtype=np.object_)}


def test_a_text_of_more_characters_than_are_searched_at_once_is_refused_by_its_place(tmp_path: Path) -> None:
    adapter = words(tmp_path)
    assert adapter.carries == ""
    longest = "good " * (LONGEST // 5)
    assert adapter.predict(texts("bad", longest), {})["output-0"].tolist() == [0, 1]
    with pytest.raises(InvalidInput, match=r"input-0\[1\] has 1,000,001 characters, the limit is 1,000,000 \(options"):
        adapter.predict(texts("bad", longest + "!"), {})


def test_an_option_takes_longer_ones_to_a_worker(tmp_path: Path) -> None:
    adapter = words(tmp_path, longest_text=2_000_000)
    assert "takes texts of 2,000,000 characters (options.longest_text)" in adapter.carries
    assert adapter.predict(texts("good " * 300_000), {})["output-0"].tolist() == [1]
    shorter = words(tmp_path, longest_text=8)
    assert shorter.carries == ""
    with pytest.raises(InvalidInput, match=r"has 9 characters, the limit is 8"):
        shorter.predict(texts("good good"), {})
    with pytest.raises(LoadError, match=r"options\.longest_text is 0, which is no number of characters"):
        words(tmp_path, longest_text=0)


def test_what_looks_for_no_words_takes_any_text(tmp_path: Path) -> None:
    model = make_pipeline(OneHotEncoder(handle_unknown="ignore"), LogisticRegression())
    model.fit(np.array([["a"], ["b"]] * 5), [1, 0] * 5)
    joblib.dump(model, tmp_path / "model.joblib")
    adapter = SklearnAdapter.load(ModelDir.of(tmp_path), "model.joblib", {})
    rows = np.array([["x" * (LONGEST + 1)], ["b"]], dtype=np.object_)
    assert adapter.predict({"input-0": rows}, {})["output-0"].tolist() == [
        *model.predict(np.array([["x"], ["b"]])).tolist()
    ]
    many = np.array([["x" * LONGEST], *[["b"]] * 99], dtype=np.object_)
    with pytest.raises(
        InvalidInput, match=r"a text of 1,000,000 characters among 100 would take 381 MiB: send it alone"
    ):
        adapter.predict({"input-0": many}, {})


def test_an_array_of_one_width_is_numpys_own() -> None:
    assert of_one_width(np.array([["ab"], ["c"]], dtype=np.object_)).dtype == np.dtype("<U2")
    assert of_one_width(np.empty((0, 1), dtype=np.object_)).shape == (0, 1)


def test_a_text_of_marks_alone_is_refused_before_it_is_normalized(tmp_path: Path) -> None:
    """Python sorts the marks of one letter by exchanging neighbours: for these that would take minutes."""
    model = make_pipeline(TfidfVectorizer(strip_accents="unicode"), LogisticRegression())
    joblib.dump(model.fit(["good day", "bad night"] * 5, [1, 0] * 5), tmp_path / "model.joblib")
    adapter = SklearnAdapter.load(ModelDir.of(tmp_path), "model.joblib", {})
    assert not adapter.carries, "it needs no worker"
    with pytest.raises(InvalidInput, match=r"input-0\[1\] has more than 1,000 accents on one letter"):
        adapter.predict(texts("good", "\u0301\u0316" * 400_000), {})
    accented = "g\u00f6\u0301o\u0316d d\u00e1y " * 2000
    assert adapter.predict(texts(accented, "e" + "\u0301\u0316" * 500), {})
