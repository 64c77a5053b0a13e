"""Environments of other systems: made once, made again for other versions; a system without its own is left out."""

from __future__ import annotations

import importlib.metadata
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from bench import environments, places, systems
from bench.environments import Environment


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Sequence[str]]:
    """What would be run to make one, in a folder of the test's."""
    found: list[Sequence[str]] = []

    def create(folder: Path, **_: Any) -> None:
        folder.mkdir(exist_ok=True)

    monkeypatch.setattr(places, "CACHE", tmp_path)
    monkeypatch.setattr(environments.venv, "create", create)
    monkeypatch.setattr(environments.subprocess, "run", lambda command, **_: found.append(command))
    return found


def test_it_has_the_frameworks_at_the_versions_that_made_the_models(commands: list[Sequence[str]]) -> None:
    Environment("peer", ("peer==1",), ("numpy",), bare=("files==2",)).ensure()
    numpy = f"numpy=={importlib.metadata.version('numpy')}"
    assert [list(command[-2:]) for command in commands] == [["peer==1", numpy], ["--no-deps", "files==2"]]


def test_the_build_of_a_framework_is_left_to_pip(
    commands: list[Sequence[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "2.13.0+cpu")
    Environment("peer", (), ("torch",)).ensure()
    assert commands[0][-1] == "torch==2.13.0"


def test_it_is_made_once_and_again_for_other_packages(commands: list[Sequence[str]]) -> None:
    for _ in range(2):
        Environment("peer", ("peer==1",), ()).ensure()
    assert len(commands) == 1
    Environment("peer", ("peer==2",), ()).ensure()
    assert len(commands) == 2


def test_a_system_that_cannot_be_had_is_left_out_with_a_word(
    commands: list[Sequence[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(command: Sequence[str], **_: Any) -> None:
        if any("mosec" in word for word in command):
            raise subprocess.CalledProcessError(1, list(command))

    monkeypatch.setattr(environments.subprocess, "run", fails)
    said: list[str] = []
    assert systems.obtainable(["polyserve", "mosec", "triton"], said.append) == ["polyserve", "triton"]
    assert len(said) == 1
    assert said[0].startswith("mosec is left out")
