"""Models to look at, made once, and the commands as a shell runs them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]

Run = Callable[..., "Ended"]


@dataclass(frozen=True)
class Ended:
    """What a command did."""

    status: int
    out: str
    err: str


def command(*argv: str, cwd: Path | None = None, stdin: str = "", **environ: str) -> Ended:
    """`polyserve ARGV` in a process of its own, without a terminal."""
    ended = subprocess.run(
        [sys.executable, "-m", "server", *argv],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        cwd=cwd,
        input=stdin,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environ},
    )
    return Ended(ended.returncode, ended.stdout, ended.stderr)


@pytest.fixture(scope="session")
def iris(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one scikit-learn model, which knows its columns."""
    import joblib
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression

    features, target = load_iris(return_X_y=True, as_frame=True)
    folder = tmp_path_factory.mktemp("folder of models") / "iris"
    folder.mkdir()
    joblib.dump(LogisticRegression(max_iter=1000).fit(features, target), folder / "model.joblib")
    return folder
