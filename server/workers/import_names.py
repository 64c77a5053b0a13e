"""Our package names in a worker: there while our own modules are imported, gone before a model's code is.

That is so in a checkout. A wheel has our packages inside one that no model has: there is nothing to be given up.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

from server.runtime.own_code import IS_INSTALLED, OWN_NAMES, SOURCE_ROOT

_OURS = OWN_NAMES
_SHARED = ("site-packages", "dist-packages")


class _NotOurs:
    """Finds a model's own `server` and `adapters`, and what is in them, and never ours.

    Ours may be beyond the path (an editable install has a finder of its own), or before it (a folder without
    `__init__.py` comes after any package).
    """

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name.partition(".")[0] not in _OURS:
            return None
        where = path if path is not None else [entry for entry in sys.path if not _is_root(entry)]
        spec = PathFinder.find_spec(name, where)
        if spec is None:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return spec


def release_names() -> None:
    """Give `server` and `adapters` up to the code that is imported from now on: a model may have such modules itself.

    Our modules that are loaded work on, but what they import later they import under the model's names: whatever hosts
    a model's code imports all that it needs of ours at module level. `adapters.base` stays what it is for isinstance.
    """
    if IS_INSTALLED:
        return
    for name in [name for name in sys.modules if name.partition(".")[0] in _OURS]:
        del sys.modules[name]
    sys.path[:] = [entry for entry in sys.path if not _is_root(entry) or Path(entry).name in _SHARED]
    sys.meta_path.insert(0, _NotOurs)


def _is_root(entry: str) -> bool:
    """Whether our packages are there, perhaps by links."""
    try:
        return (Path(entry) / "server").resolve() == SOURCE_ROOT / "server"
    except (OSError, RuntimeError):
        return False
