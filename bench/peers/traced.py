"""A server that notes which of its files a request passes: from SIGUSR1 on, until SIGUSR2 has the list written.

Run by its path, with another tree's `server` in front of the path: so that two trees can be compared.
"""

from __future__ import annotations

import json
import os
import runpy
import signal
import sys
import threading
from pathlib import Path
from types import FrameType

TREE = os.environ["TRACED_TREE"]
OURS = tuple(f"{TREE}/{package}/" for package in ("server", "adapters"))
#: threads whose work is a request's
THREADS = ("MainThread", "predict", "codec")

files: dict[str, None] = {}
on = False


def note(frame: FrameType, event: str, argument: object) -> None:
    if on and event == "call":
        file = frame.f_code.co_filename
        if file.startswith(OURS) and threading.current_thread().name.startswith(THREADS):
            files[file[len(TREE) + 1 :]] = None


def begin(*_: object) -> None:
    global on
    files.clear()
    on = True
    sys.setprofile(note)


def write(*_: object) -> None:
    global on
    sys.setprofile(None)
    on = False
    out = Path(os.environ["TRACED_FILES"])
    out.with_suffix(".part").write_text(json.dumps(list(files)))
    out.with_suffix(".part").rename(out)


signal.signal(signal.SIGUSR1, begin)
signal.signal(signal.SIGUSR2, write)
threading.setprofile(note)
runpy.run_module("server", run_name="__main__", alter_sys=True)
