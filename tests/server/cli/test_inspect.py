"""`polyserve inspect`: the table, the card of one model, and JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.server.cli.conftest import command

TREES = "tree\nversion=v4\nnum_class=1\nnonsense"


@pytest.mark.slow
def test_a_folder_of_models(iris: Path) -> None:
    (broken := iris.parent / "broken").mkdir(exist_ok=True)
    (broken / "model.txt").write_text(TREES)
    (code := iris.parent / "code").mkdir(exist_ok=True)
    (code / "model.py").write_text("import kserve\nclass M(kserve.Model):\n    pass\n")
    ended = command("inspect", str(iris.parent))
    head, *rows = ended.out.splitlines()
    assert head.split("  ")[0] == "MODEL"
    by_name = {row.split()[0]: row for row in rows if row}
    assert "4 columns FP64 -> INT64[?]" in by_name["iris"]
    assert "would not load" in by_name["broken"]
    assert "not known before it is loaded" in by_name["code"]
    assert "code: not loaded: it brings code of its own" in rows
    assert rows[-1] == "3 models, 1 would not load"
    assert (ended.status, ended.err) == (1, "")


@pytest.mark.slow
def test_one_model(iris: Path) -> None:
    ended = command("inspect", str(iris))
    card = dict(line.split(maxsplit=1) for line in ended.out.splitlines() if not line.startswith(" "))
    assert card["adapter"] == "sklearn (model.joblib by its content)"
    assert card["model"] == "model (another name: --model_name)"
    assert card["takes"] == "sepal length (cm) FP64"
    assert ended.status == 0
    named = json.loads(command("inspect", str(iris), "--model-name=iris", "--json").out)
    (model,) = named["models"]
    assert (named["single"], model["name"], model["loads"], model["trust"]) == (True, "iris", True, "pickle")


def test_only_looking(iris: Path) -> None:
    document = json.loads(command("inspect", str(iris), "--no-load", "--json").out)
    assert document["models"][0]["signature"] is None
    assert document["models"][0]["made_by"].startswith("scikit-learn")


@pytest.mark.slow
def test_an_empty_folder(tmp_path: Path) -> None:
    ended = command("inspect", str(tmp_path))
    assert ended.status == 1
    assert "is empty: put each model into a folder of its own" in ended.out
    assert json.loads(command("inspect", str(tmp_path), "--json").out)["models"] == []
