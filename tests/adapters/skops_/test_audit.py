"""What a skops file names, and what of that may be loaded, from its schema alone."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from adapters.base import LoadError
from adapters.formats.pickles.policy import Refused
from adapters.skops_ import audit
from adapters.skops_.audit import SkopsSchema, read_schema


def node(name: str, loader: str = "ObjectNode", content: Any = None) -> dict[str, Any]:
    module, _, last = name.rpartition(".")
    return {"__module__": module, "__class__": last, "__loader__": loader, "content": content}


def test_what_it_names() -> None:
    schema = SkopsSchema(node("sklearn.svm._classes.SVC", content={"a": node("shop.Own"), "list": [node("pandas.X")]}))
    assert len(schema.nodes) == 3
    assert schema.uses("sklearn")
    assert schema.uses("pandas")
    assert not schema.uses("pand")
    assert schema.names("a")
    assert not schema.names("b")
    assert schema.unlisted == ("shop.Own",)


@pytest.mark.parametrize(
    ("name", "loader", "allowed"),
    [
        ("sklearn.svm._classes.SVC", "ObjectNode", True),
        ("sklearn.svm._classes.SVC", "FunctionNode", False),
        ("sklearn.tree._tree.Tree", "TreeNode", True),
        ("sklearn.tree._tree.Tree", "ObjectNode", False),
        ("numpy.add", "FunctionNode", True),
        ("os.system", "FunctionNode", False),
        ("collections.OrderedDict", "TypeNode", True),
        ("builtins.eval", "TypeNode", False),
        ("sklearn.svm._classes.SVC", "MethodNode", False),
    ],
)
def test_which_types_may_be_made_and_how(name: str, loader: str, allowed: bool) -> None:
    schema = SkopsSchema(node(name, loader))
    if allowed:
        schema.check([name])
        return
    with pytest.raises(Refused, match=name.replace(".", r"\.")):
        schema.check([name])
    schema.check([])  # what skops trusts of its own accord


def test_native_classes_are_not_made_by_their_new() -> None:
    neighbours = "sklearn.neighbors._kd_tree.KDTree"
    for name in (neighbours, "sklearn.svm._classes.SVC"):
        SkopsSchema(node(name)).check_made([name])
    gini = "sklearn.tree._criterion.Gini"
    with pytest.raises(Refused, match="without what belongs into it"):
        SkopsSchema(node(gini)).check_made([gini])
    SkopsSchema(node(gini)).check_made([])  # what skops trusts of its own accord


def test_a_type_that_no_node_names_is_refused() -> None:
    with pytest.raises(Refused, match=r"shop\.Own"):
        SkopsSchema(node("sklearn.svm._classes.SVC")).check(["shop.Own"])


@pytest.mark.parametrize(
    ("value", "allowed"),
    [
        (node("builtins.str", "JsonNode", '"word"'), True),
        (node("builtins.str", "JsonNode", '{"a": 1}'), False),
        (node("sklearn.svm._classes.SVC"), False),
    ],
)
def test_reserved_names_hold_words_alone(value: Any, allowed: bool) -> None:
    schema = SkopsSchema(node("builtins.dict", "DictNode", {"__array_interface__": value}))
    if allowed:
        schema.check([])
        return
    with pytest.raises(Refused, match="sets the reserved attribute __array_interface__"):
        schema.check([])


def written(path: Path, schema: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("schema.json", schema)
    return path


def test_a_schema_is_read(tmp_path: Path) -> None:
    assert read_schema(written(tmp_path / "m.skops", json.dumps(node("a.B")).encode())).tree == node("a.B")


@pytest.mark.parametrize("schema", [b"", b"[]", b"{}", b'{"__loader__": 3}', b"\xff"])
def test_a_schema_that_is_none(tmp_path: Path, schema: bytes) -> None:
    with pytest.raises(LoadError, match=r"m\.skops is no skops file"):
        read_schema(written(tmp_path / "m.skops", schema))


def test_files_that_are_none_or_bombs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "m.skops").write_bytes(b"PK")
    with pytest.raises(LoadError, match="no skops file, or a damaged one"):
        read_schema(tmp_path / "m.skops")
    bomb = written(tmp_path / "b.skops", b" " * 100_000)
    monkeypatch.setattr(audit, "_SCHEMA_LIMIT", 1000)
    with pytest.raises(LoadError, match=r"has a schema\.json of more than 1000 bytes"):
        read_schema(bomb)
    monkeypatch.setattr(audit, "_SMALL", 1000)
    with pytest.raises(LoadError, match="would unpack to 100000 bytes"):
        read_schema(bomb)
