"""The rights of each version; what rules do is tried in test_launcher."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from server.runtime.sandbox import landlock

_CONFINE = """
import sys
sys.path.insert(0, sys.argv[1])
from server.runtime.sandbox import landlock
import ctypes
ctypes.CDLL(None).prctl(38, 1, 0, 0, 0)
landlock.confine(int(sys.argv[2]), sys.argv[3:4], sys.argv[4:5], sys.argv[5:6], network=True)
import os
def told(act):
    try:
        act()
        return "yes"
    except OSError:
        return "no"
readable, writable, listable = sys.argv[3:6]
print(told(lambda: open(readable + "/f").read()), told(lambda: open(readable + "/g", "w")),
      told(lambda: open(writable + "/g", "w")), told(lambda: os.listdir(listable)),
      told(lambda: open(listable + "/f").read()), told(lambda: os.listdir(readable + "/..")))
"""


@pytest.mark.parametrize("version", range(1, landlock.abi() + 1))
def test_files_are_what_they_were_given_as(version: int, tmp_path: Path) -> None:
    folders = []
    for name in ("readable", "writable", "listable"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "f").write_text("text")
        folders.append(str(folder))
    root = str(Path(__file__).parents[4])
    command = [sys.executable, "-I", "-S", "-c", _CONFINE, root, str(version), *folders]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.stdout.split() == ["yes", "no", "yes", "yes", "no", "no"], ended.stderr
