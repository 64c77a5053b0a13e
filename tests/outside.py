"""Programs that share no environment with the tests: run by an interpreter that has them, or out of their wheels."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


def interpreter_with(module: str) -> str:
    """This one, or the one that `<MODULE>_PYTHON` names; skips the test where neither has it."""
    if importlib.util.find_spec(module) is not None:
        return sys.executable
    variable = f"{module.upper()}_PYTHON"
    if variable not in os.environ:
        pytest.skip(f"{module} is not installed, and {variable} names no interpreter that has it")
    return os.environ[variable]


def wheels(folder: Path, *requirements: str) -> list[Path]:
    """The wheels of exact versions, without what they depend on; skips the test where no package index is reached."""
    line = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "download", "--no-deps"]
    line += [f"--dest={folder}", *requirements]
    done = subprocess.run(line, capture_output=True, text=True, timeout=280)
    if "No matching distribution" in done.stderr or "onnection" in done.stderr:
        pytest.skip("no package index can be reached")
    assert done.returncode == 0, done.stderr
    return sorted(folder.glob("*.whl"))


def run(python: str, code: str, *arguments: str, seconds: float = 300, **environ: str) -> Any:
    """Run a program that prints one line of JSON last."""
    line = [python, "-W", "ignore", "-c", code, *arguments]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", **environ}
    done = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=seconds)
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1])
