"""What the graphs of a loaded exported program would read and call, looked through before the first of them runs.

`torch.fx` writes a graph's nodes as Python source, and names lead where Python leads them: a value that is called
`self` hides the module, and a path of attributes may leave it. Operators of higher order call what they are given. So
here every name stands for what the graph means by it: a tensor or a graph of the program's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from adapters.torch_.operators import HIGHER_ORDER, is_higher_order
from adapters.torch_.records import RefusedArchive

_NODES = ("placeholder", "get_attr", "call_function", "output")


def check_graphs(file: str, module: Any) -> None:
    """Refuse a program one of whose graphs reaches beyond it.

    Raises:
        LoadError: naming the node.
    """
    import torch

    for part in module.modules():
        if isinstance(part, torch.fx.GraphModule):
            for problem in _problems(part):
                raise RefusedArchive(file, problem)


def _problems(part: Any) -> Iterator[str]:
    import torch

    reserved = {"self", "torch", *part.graph.python_code("self").globals}
    for node in part.graph.nodes:
        if node.name in reserved:
            yield f"calls a value {node.name!r}, which means something else"
        if node.op not in _NODES:
            yield f"has a node that is a {node.op}"
        if node.op == "get_attr" and not isinstance(_own(part, node.target), torch.Tensor | torch.fx.GraphModule):
            yield f"reads {node.target!r}, which is neither a tensor nor a graph of its own"
        if is_higher_order(node.target) and not _calls_graphs(part, node):
            yield f"has {node.target.name()} call something else than a graph"


def _calls_graphs(part: Any, node: Any) -> bool:
    import torch

    slots = HIGHER_ORDER.get(node.target.name())
    if slots is None:
        return False
    called = [node.args[slot] if slot < len(node.args) else None for slot in slots]
    return all(
        isinstance(each, torch.fx.Node)
        and each.op == "get_attr"
        and isinstance(_own(part, each.target), torch.fx.GraphModule)
        for each in called
    )


def _own(part: Any, path: str) -> Any:
    """What a module has by that path, by what was put into it: never an attribute of its class, nor of a value."""
    import torch

    found = part
    for name in path.split("."):
        if not isinstance(found, torch.nn.Module) or hasattr(type(found), name):
            return None
        kept = (found._modules, found._parameters, found._buffers, vars(found))
        found = next((each[name] for each in kept if name in each), None)
    return found
