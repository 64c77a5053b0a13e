"""Labels of Triton's settings are the outputs' own."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from adapters.base import ModelDir, Signature, TensorSpec
from server.loading.output_labels import with_labels

SIGNATURE = Signature(
    (TensorSpec("x", "FP32", (-1, 2)),), (TensorSpec("y", "FP32", (-1, 2)), TensorSpec("z", "FP32", (-1,)))
)


@pytest.fixture
def version(tmp_path: Path) -> ModelDir:
    (tmp_path / "1").mkdir()
    (tmp_path / "names").mkdir()
    (tmp_path / "labels.txt").write_text("cat\nwild boar\n", encoding="utf-8")
    (tmp_path / "names" / "z.txt").write_text("größe\n", encoding="utf-8")
    return ModelDir.of(tmp_path / "1", tmp_path)


def _settings(version: ModelDir, y: str, z: str) -> None:
    text = f'output [ {{ name: "z" label_filename: "{z}" }}, {{ name: "y" label_filename: "{y}" }}, {{ name: "q" }} ]'
    (version.path.parent / "config.pbtxt").write_text(text)


def test_each_output_has_the_labels_of_its_file(version: ModelDir) -> None:
    assert with_labels(SIGNATURE, version) is SIGNATURE
    _settings(version, "labels.txt", "names/z.txt")
    signature = with_labels(SIGNATURE, version)
    assert [spec.labels for spec in signature.outputs] == [("cat", "wild boar"), ("größe",)]
    assert signature.inputs == SIGNATURE.inputs


def test_labels_that_are_not_there_are_told_and_left_out(version: ModelDir, caplog: pytest.LogCaptureFixture) -> None:
    _settings(version, "gone.txt", "../../secret.txt")
    with caplog.at_level(logging.WARNING, "kserve"):
        signature = with_labels(SIGNATURE, version)
    assert [spec.labels for spec in signature.outputs] == [(), ()]
    assert "names the labels gone.txt, which cannot be read" in caplog.text
