"""User code that names KServe's mount path, on a server whose models lie elsewhere.

KServe mounts a model at `/mnt/models`, and code written for it says so in plain text. Where that path is not the
model's folder, such literals (`"/mnt/models"`, `"/mnt/models/model.pt"`, and in f-strings) are read as the folder's
own path when the folder's source files are compiled. Native libraries then get the right path too, which intercepting
`open` would not give them, and no privilege is needed, as a mount would.
"""

from __future__ import annotations

import ast
import os
import sys
from importlib.abc import PathEntryFinder
from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader, FileFinder, SourceFileLoader
from pathlib import Path
from types import CodeType
from typing import Any

MOUNT = "/mnt/models"


def compiled(text: bytes, path: str, folder: Path) -> CodeType:
    """The code of a source file of the folder, with KServe's mount path read as `folder`.

    Raises:
        SyntaxError, ValueError: it does not compile.
    """
    if MOUNT.encode() not in text or _same(folder):
        return compile(text, path, "exec", dont_inherit=True)
    return compile(_Literals(folder).visit(ast.parse(text, path)), path, "exec", dont_inherit=True)


def install(folder: Path) -> None:
    """Have every module that is imported from the folder compiled so."""
    inner = f"{folder}{os.sep}"

    class Loader(SourceFileLoader):
        def get_code(self, fullname: str) -> CodeType:
            """Always from the source: a cached compilation would hold the literals as they were."""
            path = self.get_filename(fullname)
            return compiled(self.get_data(path), path, folder)

    details: Any = [(ExtensionFileLoader, EXTENSION_SUFFIXES), (Loader, [".py"])]

    def hook(entry: str) -> PathEntryFinder:
        if entry != str(folder) and not entry.startswith(inner):
            raise ImportError
        return FileFinder(entry, *details)

    sys.path_hooks.insert(0, hook)
    sys.path_importer_cache.clear()


def _same(folder: Path) -> bool:
    try:
        return folder.samefile(MOUNT)
    except OSError:
        return False


class _Literals(ast.NodeTransformer):
    def __init__(self, folder: Path) -> None:
        self._folder = str(folder)

    def visit_Constant(self, node: ast.Constant) -> ast.Constant:
        if isinstance(node.value, str) and (node.value == MOUNT or node.value.startswith(f"{MOUNT}/")):
            node.value = self._here(node.value)
        return node

    def _here(self, literal: str) -> str:
        """The path in the folder, unless only the path as it was written leads somewhere."""
        rest = literal.removeprefix(MOUNT)
        here = self._folder + rest
        beside = rest.strip("/") and os.path.exists(literal) and not os.path.exists(here)  # noqa: PTH110  any text
        return literal if beside else here
