"""`polyserve examples`: the example models of the source tree."""

from __future__ import annotations

from pathlib import Path

import pytest

from server.cli import make_examples
from server.cli.main import run
from tests.server.cli.conftest import command


@pytest.mark.slow
def test_they_are_made_wherever_one_stands(tmp_path: Path) -> None:
    ended = command("examples", str(tmp_path / "models"), "--only=sklearn-iris", cwd=tmp_path, PYTHONSAFEPATH="1")
    assert ended.status == 0, ended.err
    assert (tmp_path / "models" / "sklearn-iris" / "model.joblib").is_file()
    assert (
        command("examples", str(tmp_path / "models"), "--only=sklearn-iris").out == "sklearn-iris: is there already\n"
    )


def test_mistakes(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(["examples", str(tmp_path), "--only=sklearn-iri"]) == 2
    assert "did you mean sklearn-iris?" in capsys.readouterr().err
    (tmp_path / "file").touch()
    assert run(["examples", str(tmp_path / "file")]) == 2
    assert "is a file" in capsys.readouterr().err
    monkeypatch.setattr(make_examples, "_TREE", tmp_path)
    assert run(["examples", str(tmp_path)]) == 1
    assert "git clone" in capsys.readouterr().err
