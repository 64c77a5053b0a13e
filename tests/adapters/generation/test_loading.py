"""What loading reads of a folder beside its weights."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from adapters.base import LoadError, ModelDir
from adapters.generation import engines, loading
from adapters.generation.engine import Engine
from tests.language_models import save_language_model


def test_cores_are_those_that_the_process_may_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quota = tmp_path / "cpu.max"
    monkeypatch.setattr(loading, "_QUOTA", quota)
    monkeypatch.setattr(os, "sched_getaffinity", lambda of: set(range(8)))
    for text, count in (("max 100000", 8), ("200000 100000", 2), ("50000 100000", 1), ("nonsense", 8)):
        quota.write_text(text)
        assert loading.cores() == count
    quota.unlink()
    assert loading.cores() == 8


def test_missing_weights_are_no_model(tmp_path: Path) -> None:
    import json

    folder = save_language_model(tmp_path / "tiny")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 3}))
    with pytest.raises(LoadError, match="the weights lack"):
        loading.load_generator(ModelDir.of(folder), "", {})


@pytest.mark.parametrize(("options", "threads"), [({"threads": 3}, 3), ({}, 5)])
def test_the_engine_alone_has_threads_beside_it(
    options: dict[str, int], threads: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.setattr(loading, "cores", lambda: 5)
    given: list[int] = []

    def engine_for(model: Any, *, threads: int, **settings: Any) -> Engine:
        given.extend((threads, torch.get_num_threads()))
        return engines.engine_for(model, **settings)

    monkeypatch.setattr(loading, "engine_for", engine_for)
    before = torch.get_num_threads()
    try:
        loading.load_generator(ModelDir.of(save_language_model(tmp_path / "tiny")), "", options).close()
        assert given == [threads, 1]
    finally:
        torch.set_num_threads(before)
