"""What all confined processes may read holds no secrets, and all that an interpreter needs."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from server.runtime.sandbox.readable import devices, system_paths

PYTHON = Path(sys.executable)


def test_the_interpreter_and_our_packages_are_there() -> None:
    paths = system_paths(PYTHON, sys.path)
    root = str(Path(__file__).parents[4])
    assert {sys.prefix, sys.base_prefix, f"{root}/server", f"{root}/adapters"} <= set(paths)


def test_an_environment_of_a_models_own_is_there() -> None:
    assert "/environments/abc" in system_paths(Path("/environments/abc/bin/python"), [])


def test_a_working_directory_is_not(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    paths = system_paths(PYTHON, ["", str(tmp_path), str(tmp_path / "packages"), "relative"])
    assert str(tmp_path / "packages") in paths
    assert not {"", str(tmp_path), "relative"} & set(paths)


def test_no_secret_of_the_system_is_there() -> None:
    paths = set(system_paths(PYTHON, []))
    assert not {"/", "/etc", "/root", "/home", "/proc", "/run", "/var", "/tmp", "/dev", "/sys", "/etc/ssl"} & paths
    assert not {"/etc/shadow", "/etc/ssl/private"} & paths


def test_libraries_that_the_operator_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", "/opt/libraries:relative")
    assert "/opt/libraries" in system_paths(PYTHON, [])


def test_devices_are_those_that_exist() -> None:
    assert "/dev/null" in devices()
    assert all(os.path.exists(path) for path in devices())  # noqa: PTH110
