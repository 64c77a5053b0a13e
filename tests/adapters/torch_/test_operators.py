"""The list of operators that a program may call: sound names, and none of what reaches beyond the process."""

from __future__ import annotations

import math
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from adapters.torch_.operators import CLASSES, HARMLESS, HIGHER_ORDER, is_higher_order, is_packet, spelt  # noqa: E402


def test_known_operators_are_torchs() -> None:
    """A name that torch does not have protects nobody: it is a slip of the pen."""
    registered = {schema.name for schema in torch._C._jit_get_all_schemas()}
    assert {kind for kind in HARMLESS if kind.startswith(("aten::", "quantized::"))} <= registered


@pytest.mark.parametrize(
    "kind",
    [
        "aten::save", "aten::from_file", "aten::set_", "aten::_reshape_alias", "aten::sparse_coo_tensor",
        "aten::relu_backward", "prim::PythonOp", "prim::CallOptional", "inductor::_reinterpret_tensor",
        "static_runtime::to_copy", "mkldnn::_linear_pointwise", "c10d::broadcast_", "higher_order::triton_kernel",
    ],
)  # fmt: skip
def test_what_reaches_beyond_its_arguments_is_not_on_the_list(kind: str) -> None:
    assert kind not in HARMLESS


@pytest.mark.parametrize(
    "kind",
    ["aten::relu", "aten::linear", "prim::If", "prims::add", "quantized::linear", "higher_order::cond",
     "torchvision::nms", "quantized_decomposed::quantize_per_tensor"],
)  # fmt: skip
def test_what_ordinary_programs_call_is_on_it(kind: str) -> None:
    assert kind in HARMLESS


def test_nothing_of_training_alone_is_on_it() -> None:
    assert [kind for kind in HARMLESS if kind.endswith("_backward")] == []


def test_names_are_whole_and_their_namespaces_known() -> None:
    namespaces = {kind.partition("::")[0] for kind in HARMLESS}
    assert namespaces == {
        "aten", "prim", "prims", "quantized", "higher_order", "quantized_decomposed", "torchvision",
    }  # fmt: skip
    assert all(name.isidentifier() for _, _, name in (kind.partition("::") for kind in HARMLESS))


def test_operators_of_higher_order_are_torchs_and_their_graphs_arguments() -> None:
    for name, graphs in HIGHER_ORDER.items():
        assert f"higher_order::{name}" in HARMLESS
        assert graphs
    assert is_higher_order(torch.ops.higher_order.cond)
    assert is_higher_order(torch.ops.higher_order.while_loop)


def test_native_classes_are_named_as_torch_registers_them() -> None:
    for name in CLASSES:
        assert torch._C._get_custom_class_python_wrapper(*name.split("."))


@pytest.mark.parametrize(
    ("kind", "source"),
    [("aten::relu", "torch.relu"), ("prim::min", "prim.min"), ("quantized::linear", "quantized.linear")],
)
def test_a_kind_is_spelt_as_a_source_spells_it(kind: str, source: str) -> None:
    assert spelt(kind) == source


@pytest.mark.parametrize(
    ("value", "higher", "packet"),
    [
        (torch.ops.aten.relu, False, True),
        (torch.ops.aten.relu.default, False, False),
        (torch.ops.higher_order.cond, True, False),
        (torch.relu, False, False),
        (math.sin, False, False),
        ("aten::relu", False, False),
    ],
    ids=["packet", "overload", "higher", "function", "python", "text"],
)
def test_what_kind_of_operator_a_value_is(value: Any, higher: bool, packet: bool) -> None:
    assert is_higher_order(value) is higher
    assert is_packet(value) is packet
