"""Makes one example: the part that runs in a process of its own, which cannot import from `__main__`."""

from __future__ import annotations

import importlib.util
import shutil
import time
from pathlib import Path

from adapters.registry import DISTRIBUTION
from examples import EXAMPLES


def make(name: str, directory: Path) -> float:
    """Make one model in `directory`/`name`, which appears only when it is finished; the seconds that took."""
    start = time.monotonic()
    unfinished = directory / f".{name}.unfinished"  # hidden: a server that watches the directory does not see it
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    try:
        EXAMPLES[name].make(unfinished)
        for path in unfinished.rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o644)  # transformers writes weights that only their maker can read
        unfinished.rename(directory / name)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return time.monotonic() - start


def absent(name: str) -> list[str]:
    """What `pip install` needs before that example can be made."""
    modules = [module for module in EXAMPLES[name].requires if importlib.util.find_spec(module) is None]
    return [DISTRIBUTION.get(module, module) for module in modules]
