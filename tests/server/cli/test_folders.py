"""Whatever is named instead of a folder, the message says what to write."""

from __future__ import annotations

import os
from pathlib import Path

import click
import pytest

from server.cli.folders import Folder, problem_of


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "models").mkdir()
    for name in ("model.pkl", "models.tar.gz", "iris.ZIP"):
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("modles", "there is no folder {}/modles: did you mean {}/models?"),
        ("xyz", "you are in"),
        ("model.pkl", "is a file: name the folder that holds it, {}"),
        ("models.tar.gz", "is an archive: unpack it"),
        ("iris.ZIP", "is an archive: unpack it"),
        ("no\0name", "there is no folder {}/no name"),
        ("x" * 300, "cannot be read: File name too long"),
    ],
)
def test_what_is_no_folder(place: Path, name: str, said: str) -> None:
    assert said.format(place, place) in problem_of(str(place / name))


def test_an_address_is_served_not_looked_at() -> None:
    assert "--model=NAME=s3://bucket/iris" in problem_of("s3://bucket/iris")
    assert (
        problem_of("s3:/bucket/iris")
        == "s3:/bucket/iris is no folder, and an address has two slashes: s3://bucket/iris"
    )


def test_an_empty_name_is_a_variable_that_is_not_set() -> None:
    assert problem_of("").startswith("the folder's name is empty: perhaps a variable is not set")


def test_a_folder(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert problem_of(str(place / "models")) == ""
    assert Folder().convert(str(place), None, None) == place
    monkeypatch.chdir(place)
    assert problem_of("models") == ""
    assert "did you mean models?" in problem_of("model")
    with pytest.raises(click.UsageError, match="did you mean"):
        Folder().convert("model", None, None)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_one_that_may_not_be_read(place: Path) -> None:
    (place / "models").chmod(0)
    assert "cannot be read" in problem_of(str(place / "models"))
