"""Our own modules are run from where this process has them, whatever else bears their names."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from server.runtime.own_code import FIRST_ON_PATH, IS_INSTALLED, OWN_NAMES, SOURCE_ROOT, module_command

ROOT = Path(__file__).parents[3]


def test_in_a_checkout_its_folder_comes_first() -> None:
    assert not IS_INSTALLED
    assert SOURCE_ROOT == ROOT
    assert str(ROOT) == FIRST_ON_PATH
    assert all((ROOT / name / "__init__.py").is_file() for name in OWN_NAMES)


def test_a_stranger_of_the_same_name_is_not_run(tmp_path: Path) -> None:
    for name in ("server", "server/config", "adapters"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('a stranger')")
    (tmp_path / "server" / "config" / "settings.py").touch()
    environ = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = module_command("server.config.settings", "--help")
    ran = subprocess.run(command, env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "| `--model_dir=DIR` |" in ran.stdout
