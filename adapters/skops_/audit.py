"""What a skops file names, and what of it may be loaded. Standard library and the pickle policy only.

A skops file is a zip of arrays and `schema.json`, a tree of nodes that each name a class and how it is made. skops
itself trusts a list of types; of the others it loads those it is told to, in whatever way the file asks. Here a type
is allowed as the pickle policy allows it, and only in the ways that call no constructor with the file's arguments.
"""

from __future__ import annotations

import sys
import zipfile
import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from adapters.base import LoadError
from adapters.formats import json_text, zip_file
from adapters.formats.pickles.natives import check_object_node
from adapters.formats.pickles.policy import LIBRARIES, Refused, Use, dotted, judge, refusal

__all__ = ["SkopsSchema", "read_schema"]

SCHEMA = "schema.json"
_SCHEMA_LIMIT = 1 << 26  # bytes: a forest of a thousand trees takes some megabytes
_MAX_ENTRIES = 1_000_000
_SMALL, _MAX_RATIO = 1 << 28, 200  #: bytes that any archive may unpack to, and how many times its size a larger one

#: how a node makes its object -> what the pickle policy must say of the class for it
_WAYS: dict[str, frozenset[Use]] = {
    "ObjectNode": frozenset({Use.CLASS}),  # by `__new__`, and a state
    "DictNode": frozenset({Use.CLASS}),  # by a constructor without arguments
    "FunctionNode": frozenset({Use.FUNCTION}),
    "TreeNode": frozenset({Use.CALL}),
    "LossNode": frozenset({Use.CALL}),
}
_KNOWN = frozenset({"quantile_forest", *LIBRARIES, *sys.stdlib_module_names})
_PLAIN = frozenset({"JsonNode", "NdArrayNode"})  #: nodes that hold numbers and texts
#: what zipfile and json raise on files that are none, damaged or encrypted
_DAMAGE = (OSError, ValueError, KeyError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True)
class SkopsSchema:
    """The parsed `schema.json`."""

    tree: dict[str, Any]

    @cached_property
    def nodes(self) -> tuple[dict[str, Any], ...]:
        return tuple(_nodes(self.tree))

    def uses(self, library: str) -> bool:
        """Whether a node names anything of that library."""
        return any(str(node.get("__module__")).partition(".")[0] == library for node in self.nodes)

    def names(self, attribute: str) -> bool:
        """Whether an object has an attribute (or a dict a key) of that name."""
        return any(isinstance(content := node.get("content"), dict) and attribute in content for node in self.nodes)

    @cached_property
    def unlisted(self) -> tuple[str, ...]:
        """What it names, dotted, of libraries that neither skops nor the policy knows anything of."""
        named = ((str(node.get("__module__")), str(node.get("__class__"))) for node in self.nodes)
        return tuple(dict.fromkeys(dotted(*name) for name in named if name[0].partition(".")[0] not in _KNOWN))

    def check(self, untrusted: Collection[str]) -> None:
        """Check the types that skops does not trust of its own accord, and what objects are told to carry.

        Raises:
            Refused: one is not of a known library, or made in a way that could run code.
        """
        unseen = dict.fromkeys(untrusted)
        refused: dict[str, None] = {}
        for node in self.nodes:
            name = f"{node.get('__module__')}.{node.get('__class__')}"
            if name in untrusted:
                unseen.pop(name, None)
                if not _allowed(node):
                    refused[name] = None
        if refused or unseen:
            raise Refused(refusal([dotted(*name.rpartition(".")[::2]) for name in (*refused, *unseen)]))
        self._check_attributes()

    def check_made(self, untrusted: Collection[str]) -> None:
        """Check that no class of native code is made without what belongs into it; classes are imported for that.

        Raises:
            Refused: one is.
        """
        made = {(node["__module__"], node["__class__"]) for node in self.nodes if node["__loader__"] == "ObjectNode"}
        for module, name in made:
            if f"{module}.{name}" in untrusted:
                check_object_node(module, name)

    def _check_attributes(self) -> None:
        """Reserved names may hold a number or a text (a vocabulary has such words), and nothing that numpy follows."""
        rich = {node.get("__id__") for node in self.nodes if not _is_plain(node)} - {None}
        for node in self.nodes:
            content = node.get("content")
            for key, value in content.items() if isinstance(content, dict) else ():
                reserved = node["__loader__"] == "DictNode" and key.startswith("__") and key.endswith("__")
                if reserved and not (_is_plain(value) and value.get("__id__") not in rich):
                    raise Refused(f"sets the reserved attribute {key}, as no known library's model does")


def read_schema(path: Path) -> SkopsSchema:
    """The schema of a skops file.

    Raises:
        LoadError: it is no skops file, damaged, or unpacks to far more than its size.
    """
    try:
        with zip_file.opened(path) as archive:
            _check_size(archive.infolist(), path)
            tree = json_text.loads(zip_file.contents(archive, SCHEMA))
    except _DAMAGE as error:
        raise LoadError(f"{path.name} is no skops file, or a damaged one: {error}") from error
    if not isinstance(tree, dict) or not isinstance(tree.get("__loader__"), str):
        raise LoadError(f"{path.name} is no skops file: its {SCHEMA} describes no object")
    return SkopsSchema(tree)


def _check_size(entries: list[zipfile.ZipInfo], path: Path) -> None:
    unpacked = sum(entry.file_size for entry in entries)
    if unpacked > max(_SMALL, _MAX_RATIO * path.stat().st_size) or len(entries) > _MAX_ENTRIES:
        raise LoadError(f"{path.name} would unpack to {unpacked} bytes in {len(entries)} entries; it was not loaded")
    if any(entry.filename == SCHEMA and entry.file_size > _SCHEMA_LIMIT for entry in entries):
        raise LoadError(f"{path.name} has a {SCHEMA} of more than {_SCHEMA_LIMIT} bytes; it was not loaded")


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    waiting = [tree]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if isinstance(value.get("__loader__"), str):
                yield value
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)


def _allowed(node: dict[str, Any]) -> bool:
    module, name = str(node.get("__module__")), str(node.get("__class__"))
    if node["__loader__"] == "TypeNode":  # of a defaultdict
        return (module, name) == ("collections", "OrderedDict")
    return judge(module, name) in _WAYS.get(node["__loader__"], ())


def _is_plain(node: Any) -> bool:
    if not isinstance(node, dict) or node.get("__loader__") not in _PLAIN:
        return False
    content = node.get("content")
    return not isinstance(content, list) and not str(content).lstrip().startswith(("{", "["))
