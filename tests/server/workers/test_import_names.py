"""Whose `server` and `adapters` a model's code imports: its own, and never ours."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from server.runtime.own_code import SOURCE_ROOT
from server.workers.import_names import _NotOurs

#: releases the names, then says what an import finds
_CODE = (
    "import sys; sys.path.insert(0, sys.argv[1]); from adapters import base; from server.workers.import_names import "
    "release_names; release_names(); kept = base.Adapter\n"
    "if len(sys.argv) > 2: sys.path.insert(0, sys.argv[2])\n"
    "for name in ('server', 'server.part', 'adapters'):\n"
    "    try: print(__import__(name, fromlist=['x']).__file__)\n"
    "    except ModuleNotFoundError as error: print(error)\n"
    "print(sys.argv[1] in sys.path, kept.__module__)"
)


def found(cwd: Path, *arguments: str) -> list[str]:
    command = [sys.executable, "-c", _CODE, str(SOURCE_ROOT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=cwd).stdout.splitlines()


def test_ours_are_gone(tmp_path: Path) -> None:
    absent = [f"No module named {name!r}" for name in ("server", "server", "adapters")]
    assert found(tmp_path)[0] == absent[0]
    assert found(tmp_path)[2:] == [absent[2], "False adapters.base"]


def test_a_models_own_are_found_also_in_a_folder_without_a_package(tmp_path: Path) -> None:
    (tmp_path / "server").mkdir()  # no __init__.py: any package elsewhere would come first
    (tmp_path / "server" / "part.py").write_text("")
    (tmp_path / "adapters.py").write_text("")
    server, part, adapters, _ = found(tmp_path, str(tmp_path))
    assert (server, part, adapters) == ("None", str(tmp_path / "server/part.py"), str(tmp_path / "adapters.py"))


def test_other_names_are_not_its_business(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _NotOurs.find_spec("json") is None
    assert _NotOurs.find_spec("servers") is None
    monkeypatch.setattr(sys, "path", [str(SOURCE_ROOT), str(tmp_path)])
    with pytest.raises(ModuleNotFoundError, match="No module named 'adapters'") as failure:
        _NotOurs.find_spec("adapters")
    assert failure.value.name == "adapters"


def test_links_to_our_packages_are_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "server").symlink_to(SOURCE_ROOT / "server")
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    with pytest.raises(ModuleNotFoundError):
        _NotOurs.find_spec("server")
