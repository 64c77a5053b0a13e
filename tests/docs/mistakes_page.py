"""docs/mistakes.md: what newcomers do wrong, and what is really printed. The mistakes are those of `test_mistakes`."""

from __future__ import annotations

import contextlib
import io
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from server.cli.main import run
from tests.server.cli.conftest import command
from tests.server.cli.test_mistakes import COMMAND_LINES, FOLDERS, SERVER_LINES

_HEAD = """\
# Mistakes, and what is said about them

Typed in a folder that holds `models/`, with one scikit-learn model called `iris` in it. Every message says what to do.
"""


def page() -> str:
    """The whole page."""
    with tempfile.TemporaryDirectory() as base, contextlib.chdir(base):
        home = Path(base)
        _make(home)
        parts = [_HEAD, "## On the command line\n", *(_typed(line) for line, _ in COMMAND_LINES.values())]
        parts += ["## Starting the server\n", *(_served(line, home) for line, _ in SERVER_LINES.values())]
        parts += ["## In a model's folder\n", *_in_folders(home)]
        return "\n".join(parts).replace(str(home.resolve()), "~").replace(base, "~")


def _make(home: Path) -> None:
    """Where the newcomer stands, as the fixture `home` of the tests."""
    import joblib
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression

    features, target = load_iris(return_X_y=True, as_frame=True)
    folder = home / "models" / "iris"
    folder.mkdir(parents=True)
    joblib.dump(LogisticRegression(max_iter=1000).fit(features, target), folder / "model.joblib")
    (home / "empty").mkdir()
    shutil.make_archive(str(home / "models"), "zip", home / "models")


def _printed(line: str) -> str:
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        run(line.split())
    return out.getvalue()


def _block(line: str, printed: str) -> str:
    sized = re.sub(r"^(size +).*", r"\1...", printed, flags=re.MULTILINE)  # compressors differ
    shown = "\n".join(each.rstrip() for each in sized.strip().splitlines())
    return f"```console\n$ polyserve {line}\n{shown}\n```\n"


def _typed(line: str) -> str:
    return _block(line, _printed(line))


def _served(line: str, home: Path) -> str:
    return _block(line, command(*line.split(), cwd=home).err)


def _in_folders(home: Path) -> Iterator[str]:
    for mistake, (make, _) in FOLDERS.items():
        folder = home / "mine"
        folder.mkdir()
        make(folder)
        yield f"In `mine/`: {mistake}\n\n" + _block("inspect mine", _printed("inspect mine --no-load"))
        shutil.rmtree(folder)
