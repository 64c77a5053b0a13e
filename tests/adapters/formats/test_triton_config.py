"""Triton's settings beside a model, read without Triton; what they say of a program's tensors is `torch_.triton`'s."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.base import ModelDir
from adapters.formats.triton_config import FILE, TritonConfig, TritonTensor, read

FIL = """
backend: "fil"
max_batch_size: 32768
input [ { name: "input__0" data_type: TYPE_FP32 dims: [ 32 ] } ]
output [ { name: "output__0" data_type: TYPE_FP32 dims: [ 1 ] label_filename: "labels.txt" } ]
instance_group [{ kind: KIND_AUTO backend: "nor this" }]
parameters [ { key: "model_type" value: { string_value: "xgboost_json" } } ]
parameters { key: "is_classifier" value { string_value: "true" } }
"""


def config(folder: Path, text: str) -> TritonConfig | None:
    (folder / FILE).write_text(text)
    return read(ModelDir.of(folder))


def test_what_the_file_says(tmp_path: Path) -> None:
    found = config(tmp_path, FIL)
    assert found is not None
    assert (found.backend, found.batched, found.place.path) == ("fil", True, tmp_path)
    assert found.inputs == (TritonTensor("input__0", "FP32", (32,)),)
    assert found.outputs == (TritonTensor("output__0", "FP32", (1,), "labels.txt"),)
    assert found.parameters == {"model_type": "xgboost_json", "is_classifier": "true"}


def test_it_stands_above_the_folder_of_a_version_unless_that_is_signed(tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()
    assert config(tmp_path, FIL) is not None
    found = read(ModelDir.of(tmp_path / "1", tmp_path))
    assert found is not None
    assert found.place.path == tmp_path
    (tmp_path / "1" / "model.sig").write_text("{}")
    assert read(ModelDir.of(tmp_path / "1", tmp_path)) is None


@pytest.mark.parametrize("text", ["", "}}}]]]{{[", "backend", 'backend: "fil', "parameters { key: } max_batch_size: 0"])
def test_broken_text_says_little_and_breaks_nothing(tmp_path: Path, text: str) -> None:
    found = config(tmp_path, text)
    assert found is not None
    assert not found.inputs
    assert not found.outputs
    assert not found.batched
    assert found.backend in ("", "fil")


def test_without_the_file_there_are_no_settings(tmp_path: Path) -> None:
    assert read(ModelDir.of(tmp_path)) is None
