"""One word is one thing: no two public classes of `server/` share a name, no two modules, and names are the field's.

Read from the syntax trees. What is known and not mended yet stands in the lists here, which only get shorter: an entry
that is no longer needed fails, too.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

#: modules that may be called the same in several packages
COMMON_MODULES = {"__init__", "__main__", "errors", "base"}
#: words that only this project used, for what the field has words of its own for
HOUSE_DIALECT = {"told", "tried", "strangers", "shelf", "shelves", "whole", "heads", "pace", "wishes", "lanes"}

#: classes and type aliases that are declared twice
SHARED_NAMES: set[str] = {"Done", "Message", "Outcome"}
#: modules that are called the same
SHARED_MODULES: set[str] = {"messages", "request"}
#: `module: name`
DIALECT: set[str] = {
    "inference.batching.adaptive: told",
    "inference.batching.executor: _told",
    "inference.batching.executor: _whole",
    "loading.storage.transfer: _whole",
    "runtime.ipc: _whole",
}


@dataclass(frozen=True)
class Definition:
    module: str
    name: str
    is_type: bool  #: a class or a type alias, at the top of its module

    @property
    def is_public(self) -> bool:
        return not self.name.startswith("_")


def modules_of(tree: Path) -> dict[str, ast.Module]:
    """The modules of a tree's `server/`, by their dotted names within it."""
    found = {}
    for file in sorted((tree / "server").rglob("*.py")):
        name = ".".join(file.relative_to(tree / "server").with_suffix("").parts)
        found[name] = ast.parse(file.read_text(encoding="utf-8"))
    return found


def definitions_of(modules: Mapping[str, ast.Module]) -> list[Definition]:
    """Whatever has a name: classes, functions, methods, and type aliases of modules."""
    return [
        Definition(module, name, is_type)
        for module, tree in modules.items()
        for name, is_type in (*_defined(tree), *_aliases(tree))
    ]


def _defined(tree: ast.Module) -> Iterator[tuple[str, bool]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            yield node.name, node in tree.body
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, False


def _aliases(tree: ast.Module) -> Iterator[tuple[str, bool]]:
    for node in tree.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and _is_alias(node.annotation):
            yield node.target.id, True


def _is_alias(annotation: ast.expr) -> bool:
    return isinstance(annotation, ast.Name) and annotation.id == "TypeAlias"


def shared_names(definitions: Sequence[Definition]) -> dict[str, set[str]]:
    """Public classes and type aliases that several modules declare, and those modules."""
    modules = defaultdict(set)
    for each in definitions:
        if each.is_type and each.is_public:
            modules[each.name].add(each.module)
    return {name: found for name, found in modules.items() if len(found) > 1}


def shared_modules(names: Sequence[str]) -> dict[str, set[str]]:
    """What modules of several packages are called, and those modules."""
    modules = defaultdict(set)
    for name in names:
        modules[name.rpartition(".")[2]].add(name)
    return {name: found for name, found in modules.items() if len(found) > 1 and name not in COMMON_MODULES}


def dialect(modules: Sequence[str], definitions: Sequence[Definition]) -> set[str]:
    """`module: name` for each name that is a word of the dialect."""
    last = {(name, name.rpartition(".")[2]) for name in modules}
    return {
        f"{module}: {name}"
        for module, name in last | {(each.module, each.name) for each in definitions}
        if name.strip("_").lower() in HOUSE_DIALECT
    }


@pytest.fixture(scope="module")
def modules() -> dict[str, ast.Module]:
    return modules_of(ROOT)


def test_no_two_classes_or_type_aliases_share_a_name(modules: dict[str, ast.Module]) -> None:
    found = shared_names(definitions_of(modules))
    assert {name: found[name] for name in found.keys() - SHARED_NAMES} == {}
    assert SHARED_NAMES - found.keys() == set(), "these are mended: take them off the list"


def test_no_two_modules_share_a_name(modules: dict[str, ast.Module]) -> None:
    found = shared_modules(list(modules))
    assert {name: found[name] for name in found.keys() - SHARED_MODULES} == {}
    assert SHARED_MODULES - found.keys() == set(), "these are mended: take them off the list"


def test_names_are_the_fields(modules: dict[str, ast.Module]) -> None:
    found = dialect(list(modules), definitions_of(modules))
    assert sorted(found - DIALECT) == []
    assert sorted(DIALECT - found) == [], "these are mended: take them off the list"


def test_a_breach_is_found(tmp_path: Path) -> None:
    for room, code in {
        "one": "class Job: ...\nclass _Own: ...\ndef told(): ...\nKey: TypeAlias = int\n",
        "two": "class Job: ...\nclass _Own: ...\nclass Key:\n    class Job: ...\n    def _heads(self): ...\n",
    }.items():
        (tmp_path / "server" / room).mkdir(parents=True)
        (tmp_path / "server" / room / "__init__.py").write_text("")
        (tmp_path / "server" / room / "queue.py").write_text(code)
    (tmp_path / "server" / "shelves.py").write_text("")
    modules = modules_of(tmp_path)
    definitions = definitions_of(modules)
    both = {"one.queue", "two.queue"}
    assert shared_names(definitions) == {"Job": both, "Key": both}
    assert shared_modules(list(modules)) == {"queue": both}
    assert dialect(list(modules), definitions) == {"one.queue: told", "two.queue: _heads", "shelves: shelves"}
