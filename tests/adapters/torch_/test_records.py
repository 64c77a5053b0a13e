"""A torch archive's records: what is read of them, and what damage each kind is."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

pytest.importorskip("torch")

from adapters.base import LoadError
from adapters.torch_.records import Records, RefusedArchive


@pytest.fixture
def records(tmp_path: Path) -> Records:
    with zipfile.ZipFile(tmp_path / "model.pt2", "w") as writer:
        for name, content in {
            "version": b"3\n",
            "archive_format": b"pt2",
            "models/model.json": '{"a": [1, "é"]}'.encode(),
            "bad.json": b'{"a": ',
            "latin.json": b'"\xe9"',
            "deep.json": b"[" * 100_000,
        }.items():
            writer.writestr(f"top/{name}", content)
    return Records(tmp_path / "model.pt2")


def test_records_are_named_without_the_top_folder(records: Records) -> None:
    assert records.file == "model.pt2"
    assert set(records.names) == {
        "version", "archive_format", "models/model.json", "bad.json", "latin.json", "deep.json",
    }  # fmt: skip


def test_a_record_is_its_bytes(records: Records) -> None:
    assert records.read("archive_format") == b"pt2"
    assert records.size("archive_format") == 3
    assert records.json("models/model.json") == {"a": [1, "é"]}


def test_a_record_that_is_not_there_is_damage(records: Records) -> None:
    with pytest.raises(LoadError, match=r"^model\.pt2 is damaged: it holds no models/other\.json$"):
        records.read("models/other.json")


def test_a_record_that_is_far_too_large_is_not_read(records: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.torch_.records.MAX_RECORD", 2)
    assert records.read("version") == b"3\n"
    with pytest.raises(LoadError, match=r"^model\.pt2: archive_format holds 3 bytes, the limit is 2$"):
        records.read("archive_format")


@pytest.mark.parametrize("name", ["bad.json", "latin.json", "deep.json"])
def test_what_is_no_json_is_damage(records: Records, name: str) -> None:
    with pytest.raises(LoadError, match=rf"^model\.pt2 is damaged: {name} is not JSON$"):
        records.json(name)


def test_a_refusal_names_the_file_and_the_way_out(records: Records) -> None:
    refused = records.refuse("calls torch.save")
    assert isinstance(refused, RefusedArchive)
    assert str(refused) == (
        "model.pt2 calls torch.save; it was not loaded: if you trust the file, set `trust: full` in its polyserve.yaml"
    )
