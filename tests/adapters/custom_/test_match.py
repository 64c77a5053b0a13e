"""A folder is claimed by reading its `model.py`: nothing of it runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters import registry
from adapters.base import Match, ModelDir, Rank, Trust
from adapters.custom_ import CustomAdapter
from tests.custom_models import FOLDERS

CLASS = "class Mine(Model):\n    pass\n"


def match(folder: Path, **files: str | bytes) -> Match | None:
    """The claim on a folder with these Python files; an underscore in a name is a slash."""
    for name, text in files.items():
        path = folder / f"{name.replace('_', '/')}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return CustomAdapter.match(ModelDir.of(folder))


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_models_as_users_write_them(folder: Path) -> None:
    claim = CustomAdapter.match(ModelDir.of(folder))
    assert claim == Match(Rank.CODE, trust=Trust.CODE)


@pytest.mark.parametrize(
    "text",
    [
        f"from kserve import Model\n{CLASS}",
        "from kserve import Model as Base\nclass Mine(Base): pass",
        "import kserve\nclass Mine(kserve.Model): pass",
        "import kserve as k\nclass Mine(k.Model): pass",
        f"from kserve.model import Model\n{CLASS}",
        "import kserve.model\nclass Mine(kserve.model.Model): pass",
        "from kserve import model\nclass Mine(model.Model): pass",
        f"from kserve import *\n{CLASS}",
        "import kserve\nBase = kserve.Model\nclass Mine(Base): pass",
        "import kserve\nclass A(kserve.Model): pass\nclass B(A): pass",
        "try:\n    from kserve import Model\nexcept ImportError:\n    raise\nif True:\n    class Mine(Model): pass",
        "from typing import Generic as G, TypeVar as V\nimport kserve\nT = V('T')\nclass A(G[T], kserve.Model): pass",
        "from kserve import ModelServer\nfrom company.serving import make\nModelServer().start([make('x')])",
        b"# -*- coding: latin-1 -*-\n# caf\xe9\nfrom kserve import Model\nclass Mine(Model): pass",
    ],
)
def test_every_way_to_subclass(tmp_path: Path, text: str | bytes) -> None:
    claim = match(tmp_path, model=text)
    assert claim is not None
    assert (claim.rank, claim.problem, claim.trust) == (Rank.CODE, "", Trust.CODE)


@pytest.mark.parametrize(
    "files",
    [
        {
            "model": "from base import Base\nclass Mine(Base): pass",
            "base": "import kserve\nclass Base(kserve.Model): pass",
        },
        {"model": "import base\nclass Mine(base.Base): pass", "base": "import kserve\nclass Base(kserve.Model): pass"},
        {"model": "from base import Base", "base": "import kserve\nclass Base(kserve.Model): pass"},
        {
            "model": "from pack.inner import Base as B\nclass Mine(B): pass",
            "pack_inner": "from .deeper import Base",
            "pack_deeper": "from kserve import Model\nclass Base(Model): pass",
        },
    ],
)
def test_classes_of_the_folders_other_modules_count(tmp_path: Path, files: dict[str, str]) -> None:
    claim = match(tmp_path, **files)
    assert claim is not None
    assert not claim.problem


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("x = 1", "model.py defines no subclass of kserve.Model"),
        ("import torch\nclass Net(torch.nn.Module): pass", "model.py defines no subclass of kserve.Model"),
        ("from kserve import Model", "model.py defines no subclass of kserve.Model"),
        ("class A(B): pass\nclass B(A): pass", "model.py defines no subclass of kserve.Model"),
        ("from model import Mine\nclass Other(Mine): pass", "model.py defines no subclass of kserve.Model"),
        ("import kserve\n\nclass Mine(kserve.Model)\n    pass", "model.py, line 3: expected ':'"),
        ("import kserve\nprint 'python 2'", "model.py, line 2: Missing parentheses"),
        ("import kserve\n" + "(" * 1000, "model.py, line 2: too many nested parentheses"),
        ("import kserve\nx = " + "-" * 100_000 + "1", "model.py: nested too deeply"),
        ("import kserve\nx = 1" + "+1" * 50_000, "model.py: nested too deeply"),
        ("import kserve\n\0", "model.py: source code string cannot contain null bytes"),
        (b"import kserve\nx = 'caf\xe9'", "model.py, line 2: (unicode error) 'utf-8' codec can't decode byte"),
    ],
)
def test_what_is_wrong_with_a_file(tmp_path: Path, text: str | bytes, problem: str) -> None:
    claim = match(tmp_path, model=text)
    assert claim is not None
    assert claim.problem.startswith(problem)


def test_a_model_that_is_called_something_else(tmp_path: Path) -> None:
    claim = match(tmp_path, serve="import kserve\nclass Mine(kserve.Model): pass", train="x = 1")
    assert claim == Match(
        Rank.SUFFIX, "serve.py", "serve.py holds a kserve.Model: rename it to model.py", trust=Trust.CODE
    )


def test_folders_without_a_model(tmp_path: Path) -> None:
    assert match(tmp_path, train="import kserve", broken="import kserve (") is None


def test_matching_runs_nothing(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    text = f"import kserve\nopen({str(mark)!r}, 'w')\nclass Mine(kserve.Model): pass"
    claim = match(tmp_path, model=text)
    assert claim is not None
    assert not mark.exists()


def test_modules_outside_the_mount_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "base.py").write_text("import kserve\nclass Base(kserve.Model): pass")
    folder = tmp_path / "mount"
    folder.mkdir()
    (folder / "base.py").symlink_to(tmp_path / "base.py")
    claim = match(folder, model="from base import Base\nclass Mine(Base): pass")
    assert claim is not None
    assert claim.problem == "model.py defines no subclass of kserve.Model"


def test_code_wins_over_data_beside_it(tmp_path: Path) -> None:
    (tmp_path / "model.txt").write_text("tree\nversion=v4\n")
    (tmp_path / "model.py").write_text(f"from kserve import Model\n{CLASS}")
    assert registry.choose(ModelDir.of(tmp_path)).adapter is CustomAdapter


def test_a_library_beside_data_does_not(tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text("def helper(): pass")
    (tmp_path / "model.bst").write_text("tree\nversion=v4\n")
    assert registry.choose(ModelDir.of(tmp_path)).adapter.name == "lightgbm"


def test_requirements_come_along(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_bytes(b"\xef\xbb\xbfnumpy<2\n")
    (tmp_path / "model.py").write_text(f"from kserve import Model\n{CLASS}")
    assert registry.choose(ModelDir.of(tmp_path)).match.requirements == "numpy<2"
