"""What a `model.py` imports that is not there, read from its syntax tree: nothing is imported, nothing runs."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterator

from adapters.base import ModelDir
from adapters.custom_.source import UnreadableSource, parse

_FILE = "model.py"


def missing_imports(directory: ModelDir) -> tuple[str, ...]:
    """The modules that the file cannot do without, and that neither its folder nor this Python has."""
    try:
        tree = parse(directory.file(_FILE).read_bytes()).tree
    except (OSError, UnreadableSource):
        return ()
    names = dict.fromkeys(_imported(tree))
    return tuple(name for name in names if not _is_there(name, directory))


def _imported(tree: ast.Module) -> Iterator[str]:
    """Of every import that stands alone: in `try` and `if` a file may do without."""
    for node in tree.body:
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def _is_there(name: str, directory: ModelDir) -> bool:
    if f"{name}.py" in directory.files or name in directory.dirs:
        return True
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):  # a module that is half there
        return False
