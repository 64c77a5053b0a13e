"""A short run of the fuzzer of tokenizers' files; `python -m tests.fuzz.tokenizer_files` makes long ones."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("transformers")

from tests.fuzz.tokenizer_files import made, run

CASES = 40


def test_every_hostile_tokenizer_is_read_or_refused_with_its_files(tmp_path: Path) -> None:
    told = run(made(tmp_path / "sound"), tmp_path, 1, CASES)
    assert told.total() == CASES
    assert told["refused"]
    assert told["asked"]
    assert set(told) <= {"refused", "gave up", "asked"}
