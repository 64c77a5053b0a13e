"""TensorFlow's graphs from their files' bytes: as TensorFlow reads them, and by messages written by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from adapters.formats.protobuf import Malformed
from adapters.tensorflow_ import graph as graphs
from adapters.tensorflow_.graph import Function, Graph, MetaGraph, Node, frozen_graph, meta_graphs
from tests.adapters.formats.messages import message, varint
from tests.adapters.tensorflow_ import models


def text(number: int, value: str) -> bytes:
    return message(number, value.encode())


def attribute(name: str, value: bytes) -> bytes:
    """An entry of a node's or a function's attributes."""
    return message(5, text(1, name) + message(2, value))


def calls(*names: str) -> bytes:
    """An attribute's value that names one function, or several."""
    if len(names) == 1:
        return message(10, text(1, names[0]))
    return message(1, b"".join(message(9, text(1, name)) for name in names))


def node(name: str, op: str, *inputs: str, more: bytes = b"") -> bytes:
    return text(1, name) + text(2, op) + b"".join(text(3, each) for each in inputs) + more


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def saved(path: Path, *metas: bytes) -> list[MetaGraph]:
    data = b"\x08\x01" + b"".join(message(2, meta) for meta in metas)
    return meta_graphs(written(path, data))


@pytest.fixture(params=[False, True], ids=["in memory", "piece by piece"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test reads its files both ways."""
    if request.param:
        monkeypatch.setattr(graphs, "IN_MEMORY", 0)


@pytest.mark.slow  # TensorFlow alone takes seconds to import
def test_graphs_are_read_as_tensorflow_reads_them(tmp_path: Path) -> None:
    from tensorflow.core.protobuf import saved_model_pb2

    folder = models.everything(tmp_path / "m")
    (ours,) = meta_graphs(folder / "saved_model.pb")
    theirs = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes()).meta_graphs[0]
    assert ours.tags == set(theirs.meta_info_def.tags)
    assert (ours.filename, ours.restore) == (
        theirs.saver_def.filename_tensor_name,
        theirs.saver_def.restore_op_name,
    )
    assert set(ours.fetched) >= {info.name for s in theirs.signature_def.values() for info in s.outputs.values()}
    assert list(ours.graph.nodes) == [node.name for node in theirs.graph_def.node]
    assert [_plain(node) for node in ours.graph.nodes.values()] == [_theirs(node) for node in theirs.graph_def.node]
    for function in theirs.graph_def.library.function:
        mine: Function = ours.graph.functions[function.signature.name]
        assert mine.arguments == tuple(argument.name for argument in function.signature.input_arg)
        assert [_plain(node) for node in mine.nodes] == [_theirs(node) for node in function.node_def]


def _plain(node: Node) -> tuple[Any, ...]:
    return node.name, node.op, node.inputs, sorted(node.functions)


def _theirs(node: Any) -> tuple[Any, ...]:
    named = [each.func.name for each in node.attr.values() if each.HasField("func")]
    named += [function.name for each in node.attr.values() for function in each.list.func]
    return node.name, node.op, tuple(node.input), sorted(named)


def test_nodes_of_a_frozen_graph(tmp_path: Path) -> None:
    attributes = attribute("f", calls("body")) + attribute("g", calls("a", "b")) + attribute("T", b"\x30\x01")
    data = message(1, node("x", "Placeholder")) + message(1, node("y", "While", "x:1", "^x", more=attributes))
    assert frozen_graph(written(tmp_path / "m.pb", data)) == Graph(
        {
            "x": Node("x", "Placeholder", (), ()),
            "y": Node("y", "While", ("x:1", "^x"), ("body", "a", "b")),
        }
    )


def test_functions_named_within_functions_names_are_found(tmp_path: Path) -> None:
    nested = message(10, text(1, "outer") + message(2, text(1, "f") + message(2, calls("inner"))))
    data = message(1, node("y", "If", more=attribute("f", nested)))
    assert frozen_graph(written(tmp_path / "m.pb", data)).nodes["y"].functions == ("outer", "inner")


def test_texts_are_kept_of_operations_that_write_by_them(tmp_path: Path) -> None:
    attributes = attribute("output_stream", message(2, b"file:///tmp/x")) + attribute("end", message(2, b"\xff\n"))
    data = message(1, node("p", "PrintV2", more=attributes)) + message(1, node("q", "Print", more=attributes))
    nodes = frozen_graph(written(tmp_path / "m.pb", data)).nodes
    assert nodes["p"].texts == (("output_stream", b"file:///tmp/x"), ("end", b"\xff\n"))
    assert nodes["q"].texts == ()


def test_a_function_is_its_arguments_its_nodes_and_what_it_names(tmp_path: Path) -> None:
    default = message(4, text(1, "g") + message(3, calls("by_default")))
    signature = text(1, "f") + message(2, text(1, "a")) + message(2, text(1, "b") + text(5, "T")) + default
    body = message(1, signature) + message(3, node("n", "Add", "a", "b")) + attribute("h", calls("named"))
    swappable = message(1, text(1, "s")) + attribute("api_implements", message(2, b"lstm"))
    data = message(2, message(1, body) + message(1, swappable))
    assert frozen_graph(written(tmp_path / "m.pb", data)).functions == {
        "f": Function(("a", "b"), (Node("n", "Add", ("a", "b"), ()),), False, ("by_default", "named")),
        "s": Function((), (), True),
    }


def test_a_saved_model_tells_what_is_run_of_each_graph(tmp_path: Path) -> None:
    outputs = {
        "plain": text(1, "y:0"),
        "sparse": message(4, text(1, "v:0") + text(2, "i:0") + text(3, "s:0")),
        "composite": message(5, message(2, text(1, "part:0"))),
    }
    taken = text(1, "x") + message(2, text(1, "x:0"))
    signature = b"".join(message(2, text(1, name) + message(2, info)) for name, info in outputs.items())
    meta = (
        message(1, text(4, "serve") + text(4, "gpu"))
        + message(2, message(1, node("y", "Identity")))
        + message(3, text(1, "file:0") + text(3, "restore_all"))
        + message(4, text(1, "saved_model_main_op") + message(2, message(1, text(1, "init"))))
        + message(5, text(1, "serving_default") + message(2, message(1, taken) + signature))
        + message(6, message(1, text(1, "vocab:0")) + text(2, "words.txt"))
    )
    assert saved(tmp_path / "m.pb", meta, message(1, text(4, "train"))) == [
        MetaGraph(
            {"serve", "gpu"},
            Graph({"y": Node("y", "Identity", (), ())}),
            "file:0",
            "restore_all",
            ["init", "y:0", "v:0", "i:0", "s:0", "part:0"],
            {"vocab:0": "words.txt"},
            ["x:0"],
        ),
        MetaGraph({"train"}),
    ]


def test_parts_of_one_graph_are_one_as_protobuf_merges_them(tmp_path: Path) -> None:
    first = message(2, message(1, node("a", "NoOp"))) + message(3, text(1, "file:0") + text(3, "restore"))
    second = message(2, message(1, node("b", "NoOp"))) + message(3, text(3, "other"))
    (found,) = saved(tmp_path / "m.pb", first + second)
    assert list(found.graph.nodes) == ["a", "b"]
    assert (found.filename, found.restore) == ("file:0", "other")


def test_signatures_without_end_are_malformed(tmp_path: Path) -> None:
    def nested(depth: int) -> bytes:
        info = text(1, "y:0")
        for _ in range(depth):
            info = message(5, message(2, info))
        return message(5, text(1, "s") + message(2, message(2, text(1, "o") + message(2, info))))

    assert saved(tmp_path / "m.pb", nested(8))[0].fetched == ["y:0"]
    with pytest.raises(Malformed, match="nested too deep"):
        saved(tmp_path / "m.pb", nested(9))


def test_names_that_are_no_text_are_shown_all_the_same(tmp_path: Path) -> None:
    data = message(1, message(1, b"\xffx") + text(2, "NoOp"))
    assert list(frozen_graph(written(tmp_path / "m.pb", data)).nodes) == ["\N{REPLACEMENT CHARACTER}x"]


@pytest.mark.parametrize("read", [meta_graphs, frozen_graph])
def test_a_file_that_is_cut_is_malformed(read: Any, tmp_path: Path) -> None:
    graph = message(1, node("y", "While", "x:1", more=attribute("f", calls("body"))))
    data = graph if read is frozen_graph else message(2, message(2, graph))
    read(written(tmp_path / "whole.pb", data))
    for end in range(1, len(data)):
        with pytest.raises(Malformed):
            read(written(tmp_path / "m.pb", data[:end]))


def test_fields_of_another_kind_are_passed_over(tmp_path: Path) -> None:
    numbers = b"".join(varint(number << 3) + b"\x05" for number in range(1, 7))
    (found,) = saved(tmp_path / "m.pb", numbers)
    assert found == MetaGraph()
    data = message(1, numbers + node("y", "NoOp")) + message(2, message(1, numbers)) + numbers
    assert frozen_graph(written(tmp_path / "n.pb", data)) == Graph(
        {"y": Node("y", "NoOp", (), ())}, {"": Function((), (), False)}
    )


def test_fields_of_all_messages_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred thousand a second and more, which the server's own process walks through before it trusts the file."""
    monkeypatch.setattr(graphs, "MAX_FIELDS", 100)
    few = b"".join(message(1, node(f"n{number}", "NoOp")) for number in range(33))
    assert len(frozen_graph(written(tmp_path / "few.pb", few)).nodes) == 33
    for more in (few + message(1, node("n", "NoOp")), message(1, b"\x08\x01" * 101), b"\x08\x01" * 101):
        with pytest.raises(Malformed, match="it holds more than 100 fields, as no model's graph does"):
            frozen_graph(written(tmp_path / "many.pb", more))
