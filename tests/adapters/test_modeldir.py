"""Names of files as they can be shown: none hides, begins a line of its own, or turns the order of others round."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.modeldir import ModelDir, legible

TURNING = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


@pytest.mark.parametrize("name", ["iris", "two words", "模型", "é", "नमस्ते", "👩\u200d🔬", "שלום", "a%b"])
def test_names_of_any_script_stay_as_they_are(name: str) -> None:
    assert legible(name) == name


@pytest.mark.parametrize("character", [*TURNING, "\n", "\x1b", "\x7f", "\u2028", "\udc80"])
def test_what_cannot_be_shown_is_spelt_out(character: str) -> None:
    shown = legible(f"a{character}b")
    assert shown == f"a{ascii(character)[1:-1]}b"
    assert legible(shown) == shown


def test_a_file_whose_name_turns_the_order_round_is_none_of_the_models(tmp_path: Path) -> None:
    for name in ("model.onnx", "model\u202exnno.pkl"):
        (tmp_path / name).touch()
    directory = ModelDir.of(tmp_path)
    assert directory.files == ("model.onnx",)
    assert directory.unfit == ("model\\u202exnno.pkl",)


def test_what_is_not_there_for_sure_is_known_without_a_list(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "nowhere").symlink_to("gone")
    directory = ModelDir.of(tmp_path)
    assert [directory.lacks(name) for name in ("file", "nowhere", "gone")] == [False, False, True]
    with pytest.raises(FileNotFoundError):
        ModelDir.of(tmp_path / "gone").lacks("file")
    with pytest.raises(OSError, match="Not a directory"):
        ModelDir.of(tmp_path / "file").lacks("file")


def test_what_was_listed_stays_where_another_field_changes(tmp_path: Path) -> None:
    (tmp_path / "one").touch()
    listed = ModelDir.of(tmp_path)
    assert listed.files == ("one",)
    (tmp_path / "two").touch()
    kept = listed.kept(evidence={"of": "one"})
    assert (kept.evidence, kept.files, kept.has("two")) == ({"of": "one"}, ("one",), False)
    assert ModelDir.of(tmp_path).kept().files == ("one", "two")
