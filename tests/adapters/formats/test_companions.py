"""Files beside a model that change its answers are never passed over."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.base import ModelDir
from adapters.formats import companions


@pytest.mark.parametrize(
    ("name", "way_out"),
    [
        ("adapter_config.json", "merge_and_unload"),
        ("adapter_model.safetensors", "merge_and_unload"),
        ("adapter_model-00001-of-00002.safetensors", "merge_and_unload"),
        ("pytorch_adapter.bin", "merge it into the model"),
        ("adapter_fusion_config.json", "merge it into the model"),
        ("model_head.pkl", "model.py"),
        ("small.onnx_adapter", "export the model with the adapter merged"),
    ],
)
def test_a_file_that_changes_the_answers_is_named_with_the_way_out(name: str, way_out: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"x")
    reason = companions.unread(ModelDir.of(tmp_path))
    assert reason.startswith(f"{name} is a")
    assert way_out in reason
    assert companions.unread(ModelDir.of(tmp_path), {name}) == ""


@pytest.mark.parametrize(
    "name", ["README.md", "model.safetensors", "config.json", "lora.txt", "my_adapter_config.json"]
)
def test_other_files_are_nobodys_concern(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"x")
    assert companions.unread(ModelDir.of(tmp_path)) == ""
