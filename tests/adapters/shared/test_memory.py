"""How much memory there is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from adapters.shared import memory


@pytest.mark.parametrize("text", ["max\n", "", "9" * 30, None])
def test_without_a_limit_it_is_the_machine_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None) -> None:
    monkeypatch.setattr(memory, "_CGROUP", tmp_path / "memory.max")
    if text is not None:
        (tmp_path / "memory.max").write_text(text)
    assert memory.memory_bytes() == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def test_a_container_may_have_less(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_CGROUP", tmp_path / "memory.max")
    (tmp_path / "memory.max").write_text("1048576\n")
    assert memory.memory_bytes() == 1048576
