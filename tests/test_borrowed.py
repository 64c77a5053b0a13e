"""Private parts of other libraries: each is where it was, and none is used that `tests/borrowed.py` does not list."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.borrowed import BORROWED, Borrowed, resolve

ROOT = Path(__file__).resolve().parents[1]
OURS = ("server", "adapters")
#: begin with an underscore, and are documented all the same
PUBLIC = {"_exit", "_replace", "_fields", "_asdict", "_make"}


def test_each_is_listed_once() -> None:
    listed = [(part.name, file) for part in BORROWED for file in part.files]
    assert len(set(listed)) == len(listed)


@pytest.mark.parametrize(
    "part",
    [
        pytest.param(part, marks=[pytest.mark.slow] if part.slow else (), id=f"{part.library}: {part}")
        for part in BORROWED
    ],
)
def test_it_is_where_it_was(part: Borrowed) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # how a library imports is its own affair
        pytest.importorskip(part.name.partition(".")[0])
        part.find()


@pytest.mark.parametrize("part", BORROWED, ids=str)
def test_it_is_still_used(part: Borrowed) -> None:
    last = part.name.rpartition(".")[2]
    unused = [file for file in part.files if last not in (ROOT / file).read_text()]
    assert not unused, f"{part} is listed in tests/borrowed.py for files that do not use it"


def test_no_other_is_used() -> None:
    names = {(part.name, file) for part in BORROWED for file in part.files}
    attributes = {(part.name.rpartition(".")[2], file) for part in BORROWED for file in part.files}
    trees = {path.relative_to(ROOT).as_posix(): ast.parse(path.read_text()) for path in _files()}
    unlisted = [
        f"{file}: {use}"
        for file, use in uses(trees)
        if (use, file) not in names and (use.rpartition(".")[2], file) not in attributes
    ]
    assert not unlisted, "list it in tests/borrowed.py, or do without"


def test_a_new_use_is_found() -> None:
    source = """
import library
from library._inner import thing as mine
from library import Public

class Own(library.Base):
    _class = 1

    def __init__(self, other):
        self._set = 1
        self._set, self._class, self._method, self._theirs, super()._also_theirs
        other._private
        library.module._part.function(1)
        Public._hidden
        getattr(other, "_named")
        vars(other)["_item"], vars(other).get("_got")

    def _method(self): ...
"""
    found = {use for _, use in uses({"server/a.py": ast.parse(source)})}
    assert found == {
        "library._inner.thing", "_theirs", "_also_theirs", "_private", "library.module._part.function",
        "library.Public._hidden", "_named", "_item", "_got",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("pickle._No", AttributeError),
        ("pickle._Unpickler._no", AttributeError),
        ("no_such_library", ImportError),
        ("email._no_such_module.part", AttributeError),
    ],
)
def test_what_has_moved_is_missed(name: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        resolve(name)


def _files() -> Iterator[Path]:
    for package in OURS:
        yield from sorted((ROOT / package).rglob("*.py"))


def uses(trees: dict[str, ast.Module]) -> Iterator[tuple[str, str]]:
    """Each file with a private part that it uses and that is not our own.

    By its full name where it is reached from an import, else the attribute's name alone. An attribute is our own where
    the file defines it, or, of `self`, `cls` and `super()`, any file: a class may have it from another of ours.
    """
    defined = {file: _defined(tree) for file, tree in trees.items()}
    everywhere = set().union(*defined.values())
    for file, tree in trees.items():
        imports = _imports(tree)
        yield from ((file, name) for name in imports.values() if _is_foreign(name))
        inner = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and id(node) not in inner:
                yield from ((file, use) for use in _attributes(node, imports, defined[file], everywhere))
            elif (name := _literal(node)) and _is_private(name) and name not in defined[file]:
                yield file, name


def _attributes(
    chain: ast.Attribute, imports: dict[str, str], in_file: set[str], everywhere: set[str]
) -> Iterator[str]:
    root: ast.expr = chain
    names: list[str] = []
    while isinstance(root, ast.Attribute):
        names.insert(0, root.attr)
        root = root.value
    if isinstance(root, ast.Name) and root.id in imports:
        name = ".".join((imports[root.id], *names))
        if any(map(_is_private, names)) and _is_foreign(name):
            yield name
        return
    ours = everywhere if ast.unparse(root) in ("self", "cls", "super()") else in_file
    yield from (name for name in names if _is_private(name) and name not in ours)


def _imports(tree: ast.Module) -> dict[str, str]:
    """Each name that an import binds, and what it stands for."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                found[alias.asname or alias.name.partition(".")[0]] = (
                    alias.name if alias.asname else alias.name.partition(".")[0]
                )
                if not alias.asname and _is_foreign(alias.name):
                    found[alias.name] = alias.name
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return found


def _defined(tree: ast.Module) -> set[str]:
    """The names that a file gives to functions, classes, variables, and attributes of `self`."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
            found.add(node.id if isinstance(node, ast.Name) else node.attr)
    return found


def _literal(node: ast.AST) -> str:
    """The name in `getattr(x, "name")`, `x.get("name")` or `x["name"]`."""
    found: ast.expr | None = None
    if isinstance(node, ast.Subscript):
        found = node.slice
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("getattr", "hasattr"):
        found = node.args[1]
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "get" and node.args:
        found = node.args[0]
    return found.value if isinstance(found, ast.Constant) and isinstance(found.value, str) else ""


def _is_private(name: str) -> bool:
    return name.startswith("_") and name != "_" and not name.startswith("__") and name not in PUBLIC


def _is_foreign(name: str) -> bool:
    """Whether a full name leads into another library's private parts."""
    parts = name.split(".")
    return parts[0] not in OURS and any(map(_is_private, parts))
