"""Ways to hide a node somewhere in an ONNX file, by a random generator: the same seed hides it at the same place."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from tests.adapters.formats.messages import message
from tests.adapters.onnx_.models import FLOAT, INT64, constant, linear, node, value

BOOL = TensorProto.BOOL


def inner_graph(nodes: list[Any], output: str = "", kind: int = FLOAT) -> onnx.GraphProto:
    outputs = [value(output, kind, None)] if output else []
    return helper.make_graph(nodes, "inner", [], outputs, [])


def nested(rng: random.Random, hidden: onnx.NodeProto, depth: int, model: onnx.ModelProto) -> onnx.NodeProto:
    """A node that holds the other one, at that depth."""
    for level in range(depth):
        body = inner_graph([node("Identity", ["x"], [f"i{level}"]), hidden])
        other = inner_graph([node("Identity", ["x"], [f"o{level}"])])
        match rng.randrange(6):
            case 0:
                hidden = node("If", ["c"], [f"y{level}"], then_branch=body, else_branch=other)
            case 1:
                hidden = node("If", ["c"], [f"y{level}"], then_branch=other, else_branch=body)
            case 2:
                hidden = node("Loop", ["", "c"], [f"y{level}"], body=body)
            case 3:
                hidden = node("Scan", ["x"], [f"y{level}"], body=body, num_scan_inputs=1)
            case 4:
                hidden = node("SequenceMap", ["x"], [f"y{level}"], body=body)
            case _:
                domain, name = rng.choice(["pkg", "my.functions", ""]), f"f{level}"
                function = helper.make_function(domain, name, ["x"], ["y"], [hidden], [helper.make_opsetid("", 17)])
                if rng.random() < 0.3:  # a default of one of its attributes
                    function = helper.make_function(domain, name, ["x"], ["y"], [], [helper.make_opsetid("", 17)])
                    function.attribute_proto.append(helper.make_attribute("a", inner_graph([hidden])))
                if rng.random() < 0.5:
                    function.overload = "o"
                model.functions.append(function)
                hidden = node(name, ["x"], [f"y{level}"], domain=domain, overload=function.overload)
    return hidden


LISTS = (
    onnx.AttributeProto(type=onnx.AttributeProto.FLOATS, floats=[0.1 * i for i in range(15_000)]),
    onnx.AttributeProto(type=onnx.AttributeProto.INTS, ints=[(-3) ** (i % 40) for i in range(9_000)]),
    onnx.AttributeProto(type=onnx.AttributeProto.STRINGS, strings=[b"t" * (i % 300) for i in range(700)]),
    onnx.AttributeProto(type=onnx.AttributeProto.TENSORS, tensors=[constant(np.ones(3), "t")] * 5),
)


def long_lists(rng: random.Random, hidden: onnx.NodeProto) -> None:
    """Attributes of many elements before and behind whatever the node holds."""
    for number in range(rng.randrange(3)):
        at = rng.randrange(len(hidden.attribute) + 1)
        hidden.attribute.insert(at, rng.choice(LISTS))
        hidden.attribute[at].name = f"l{number}"


def file_with(rng: random.Random, hidden: onnx.NodeProto) -> bytes:
    """A whole model that holds the node."""
    model = linear()
    model.graph.initializer.append(constant(np.array(True), "c"))
    hidden = nested(rng, hidden, rng.randrange(7), model)
    long_lists(rng, hidden)
    match rng.randrange(6):
        case 0:
            model.graph.node.insert(0, hidden)
        case 1:
            model.graph.node.append(hidden)
        case 2:
            rng.choice([model.training_info.add().algorithm, model.training_info.add().initialization]).node.append(
                hidden
            )
        case 3:  # protobuf merges a graph that comes in parts
            second = onnx.ModelProto(graph=onnx.GraphProto(node=[hidden]))
            return bytes(model.SerializeToString() + second.SerializeToString())
        case 4:
            second = onnx.ModelProto(graph=onnx.GraphProto(node=[hidden]))
            return bytes(second.SerializeToString() + model.SerializeToString())
        case _:  # one node in parts: the last name counts
            parts = message(4, b"Relu") + message(7, b"") + hidden.SerializeToString()
            return bytes(model.SerializeToString() + message(7, message(1, parts)))
    return bytes(model.SerializeToString())


__all__ = ["BOOL", "INT64", "file_with", "inner_graph", "nested"]
