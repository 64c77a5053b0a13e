"""MLServer's settings name one of several models in a folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from adapters import registry
from adapters.base import LoadError, ModelDir
from adapters.formats.mlserver_settings import FILE, read, unread_default

BOOSTER = b'{"learner": {"attributes": {}}}'  #: how XGBoost's JSON begins, which is all that a look asks for


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for path in ("old.json", "new.json", "below/model.json", "other/model.json"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(BOOSTER)
    (tmp_path / "notes.md").write_text("no model")
    return tmp_path


def settings(folder: Path, uri: Any, **more: Any) -> ModelDir:
    (folder / FILE).write_text(json.dumps({"name": "m", "parameters": {"uri": uri, **more}}))
    return ModelDir.of(folder)


@pytest.mark.parametrize(
    ("uri", "place", "file"),
    [
        ("./new.json", "", "new.json"),
        ("new.json", "", "new.json"),
        ("below/model.json", "below", "model.json"),
        ("./below/", "below", ""),
    ],
)
def test_it_leads_to_a_file_or_a_folder(folder: Path, uri: str, place: str, file: str) -> None:
    named = read(settings(folder, uri, version="v0.1.0"))
    assert named is not None
    assert (named.directory.path, named.file, named.version) == (folder / place, file, "v0.1.0")
    again = read(settings(folder, f"{folder}/{uri}"))
    assert again is not None
    assert (again.directory.path, again.file) == (folder / place, file), "a whole path that leads into this folder"


@pytest.mark.parametrize(
    "uri", ["", ".", "./", "gone.json", "../m/new.json", "/etc/passwd", "s3://bucket/new.json", 7, None]
)
def test_what_is_not_there_says_nothing(folder: Path, uri: Any) -> None:
    assert read(settings(folder, uri)) is None


@pytest.mark.parametrize("text", ["", "[]", "{", '{"parameters": []}', "[" * 100_000])
def test_what_cannot_be_read_says_nothing(folder: Path, text: str) -> None:
    (folder / FILE).write_text(text)
    assert read(ModelDir.of(folder)) is None


def test_the_file_that_is_named_is_chosen_among_others(folder: Path) -> None:
    with pytest.raises(LoadError, match=r"new\.json.*old\.json"):
        registry.choose(ModelDir.of(folder))
    choice = registry.choose(settings(folder, "./new.json", version="v0.1.0"))
    assert (choice.adapter.name, choice.match.file, choice.match.version) == ("xgboost", "new.json", "v0.1.0")
    assert choice.directory is None, "the whole folder is loaded"


def test_the_folder_that_is_named_is_chosen_among_others(folder: Path) -> None:
    for uri in ("below", "below/model.json"):
        choice = registry.choose(settings(folder, uri))
        assert choice.directory is not None
        assert (choice.directory.path, choice.match.file) == (folder / "below", "model.json")
        assert choice.directory.files == ("model.json",)


def test_what_is_wrong_with_the_one_that_is_named_is_the_reason(folder: Path) -> None:
    with pytest.raises(LoadError, match=r"^model-settings\.json names notes\.md: no known model format"):
        registry.choose(settings(folder, "notes.md"))


def test_one_of_a_folders_own_files_is_no_other_model(tmp_path: Path) -> None:
    (tmp_path / "only.json").write_bytes(BOOSTER)
    (tmp_path / "notes.md").write_text("no model")
    assert registry.choose(settings(tmp_path, "notes.md")).match.file == "only.json"
    (tmp_path / "model.py").write_text("from kserve import Model\n\n\nclass Mine(Model):\n    pass\n")
    assert registry.choose(settings(tmp_path, "only.json")).adapter.name == "custom", "code of one's own wins"


def test_a_content_type_that_changes_what_is_sent_is_told(tmp_path: Path) -> None:
    def told(*kinds: str) -> str:
        inputs = [{"name": kind, "datatype": "BYTES", "parameters": {"content_type": kind}} for kind in kinds]
        (tmp_path / "model-settings.json").write_text(json.dumps({"inputs": [*inputs, {"name": "plain"}, 3]}))
        return unread_default(ModelDir.of(tmp_path))

    assert told("str", "np") == ""
    assert "has 'base64' decoded from base64, which requests have to say here" in told("str", "base64")
    (tmp_path / "model-settings.json").write_text("[")
    assert unread_default(ModelDir.of(tmp_path)) == ""
