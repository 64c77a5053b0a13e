"""Graphs composed at random that hide an operation: in functions, branches, defaults and names of names.

The same composition around a harmless operation has to stay harmless.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from adapters.tensorflow_.graph import frozen_graph, meta_graphs
from adapters.tensorflow_.scan import GraphScan, judge, judge_frozen

FORBIDDEN = ("ReadFile", "XlaCallModule", "PyFunc", "ImmutableConst", "Abort", "NoSuchOperation", "RestoreV2", "SaveV2")
HARMLESS = ("Relu", "MatMul", "StringUpper", "TensorScatterAdd", "Where", "SparseReorder", "ParseExampleV2")


@dataclass
class Composer:
    """Puts one operation into a GraphDef, deep down."""

    random: random.Random
    graph: Any
    count: int = 0

    def fresh(self) -> str:
        self.count += 1
        return f"n{self.count}"

    def place(self, nodes: Any, op: str, depth: int) -> str:
        """Make `nodes` run the operation, and return the node that has to be fetched for it."""
        node = nodes.add(name=self.fresh(), op=op)
        for _ in range(depth):
            node = self.random.choice(WAYS)(self, nodes, node)
        return str(node.name)

    def function(self, node: Any, nodes: Any) -> str:
        """A function whose body the node becomes."""
        function = self.graph.library.function.add()
        function.signature.name = self.fresh()
        function.signature.input_arg.add(name="x")
        function.node_def.add().CopyFrom(node)
        nodes.remove(node)
        return str(function.signature.name)


def _called(composer: Composer, nodes: Any, node: Any) -> Any:
    name = composer.function(node, nodes)
    call = nodes.add(name=composer.fresh(), op=composer.random.choice(["PartitionedCall", "StatefulPartitionedCall"]))
    call.attr["f"].func.name = name
    return call


def _by_its_name(composer: Composer, nodes: Any, node: Any) -> Any:
    name = composer.function(node, nodes)
    return nodes.add(name=composer.fresh(), op=name)


def _branch(composer: Composer, nodes: Any, node: Any) -> Any:
    name = composer.function(node, nodes)
    op, attribute = composer.random.choice(
        [("If", "else_branch"), ("StatelessIf", "then_branch"), ("While", "cond"), ("For", "body"), ("MapDefun", "f")]
    )
    branch = nodes.add(name=composer.fresh(), op=op)
    branch.attr[attribute].func.name = name
    return branch


def _case(composer: Composer, nodes: Any, node: Any) -> Any:
    name = composer.function(node, nodes)
    case = nodes.add(name=composer.fresh(), op="Case")
    for each in ("missing", name):
        case.attr["branches"].list.func.add(name=each)
    return case


def _handed_on(composer: Composer, nodes: Any, node: Any) -> Any:
    """The function is an attribute of the function that is called, whose body names a placeholder."""
    name = composer.function(node, nodes)
    outer = composer.graph.library.function.add()
    outer.signature.name = composer.fresh()
    outer.signature.attr.add(name="fn", type="func")
    outer.node_def.add(name="inner", op="PartitionedCall").attr["f"].placeholder = "fn"
    call = nodes.add(name=composer.fresh(), op="PartitionedCall")
    call.attr["f"].func.name = outer.signature.name
    call.attr["f"].func.attr["fn"].func.name = name
    return call


def _default(composer: Composer, nodes: Any, node: Any) -> Any:
    """The function is what another one's attribute is by default."""
    name = composer.function(node, nodes)
    outer = composer.graph.library.function.add()
    outer.signature.name = composer.fresh()
    outer.signature.attr.add(name="fn", type="func").default_value.func.name = name
    outer.node_def.add(name="inner", op="PartitionedCall").attr["f"].placeholder = "fn"
    return nodes.add(name=composer.fresh(), op=outer.signature.name)


def _swapped(composer: Composer, nodes: Any, node: Any) -> Any:
    """The optimizer may put the function in another's place."""
    name = composer.function(node, nodes)
    for function in composer.graph.library.function:
        if function.signature.name == name:
            function.attr["api_implements"].s = b"same"
    twin = composer.graph.library.function.add()
    twin.signature.name = composer.fresh()
    twin.attr["api_implements"].s = b"same"
    return nodes.add(name=composer.fresh(), op=twin.signature.name)


def _input(composer: Composer, nodes: Any, node: Any) -> Any:
    return nodes.add(name=composer.fresh(), op="Identity", input=[f"{node.name}:{composer.random.randint(0, 2)}"])


def _control(composer: Composer, nodes: Any, node: Any) -> Any:
    return nodes.add(name=composer.fresh(), op="Identity", input=[f"^{node.name}"])


WAYS = [_called, _by_its_name, _branch, _case, _handed_on, _default, _swapped]


def composed(seed: int, op: str, folder: Path) -> GraphScan:
    """What the scan says of a SavedModel or a frozen graph with the operation in it."""
    from tensorflow.core.protobuf import saved_model_pb2

    random_ = random.Random(seed)
    saved = saved_model_pb2.SavedModel()
    meta = saved.meta_graphs.add()
    meta.meta_info_def.tags.append("serve")
    composer = Composer(random_, meta.graph_def)
    nodes = meta.graph_def.node
    wanted = composer.place(nodes, op, random_.randint(0, 6))
    if random_.random() < 0.5:
        node = next(each for each in nodes if each.name == wanted)
        wanted = random_.choice([_input, _control])(composer, nodes, node).name
    if random_.random() < 0.3:
        (folder / "model.pb").write_bytes(meta.graph_def.SerializeToString())
        return judge_frozen(frozen_graph(folder / "model.pb"))
    nodes.add(name="y", op="Placeholder")
    meta.signature_def["serving_default"].outputs["y"].name = "y:0"
    where = random_.choice(["signature", "another", "initializer", "restore"])
    if where == "signature":
        meta.signature_def["serving_default"].outputs["z"].name = f"{wanted}:0"
    elif where == "another":
        part = meta.signature_def["other"].outputs["z"].coo_sparse
        part.values_tensor_name = f"{wanted}:1"
    elif where == "initializer":
        meta.collection_def["saved_model_main_op"].node_list.value.append(wanted)
    else:
        meta.saver_def.restore_op_name, meta.saver_def.filename_tensor_name = wanted, "path:0"
    (folder / "saved_model.pb").write_bytes(saved.SerializeToString())
    return judge(meta_graphs(folder / "saved_model.pb")[0])


@pytest.mark.parametrize("seed", range(150))
def test_what_is_hidden_is_found(seed: int, tmp_path: Path) -> None:
    random_ = random.Random(seed)
    bad, good = random_.choice(FORBIDDEN), random_.choice(HARMLESS)
    assert composed(seed, bad, tmp_path).offences == (bad,)
    assert composed(seed, good, tmp_path) == GraphScan(steady=composed(seed, good, tmp_path).steady)


def test_a_restore_of_another_path_is_an_offence(tmp_path: Path) -> None:
    from tensorflow.core.protobuf import saved_model_pb2

    for path, found in (("path", ()), ("^path", ("RestoreV2",)), ("other", ("RestoreV2",))):
        saved = saved_model_pb2.SavedModel()
        meta = saved.meta_graphs.add()
        for name in ("path", "other"):
            meta.graph_def.node.add(name=name, op="Const")
        meta.graph_def.node.add(name="same", op="Identity", input=[path])
        meta.graph_def.node.add(name="call", op="restoring", input=["other", "same"])
        function = meta.graph_def.library.function.add()
        function.signature.name = "restoring"
        for argument in ("a", "b"):
            function.signature.input_arg.add(name=argument)
        function.node_def.add(name="i", op="Identity", input=["b"])
        function.node_def.add(name="r", op="RestoreV2", input=["i:output:0", "a", "a"])
        meta.saver_def.restore_op_name, meta.saver_def.filename_tensor_name = "call", "path:0"
        (tmp_path / "saved_model.pb").write_bytes(saved.SerializeToString())
        assert judge(meta_graphs(tmp_path / "saved_model.pb")[0]).offences == found


@pytest.mark.slow
def test_calls_without_end_take_no_time(tmp_path: Path) -> None:
    """Each function calls the next in two ways, of which each is followed: two to the power of forty ways."""
    from tensorflow.core.protobuf import saved_model_pb2

    saved = saved_model_pb2.SavedModel()
    meta = saved.meta_graphs.add()
    names = [f"a{index}" for index in range(40)]
    for depth in range(3000):
        function = meta.graph_def.library.function.add()
        function.signature.name = f"f{depth}"
        for name in names:
            function.signature.input_arg.add(name=name)
        for shift in (1, 2):
            function.node_def.add(name=f"n{shift}", op=f"f{depth + 1}", input=names[shift:] + ["n1:o:0"] * shift)
    meta.graph_def.node.add(name="p", op="Const")
    meta.graph_def.node.add(name="call", op="f0", input=["p"] * 40)
    meta.signature_def["serving_default"].outputs["z"].name = "call:0"
    meta.asset_file_def.add(filename="f").tensor_info.name = "p:0"
    (tmp_path / "saved_model.pb").write_bytes(saved.SerializeToString())
    assert judge(meta_graphs(tmp_path / "saved_model.pb")[0]).offences == ("f3000",)
