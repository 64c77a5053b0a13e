"""KServe's mount path in user code is the model's folder, however it is written; other paths stay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from adapters.custom_ import mount


def value(expression: str, folder: Path) -> Any:
    names: dict[str, Any] = {"name": "x"}
    exec(mount.compiled(f"import os, pathlib\nvalue = {expression}".encode(), "model.py", folder), names)
    return names["value"]


@pytest.mark.parametrize(
    ("expression", "path"),
    [
        ('"/mnt/models"', ""),
        ('"/mnt/models/"', "/"),
        ('"/mnt/models/a/b.pt"', "/a/b.pt"),
        ('f"/mnt/models/{name}.pt"', "/x.pt"),
        ('"/mnt/models/" "b.pt"', "/b.pt"),
        ('os.path.join("/mnt/models", "b.pt")', "/b.pt"),
        ('str(pathlib.Path("/mnt/models") / "b.pt")', "/b.pt"),
        ('{"dir": ["/mnt/models"]}["dir"][0]', ""),
        ('(lambda path="/mnt/models": path)()', ""),
    ],
)
def test_the_mount_is_the_folder(tmp_path: Path, expression: str, path: str) -> None:
    assert value(expression, tmp_path) == f"{tmp_path}{path}"


@pytest.mark.parametrize("text", ["/mnt/modelsx", "/mnt", "see /mnt/models", "models", ""])
def test_other_texts_stay(tmp_path: Path, text: str) -> None:
    assert value(f'["/mnt/models", {text!r}][1]', tmp_path) == text


def test_a_path_that_leads_somewhere_only_as_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Several models on KServe's own mount: code may name its folder, or one beside it."""
    monkeypatch.setattr(mount, "MOUNT", str(tmp_path))
    folder, beside = tmp_path / "mine", tmp_path / "shared"
    for each in (folder, beside):
        each.mkdir()
        (each / "w.npy").touch()
    (folder / "own.npy").touch()
    assert value(f'"{tmp_path}/own.npy"', folder) == f"{folder}/own.npy"
    assert value(f'"{tmp_path}/shared/w.npy"', folder) == f"{beside}/w.npy"
    assert value(f'"{tmp_path}/mine/w.npy"', folder) == f"{folder}/w.npy"
    assert value(f'"{tmp_path}/new.npy"', folder) == f"{folder}/new.npy"


def test_the_mount_itself_needs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mount, "MOUNT", str(tmp_path / "link"))
    (tmp_path / "link").symlink_to(tmp_path)
    assert value(f'"{tmp_path}/link/x"', tmp_path) == f"{tmp_path}/link/x"


def test_lines_keep_their_numbers(tmp_path: Path) -> None:
    code = mount.compiled(b"a = '/mnt/models'\n\n1/0\n", "model.py", tmp_path)
    with pytest.raises(ZeroDivisionError) as raised:
        exec(code, {})
    assert raised.traceback[-1].lineno == 2
