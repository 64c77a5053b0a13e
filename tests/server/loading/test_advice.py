"""What to do where a reason does not say it."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters import registry
from adapters.base import LoadError, ModelDir
from server.loading.advice import advice_on, with_advice

CLASSLESS = "def predict(rows):\n    return rows\n"


def reason_for(folder: Path) -> str:
    with pytest.raises(LoadError) as refused:
        registry.choose(ModelDir.of(folder))
    return str(refused.value)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "copy the model's files into it"),
        ({"train.ipynb": "{}"}, "a notebook is no model"),
        ({"predict.py": CLASSLESS}, "served as model.py"),
        ({"data.csv": "a,b\n"}, "these are data"),
        ({"weights.xyz": "??"}, "adapters/README.md"),
        ({"model.py": CLASSLESS}, "class MyModel(kserve.Model)"),
        ({"a/b/c/model.txt": "tree\nversion=v4\n"}, "in a/b/c/: move that folder up"),
    ],
)
def test_for_each_reason_there_is_a_way_out(tmp_path: Path, files: dict[str, str], said: str) -> None:
    """The reasons are those that the registry itself gives for such folders."""
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert said in advice_on(reason_for(tmp_path), ModelDir.of(tmp_path))


def test_half_a_file(tmp_path: Path) -> None:
    import joblib
    from sklearn.linear_model import LinearRegression

    joblib.dump(LinearRegression().fit([[1.0]], [1.0]), tmp_path / "model.joblib")
    whole = (tmp_path / "model.joblib").read_bytes()
    (tmp_path / "model.joblib").write_bytes(whole[: len(whole) // 2])
    assert advice_on(reason_for(tmp_path), ModelDir.of(tmp_path)) == "the copy is not whole: copy the file again"


def test_a_reason_that_says_it_needs_none(tmp_path: Path) -> None:
    assert advice_on("two candidate models: a.pkl and b.pkl; keep one", ModelDir.of(tmp_path)) == ""


def test_wide_and_deep_folders_are_not_searched_for_ever(tmp_path: Path) -> None:
    for number in range(300):
        (tmp_path / f"{number:03}").mkdir()
    (tmp_path / "zz").mkdir()
    (tmp_path / "zz" / "model.txt").write_text("tree\nversion=v4\n")
    said = advice_on("no known model format among 000/", ModelDir.of(tmp_path))
    assert "adapters/README.md" in said


def test_a_reason_goes_with_its_advice_of_the_files_as_they_are_now(tmp_path: Path) -> None:
    directory = ModelDir.of(tmp_path)
    assert directory.files == ()
    (tmp_path / "train.ipynb").write_text("{}")
    said = with_advice("no known model format among train.ipynb", directory)
    assert said.startswith("no known model format among train.ipynb; a notebook is no model")
    assert with_advice("it needs torch", directory) == "it needs torch"
    gone = ModelDir.of(tmp_path / "gone")
    assert with_advice("no known model format among a", gone) == "no known model format among a"
