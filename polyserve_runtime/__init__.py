"""PolyServe, under the one name that nobody else has: what other people's code may import of it.

    from polyserve_runtime.adapters.base import Adapter, InvalidInput, Match, Rank

An installed wheel holds the server's and the adapters' code in this package (`setup.py`). In a checkout they are the
packages `server` and `adapters` beside it, and the names within this one stand for the same modules.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

_HERE = Path(__file__).resolve().parent
_PREFIX = f"{__name__}."
_ALIASED = ("server", "adapters")


class _Alias(Loader):
    """Finds `polyserve_runtime.adapters.base` as `adapters.base`, one module under both names."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not name.startswith(_PREFIX) or name[len(_PREFIX) :].partition(".")[0] not in _ALIASED:
            return None
        return ModuleSpec(name, self, is_package=True)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = importlib.import_module(spec.name[len(_PREFIX) :])
        self._spec, self._loader = module.__spec__, module.__loader__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """It has been; it stays what its own name says."""
        module.__spec__, module.__loader__ = self._spec, self._loader


if not (_HERE / "adapters").is_dir():
    sys.path.insert(0, str(_HERE.parent))
    sys.meta_path.insert(0, _Alias())
