"""The folder that was meant, where the one that was named is not there."""

from __future__ import annotations

import difflib
from pathlib import Path


def near_folder(path: Path) -> Path | None:
    """One beside it whose name is nearly the same; None: there is none."""
    try:
        names = [each.name for each in path.parent.iterdir() if each.is_dir()]
    except OSError:
        return None
    near = difflib.get_close_matches(path.name, names, n=1, cutoff=0.75)
    return path.parent / near[0] if near else None
