"""Programs that share no environment with the tests: in ones of their own, or out of their wheels.

An environment is made once, in `build/outside/`, by what its requirements are, and kept for later runs.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import uv

from server.loading.environments.pip_settings import PipSettings
from tests.shared import Shared

ROOT = Path(__file__).parents[1]
ENVIRONMENTS = ROOT / "build" / "outside"


def interpreter_with(module: str, *requirements: str, beside_ours: bool = False) -> str:
    """One that has a module: this one, the one that `<MODULE>_PYTHON` names, or that of an environment of its own."""
    if importlib.util.find_spec(module) is not None:
        return sys.executable
    named = os.environ.get(f"{module.upper()}_PYTHON")
    return named or str(environment(*requirements, beside_ours=beside_ours) / "bin" / "python")


def environment(*requirements: str, beside_ours: bool = False) -> Path:
    """The folder of an environment with these packages in exact versions, and what they ask for.

    With `beside_ours` it has the versions of constraints.txt, and finds ours after its own: no second torch is fetched.
    Skips the test where they cannot be had: no package index is reached, or what they ask for has gone.
    """

    def make(folder: Path) -> None:
        venv.EnvBuilder(symlinks=True, with_pip=False).create(folder)
        python, settings = folder / "bin" / "python", PipSettings.read(os.environ)
        line = [uv.find_uv_bin(), "pip", "install", "--quiet", f"--python={python}", *settings.uv_arguments()]
        line += [f"--constraint={ROOT / 'constraints.txt'}"] if beside_ours else []
        environ = {**settings.uv_environ(), **os.environ}
        _fetch([*line, *requirements], environ)
        if beside_ours:
            base = {"base": str(folder), "platbase": str(folder)}
            own = Path(sysconfig.get_path("purelib", "venv", base))
            (own / "ours.pth").write_text(sysconfig.get_path("purelib"))

    ENVIRONMENTS.mkdir(parents=True, exist_ok=True)
    name = "_".join((*requirements, f"python{sysconfig.get_python_version()}"))
    folder, _ = Shared(ENVIRONMENTS).once(name, make)
    return folder


def wheels(folder: Path, *requirements: str) -> list[Path]:
    """The wheels of exact versions, without what they depend on; skips the test where they cannot be had."""
    line = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "download", "--no-deps"]
    line += [f"--dest={folder}", *requirements]
    _fetch(line, os.environ)
    return sorted(folder.glob("*.whl"))


def _fetch(line: Sequence[str], environ: Mapping[str, str]) -> None:
    try:
        subprocess.run(line, check=True, capture_output=True, text=True, timeout=800, env=environ)
    except subprocess.TimeoutExpired:
        pytest.skip("the package index takes too long")
    except subprocess.CalledProcessError as error:
        pytest.skip(f"it cannot be installed: {error.stderr.strip()[-400:]}")


def run(python: str, code: str, *arguments: str, seconds: float = 300, **environ: str) -> Any:
    """Run a program that prints one line of JSON last."""
    line = [python, "-W", "ignore", "-c", code, *arguments]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", **environ}
    done = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=seconds)
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1])
