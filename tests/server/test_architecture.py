"""The layout of `server/` as ARCHITECTURE.md draws it: imports run downwards only, and no two files need each other.

Read from the syntax trees, imports within functions included: a lazy import is an arrow, too.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from bench.house import ImportGraph

#: packages (and modules directly inside `server/`) from the top to the bottom; no arrows within a row
FLOORS = (
    {"__main__"},
    {"cli"},
    {"app"},
    {"frontends"},
    {"api"},
    {"repository"},
    {"loading"},
    {"inference"},
    {"codec", "workers"},
    {"telemetry", "config", "runtime"},
    {"errors", "text"},
)
#: what a package of pure functions or of the operating system may know of the rest
CLOSED = {"codec": {"errors"}, "telemetry": {"errors"}, "runtime": {"errors", "text"}}
#: protocols that never import each other
PROTOCOLS = {"rest", "grpc"}

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def graph() -> ImportGraph:
    return ImportGraph.of(ROOT)


def test_imports_run_downwards_only(graph: ImportGraph) -> None:
    floor = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
    rooms = {graph.room(module) for module in graph.modules} - {""}
    assert rooms == set(floor), "a package that stands in no row of FLOORS, or a row without its package"
    upward = [
        f"{source} -> {target}"
        for source, target in graph.arrows
        if graph.room(target)
        and graph.room(source) != graph.room(target)
        and floor[graph.room(target)] <= floor[graph.room(source)]
    ]
    assert not upward


@pytest.mark.parametrize("room", CLOSED)
def test_what_is_pure_knows_nobody(graph: ImportGraph, room: str) -> None:
    known = {graph.room(target) for source, target in graph.arrows if graph.room(source) == room} - {room}
    assert known <= CLOSED[room]


def test_protocols_do_not_know_each_other(graph: ImportGraph) -> None:
    def protocol(module: str) -> str:
        return "".join({*module.split(".")[2:3]} & PROTOCOLS) if module.startswith("server.api.") else ""

    across = [
        f"{source} -> {target}"
        for source, target in graph.arrows
        if protocol(source) and protocol(target) and protocol(source) != protocol(target)
    ]
    assert not across


def test_no_files_need_each_other(graph: ImportGraph) -> None:
    assert graph.circles() == []


def test_few_rooms(graph: ImportGraph) -> None:
    assert len(graph.packages) <= 12
    assert len(graph.direct) <= 4


def test_a_breach_is_found(tmp_path: Path) -> None:
    """The rule itself, on a house with one arrow upward, hidden in a function, and a circle of two files."""
    server = tmp_path / "server"
    for room in ("codec", "loading"):
        (server / room).mkdir(parents=True)
        (server / room / "__init__.py").write_text("")
    (server / "__init__.py").write_text("")
    (server / "codec" / "v1.py").write_text("def read():\n    from server.loading import loader\n")
    (server / "loading" / "loader.py").write_text("from server.loading.trust import allowed\n")
    (server / "loading" / "trust.py").write_text("import server.loading.loader\n")
    graph = ImportGraph.of(tmp_path)
    assert ("server.codec.v1", "server.loading.loader") in graph.arrows
    assert graph.circles() == [["server.loading.loader", "server.loading.trust"]]


def test_kserve_stands_behind_one_wall(graph: ImportGraph) -> None:
    """But for its messages of gRPC. (User code in workers imports what it likes.)"""
    outside = [
        name
        for name, file in graph.files.items()
        if not name.startswith("server.api.kserve")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.ImportFrom | ast.Import) and _kserve(node)
    ]
    assert outside == []


def _kserve(node: ast.Import | ast.ImportFrom) -> bool:
    names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
    return any(name.split(".")[0] == "kserve" and not name.startswith("kserve.protocol.grpc") for name in names)
