"""Graphs of exported programs: every name stands for something of the program's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapters.base import LoadError, ModelDir
from adapters.torch_ import TorchAdapter, exported
from adapters.torch_.exported_graphs import check_graphs

torch = pytest.importorskip("torch")

from torch.fx import Graph, GraphModule  # noqa: E402

from tests.adapters.torch_ import models as m  # noqa: E402
from tests.adapters.torch_.test_exported_audit import rewritten  # noqa: E402


class Part(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(4, 2)
        self.register_buffer("offset", torch.ones(2))
        self.factor = torch.full((2,), 3.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x) * self.factor + self.offset


class Sound(torch.nn.Module):
    """Parameters, buffers and constants below modules, and operators that call graphs."""

    def __init__(self) -> None:
        super().__init__()
        self.part = Part()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            y = torch.relu(x)
        y = torch.cond(y.sum() > 0, lambda y: y + 1.0, lambda y: y - 1.0, (y,))
        return self.part(y)


@pytest.mark.slow
def test_a_program_with_graphs_of_its_own_passes(tmp_path: Path) -> None:
    module = Sound().eval()
    m.export(module, [torch.zeros(2, 4, requires_grad=True)], tmp_path / "model.pt2", None)
    program, loaded = exported.load(ModelDir.of(tmp_path), "model.pt2")
    assert any("graph" in name for name, _ in loaded.named_modules())
    rows = np.ones((2, 4), np.float32)
    with torch.inference_mode():
        expected = module(torch.from_numpy(rows)).numpy()
    adapter = TorchAdapter.load(ModelDir.of(tmp_path), "model.pt2", {})
    (answer,) = adapter.predict({adapter.signature.inputs[0].name: rows}, {}).values()
    assert np.array_equal(answer, expected)
    assert program is not None


def test_a_value_does_not_hide_the_module(tmp_path: Path) -> None:
    """It would be `self = torch.ops...`, and `self.name` then an attribute of a tensor."""
    path = m.export(m.mlp(), [torch.zeros(2, 4)], tmp_path / "model.pt2", None)
    rewritten(path, {"models/model.json": lambda data: data.replace(b'"relu"', b'"self"')})
    with pytest.raises(LoadError, match="calls a value 'self', which means something else"):
        exported.load(ModelDir.of(tmp_path), "model.pt2")


def _module(build: Callable[[Graph], Any]) -> GraphModule:
    module = GraphModule(torch.nn.Module(), _identity())
    module.weight = torch.nn.Parameter(torch.ones(2))
    module.branch = GraphModule(torch.nn.Module(), _identity())
    graph = Graph()
    graph.placeholder("x")
    graph.output(build(graph))
    module.graph = graph
    return module


def _identity() -> Graph:
    graph = Graph()
    graph.output(graph.placeholder("z"))
    return graph


NO_GRAD = torch.ops.higher_order.wrap_with_set_grad_enabled
RELU = torch.ops.aten.relu.default


def _get(graph: Graph, path: str) -> Any:
    return graph.create_node("get_attr", path)


SOUND: dict[str, Callable[[Graph], Any]] = {
    "parameter": lambda graph: graph.call_function(torch.ops.aten.add.Tensor, (_get(graph, "weight"), 1)),
    "graph that is called": lambda graph: graph.call_function(NO_GRAD, (False, _get(graph, "branch"), 1)),
}
FOREIGN: dict[str, tuple[Callable[[Graph], Any], str]] = {
    "self": (lambda graph: graph.create_node("call_function", RELU, (1,), name="self"), "means something else"),
    "method of the module": (lambda graph: _get(graph, "to_folder"), "neither a tensor nor a graph"),
    "attribute of a tensor": (lambda graph: _get(graph, "weight.numpy"), "neither a tensor nor a graph"),
    "way out of a graph": (lambda graph: _get(graph, "branch.graph.owning_module"), "neither a tensor nor a graph"),
    "what a node remembers": (lambda graph: _get(graph, "branch.graph._root._next.meta"), "neither a tensor nor"),
    "nothing": (lambda graph: _get(graph, "absent"), "neither a tensor nor a graph"),
    "method of a value": (lambda graph: graph.call_method("numpy", (_get(graph, "weight"),)), "is a call_method"),
    "module that is called": (lambda graph: graph.call_module("branch", (1,)), "is a call_module"),
    "value that is called": (lambda graph: graph.call_function(NO_GRAD, (False, 1, 1)), "than a graph"),
    "tensor that is called": (
        lambda graph: graph.call_function(NO_GRAD, (False, _get(graph, "weight"))), "than a graph",
    ),
    "called by name": (
        lambda graph: graph.call_function(NO_GRAD, (False,), {"wrapped_func": _get(graph, "branch")}), "than a graph",
    ),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", SOUND)
def test_what_is_its_own_passes(name: str) -> None:
    check_graphs("model.pt2", _module(SOUND[name]))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", FOREIGN)
def test_what_leads_beyond_the_program_is_refused(name: str) -> None:
    build, reason = FOREIGN[name]
    with pytest.raises(LoadError, match=rf"{reason}.*trust: full"):
        check_graphs("model.pt2", _module(build))
