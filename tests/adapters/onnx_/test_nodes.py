"""The nodes of an ONNX file, read from its bytes, against onnx itself."""

from __future__ import annotations

import random
from pathlib import Path

import onnx
import pytest

from adapters.formats.protobuf import Malformed
from adapters.onnx_ import nodes
from adapters.onnx_.nodes import OnnxGraph, read
from tests.adapters.formats.messages import message
from tests.adapters.onnx_.evasions import file_with
from tests.adapters.onnx_.models import linear, node


def counted(graph: OnnxGraph) -> int:
    return sum(1 + sum(map(counted, each.graphs)) for each in graph.nodes) + sum(map(counted, graph.graphs))


def nodes_of(graph: onnx.GraphProto | onnx.FunctionProto) -> int:
    return sum(1 + graphs_of(each.attribute) for each in graph.node)


def graphs_of(attributes: list[onnx.AttributeProto]) -> int:
    return sum(nodes_of(inner) for each in attributes for inner in [*each.graphs, each.g])


@pytest.mark.parametrize("seed", range(40))
def test_every_node_that_onnx_sees_is_found(tmp_path: Path, seed: int) -> None:
    content = file_with(random.Random(seed), node("Relu", ["x"], ["z"]))
    (tmp_path / "model.onnx").write_bytes(content)
    found, true = read(tmp_path / "model.onnx"), onnx.ModelProto.FromString(content)
    assert counted(found.graph) == nodes_of(true.graph)
    assert sum(counted(each) for bodies in found.functions.values() for each in bodies) == sum(
        nodes_of(each) + graphs_of(each.attribute_proto) for each in true.functions
    )
    assert sum(map(counted, found.training)) == sum(
        nodes_of(each.initialization) + nodes_of(each.algorithm) for each in true.training_info
    )
    assert [each.operator[1] for each in found.graph.nodes] == [each.op_type for each in true.graph.node]
    assert [each.inputs for each in found.graph.nodes] == [tuple(each.input) for each in true.graph.node]


@pytest.mark.parametrize("content", [b"\x3d\0\0\0\0" * 40_000, b"\x40\x85\x01" * 60_000, b"\x4a\x02ab" * 50_000])
def test_a_graph_behind_long_lists_is_found(tmp_path: Path, content: bytes) -> None:
    hidden = message(6, message(1, message(4, b"Mystery")))
    for attribute in (content + hidden, hidden + content, content + hidden + content):
        (tmp_path / "model.onnx").write_bytes(message(7, message(1, message(4, b"If") + message(5, attribute))))
        (outer,) = read(tmp_path / "model.onnx").graph.nodes
        assert [each.operator for each in outer.graphs[0].nodes] == [("", "Mystery")]


def test_what_it_costs_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model.onnx").write_bytes(message(7, message(1, b"") * 5000))
    assert len(read(tmp_path / "model.onnx").graph.nodes) == 5000
    monkeypatch.setattr(nodes, "MAX_PARTS", 3000)
    with pytest.raises(Malformed, match="more than 3000 parts"):
        read(tmp_path / "model.onnx")
    monkeypatch.setattr(nodes, "MAX_TEXTS", 3000)
    (tmp_path / "model.onnx").write_bytes(message(7, message(1, message(5, b"\x4a\x00" * 5000))))
    with pytest.raises(Malformed, match="more than 3000 texts"):
        read(tmp_path / "model.onnx")


def test_metadata_and_version_are_read(tmp_path: Path) -> None:
    model = linear()
    model.metadata_props.add(key="a", value="b")
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    found = read(tmp_path / "model.onnx")
    assert (found.metadata, found.ir_version, found.graph.constants) == ({"a"}, 10, {"weights"})
    assert (found.graph.inputs, found.graph.outputs) == (["x"], ["y"])
