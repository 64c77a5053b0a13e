"""How a build moves our packages into one: `setup.py`."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
SETUP: dict[str, Any] = runpy.run_path(str(ROOT / "setup.py"))
MODULES = frozenset({"server", "server.errors", "adapters", "adapters.base", "adapters.onnx_"})


@pytest.mark.parametrize(
    ("source", "moved"),
    [
        ("from server.errors import NotFound", "from polyserve_runtime.server.errors import NotFound"),
        ("from adapters import base", "from polyserve_runtime.adapters import base"),
        ("def f():\n    from server import app\n", "def f():\n    from polyserve_runtime.server import app\n"),
        ("from server.errors import (\n    A,\n)", "from polyserve_runtime.server.errors import (\n    A,\n)"),
        ('x = {"onnx": "adapters.onnx_:Onnx"}', 'x = {"onnx": "polyserve_runtime.adapters.onnx_:Onnx"}'),
        ("x = 'server.errors'", "x = 'polyserve_runtime.server.errors'"),
    ],
)
def test_imports_and_names_of_ours_are_moved(source: str, moved: str) -> None:
    assert SETUP["moved"](source, MODULES) == moved
    assert SETUP["moved"](moved, MODULES) == moved


@pytest.mark.parametrize(
    "source",
    [
        "import serverless, numpy", "from servers.x import y", "from .server import x", "x = 'server.nowhere'",
        "x = 'server'", "x = 'see server.errors for more'", "# from server.errors import x", "from os import path",
    ],
)  # fmt: skip
def test_anything_else_stays(source: str) -> None:
    assert SETUP["moved"](source, MODULES) == source


@pytest.mark.parametrize(
    "source", ["import server", "import adapters.base", "import os, server.errors", "x = 'server' '.errors'"]
)
def test_what_cannot_be_moved_ends_the_build(source: str) -> None:
    with pytest.raises(SETUP["Unfit"], match=r"^there:1: write"):
        SETUP["moved"](source, MODULES, "there")


@pytest.mark.slow
def test_all_of_ours_can_be_moved() -> None:
    modules = SETUP["modules_in"](ROOT)
    assert {"server", "server.app", "adapters.base", "adapters.onnx_"} <= modules
    for folder in SETUP["FOLDERS"]:
        for path in (ROOT / folder).rglob("*.py"):
            SETUP["moved"](path.read_text(), modules, str(path))
