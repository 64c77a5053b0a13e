"""A short run of the fuzzer of folders; `python -m tests.fuzz.folders` makes long ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.base import ModelDir
from tests.fuzz.folders import copies, run
from tests.shared import Shared

CASES = 200


@pytest.mark.slow
def test_every_damaged_folder_gets_an_adapter_or_a_reason(shared: Shared, tmp_path: Path) -> None:
    folders = copies(shared, tmp_path)
    for seed in (1, 2):
        told = run(folders, seed, CASES)
        assert told.total() == CASES
        assert told["refused"]
        assert not told["refused without a reason"]
        assert len(told) > 8


def test_what_a_look_cannot_bear_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(model_dir: ModelDir) -> None:
        raise IndexError(model_dir.path)

    monkeypatch.setattr("adapters.registry.choose", crash)
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "model.onnx").write_bytes(b"x")
    with pytest.raises(AssertionError, match=r"case 0, seed 1: m/model\.onnx: IndexError"):
        run([tmp_path / "m"], 1, 1)
