"""What a `model.py` says about itself, read from its syntax tree: nothing is imported, nothing runs.

A class counts as a model when its bases lead to `kserve.Model`, through aliases, other classes of the file and other
modules of the folder.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path

from adapters.modeldir import inside

MAX_BYTES = 4 * 2**20  #: of one source file
#: words and marks of a source file, and of all others of its folder together: Python makes objects of two kilobytes of
#: each, in the server's own process
MOST_WORDS = 150_000
_WORD = re.compile(rb"[\w\x80-\xff]+|[^\w\s\x80-\xff]")
_MAX_MODULES = 64  #: of the folder that are looked into

_MODELS = frozenset({"kserve.Model", "kserve.model.Model", "kserve.InferenceModel", "kserve.model.InferenceModel"})
_SERVERS = frozenset({"kserve.ModelServer", "kserve.model_server.ModelServer"})


class UnreadableSource(Exception):
    """A source file that Python could not compile; the message names the line."""


@dataclass
class Module:
    """One source file of the folder."""

    tree: ast.Module
    package: str = ""  #: what relative imports are relative to

    @cached_property
    def classes(self) -> dict[str, ast.ClassDef]:
        """Classes at module level by name, in order."""
        return {node.name: node for node in self._nodes if isinstance(node, ast.ClassDef)}

    @cached_property
    def origins(self) -> dict[str, str]:
        """Where the names of imports and simple assignments come from: local name -> dotted name."""
        found: dict[str, str] = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                for name in node.names:
                    top = name.name.partition(".")[0]
                    found[name.asname or top] = name.name if name.asname else top
            elif isinstance(node, ast.ImportFrom):
                found.update(self._from(node))
        for node in self._nodes:
            if isinstance(node, ast.Assign) and (origin := self.dotted(node.value, found)):
                found.update({target.id: origin for target in node.targets if isinstance(target, ast.Name)})
        return found

    @cached_property
    def main_block(self) -> ast.If | None:
        """`if __name__ == "__main__":`"""
        for node in self.tree.body:
            if isinstance(node, ast.If) and isinstance(node.test, ast.Compare):
                sides = [node.test.left, *node.test.comparators]
                names = {side.id for side in sides if isinstance(side, ast.Name)}
                texts = {side.value for side in sides if isinstance(side, ast.Constant)}
                if "__name__" in names and "__main__" in texts:
                    return node
        return None

    @property
    def calls_server(self) -> bool:
        """Whether some code of the file makes a `kserve.ModelServer`."""
        servers = {name for name, node in self.classes.items() if _SERVERS & set(self._bases(node))} | _SERVERS
        calls = (node for node in ast.walk(self.tree) if isinstance(node, ast.Call))
        return any(self.dotted(call.func, self.origins) in servers for call in calls)

    def used(self, names: set[str]) -> set[str]:
        """Those of the names that the code outside functions and classes reads: the script's own."""
        outside = [node for node in self._nodes if not isinstance(node, ast.FunctionDef | ast.ClassDef)]
        reads = (node for top in outside for node in ast.walk(top) if isinstance(node, ast.Name))
        return names & {node.id for node in reads}

    def dotted(self, node: ast.expr, origins: dict[str, str]) -> str:
        """`k.Model` as `kserve.Model` where `k` is kserve; "" for what is not a plain name."""
        if isinstance(node, ast.Name):
            return origins.get(node.id, node.id)
        if isinstance(node, ast.Attribute):
            owner = self.dotted(node.value, origins)
            return f"{owner}.{node.attr}" if owner else ""
        return self.dotted(node.value, origins) if isinstance(node, ast.Subscript) else ""

    def _bases(self, node: ast.ClassDef) -> list[str]:
        return [self.dotted(base, self.origins) for base in node.bases]

    @cached_property
    def _nodes(self) -> list[ast.stmt]:
        """Statements at module level, those inside `if`, `try` and `with` included."""
        return list(_flat(self.tree.body))

    def _from(self, node: ast.ImportFrom) -> dict[str, str]:
        parents = self.package.split(".") if self.package else []
        kept = parents[: len(parents) - node.level + 1] if node.level else []
        module = ".".join([*kept, *([node.module] if node.module else [])])
        if any(name.name == "*" for name in node.names):
            return {name: f"kserve.{name}" for name in ("Model", "ModelServer")} if module == "kserve" else {}
        return {name.asname or name.name: f"{module}.{name.name}".lstrip(".") for name in node.names}


@dataclass
class SourceFolder:
    """The modules of a model's folder, parsed when they are asked for."""

    path: Path
    root: Path
    _modules: dict[str, Module | None] = field(default_factory=dict)
    _left: int = MOST_WORDS  #: of modules that are still to be parsed

    def models(self, module: Module) -> tuple[str, ...]:
        """The model classes that a module offers and that none of its others builds on.

        Classes that it imports from the folder count where it defines none.
        """
        own = [name for name in module.classes if self._is_model(module, name, ())]
        if not own:
            own = [name for name, origin in module.origins.items() if self._leads_to_model(origin, ())]
            own = [name for name in own if module.origins[name] not in _MODELS]
        bases = {base for name in own if name in module.classes for base in module._bases(module.classes[name])}
        return tuple(name for name in own if name not in bases)

    def _is_model(self, module: Module, name: str, seen: tuple[str, ...]) -> bool:
        node = module.classes.get(name)
        if node is None:
            return name in module.origins and self._leads_to_model(module.origins[name], seen)
        if (mark := f"{id(module)}.{name}") in seen:
            return False
        bases = [base for base in module._bases(node) if base]
        return any(
            self._is_model(module, base, (*seen, mark))
            if base in module.classes
            else self._leads_to_model(base, (*seen, mark))
            for base in bases
        )

    def _leads_to_model(self, dotted: str, seen: tuple[str, ...]) -> bool:
        if dotted in _MODELS:
            return True
        module_name, _, name = dotted.rpartition(".")
        if not module_name or dotted in seen or (module := self._module(module_name)) is None:
            return False
        return self._is_model(module, name, (*seen, dotted))

    def _module(self, name: str) -> Module | None:
        """A module of the folder; None for what is not one, or cannot be read."""
        if name not in self._modules:
            self._modules[name] = None
            if len(self._modules) <= _MAX_MODULES:
                self._modules[name] = self._read(name)
        return self._modules[name]

    def _read(self, name: str) -> Module | None:
        stem = self.path.joinpath(*name.split("."))
        for file, package in ((stem.with_suffix(".py"), name.rpartition(".")[0]), (stem / "__init__.py", name)):
            try:
                if inside(file, self.root) and file.is_file() and file.stat().st_size <= MAX_BYTES:
                    return self._parsed(file.read_bytes(), package)
            except (OSError, ValueError, UnreadableSource):
                return None
        return None

    def _parsed(self, text: bytes, package: str) -> Module | None:
        self._left -= _words(text)
        return parse(text, package) if self._left >= 0 else None


def parse(text: bytes, package: str = "") -> Module:
    """The syntax tree of a source file.

    Raises:
        UnreadableSource: it has a syntax error, is nested too deeply, or holds far too much.
    """
    if _words(text) > MOST_WORDS:
        raise UnreadableSource(f" holds more than {MOST_WORDS} words and marks: put data into files of its own")
    try:
        return Module(ast.parse(text), package)
    except SyntaxError as error:
        where = f", line {error.lineno}" if error.lineno else ""
        raise UnreadableSource(f"{where}: {error.msg}") from error
    except (RecursionError, MemoryError) as error:
        raise UnreadableSource(": nested too deeply") from error
    except ValueError as error:
        raise UnreadableSource(f": {error}") from error


def _words(text: bytes) -> int:
    """How many there are; of too many, one too many."""
    return sum(1 for _ in islice(_WORD.finditer(text), MOST_WORDS + 1))


def _flat(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    for node in body:
        yield node
        if isinstance(node, ast.If | ast.Try | ast.With):
            inner = [*node.body, *getattr(node, "orelse", ()), *getattr(node, "finalbody", ())]
            for handler in getattr(node, "handlers", ()):
                inner += handler.body
            yield from _flat(inner)
