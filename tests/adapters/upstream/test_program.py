"""Where a program is found, and what it inherits."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from adapters.base import LoadError, ModelDir
from adapters.upstream.program import check_numbers, environment_of, executable, template_file
from adapters.upstream.vllm_program import VllmProgram


def install(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "vllm").write_text("#!/bin/sh")
    (folder / "vllm").chmod(0o755)
    return folder / "vllm"


def test_the_environment_of_the_worker_comes_before_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_path = install(tmp_path / "path")
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "own"))
    assert executable("vllm", {}, "install it") == on_path
    own = install(tmp_path / "own" / "bin")
    assert executable("vllm", {}, "install it") == own
    named = install(tmp_path / "named" / "bin")
    assert executable("vllm", {"environment": str(tmp_path / "named"), "trust": "full"}, "install it") == named


@pytest.mark.parametrize("named", ["", "bin", "/nowhere"])
def test_an_environment_is_a_whole_path(named: str) -> None:
    with pytest.raises(LoadError, match=r"must be a folder|is not found"):
        executable("no-such-program", {"environment": named, "trust": "full"}, "install it")


@pytest.mark.parametrize("options", [{"slots": 0}, {"max_context": -1}, {"token_seconds": 0.5}])
def test_numbers_are_of_something(options: dict[str, float]) -> None:
    with pytest.raises(LoadError, match=f"options.{next(iter(options))} must be at least 1"):
        check_numbers(options)


def test_a_template_is_a_file_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "mine.jinja").touch()
    folder = ModelDir.of(tmp_path)
    assert template_file(folder, {}) is None
    assert template_file(folder, {"chat_template": "mine.jinja"}) == tmp_path / "mine.jinja"
    with pytest.raises(LoadError, match="no such file beside the model"):
        template_file(folder, {"chat_template": "../other.jinja"})


def test_it_computes_with_many_threads_and_asks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert "OMP_NUM_THREADS" not in environment_of(VllmProgram(), {})
    environ = environment_of(VllmProgram(), {"threads": 3, "cpu_cache_gib": 2})
    assert (environ["OMP_NUM_THREADS"], environ["HF_HUB_OFFLINE"]) == ("3", "1")
    assert environ["VLLM_CPU_KVCACHE_SPACE"] == "2"
