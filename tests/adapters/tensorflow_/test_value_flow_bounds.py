"""Graphs that nobody made to compute anything: what is written once and read by each node takes no time for each.

They are looked at in the server's own process, before trust and trial. As it was, each took minutes to hours.
"""

from __future__ import annotations

from adapters.tensorflow_.graph import Function, Graph, MetaGraph, Node
from adapters.tensorflow_.scan import judge, judge_frozen
from adapters.tensorflow_.value_flow import sized_by_values

MANY = 30_000
NAMES = tuple(f"r{number}" for number in range(MANY))


def of(*nodes: Node, **functions: Function) -> Graph:
    return Graph({node.name: node for node in nodes}, functions)


def test_results_that_are_read_by_name() -> None:
    """The last of as many, by as many nodes; and one that there is not."""
    f = Function(("x",), (), False, (), tuple((name, "x") for name in NAMES))
    for reference in (f"c:{NAMES[-1]}:0", "c::99999999"):
        readers = [Node(f"n{number}", "Identity", (reference,), ()) for number in range(MANY)]
        graph = of(Node("x", "Placeholder", (), ()), Node("c", "F", ("x",), ()), *readers, F=f)
        assert "too many" in sized_by_values(graph, graph.nodes, ["x"]) or reference.endswith(":0")


def test_functions_of_many_arguments_that_many_call() -> None:
    f = Function(NAMES, (), False)
    graph = of(*(Node(f"n{number}", "F", ("x",), ()) for number in range(MANY)), F=f)
    assert sized_by_values(graph, graph.nodes, ["x"]) == "its loops and branches are too many to follow"


def test_one_node_of_many_inputs_that_calls_many() -> None:
    functions = {name: Function((), (), False) for name in NAMES}
    graph = of(Node("n", "Case", ("x",) * MANY, (*NAMES, *NAMES)), **functions)
    assert judge_frozen(graph).offences == ()
    assert judge(MetaGraph(graph=graph, fetched=["n"], filename="x:0")).sized


def test_branches_of_which_one_has_many_results() -> None:
    wide = Function((), (), False, (), tuple((name, "") for name in NAMES))
    functions = {name: Function((), (), False) for name in NAMES[1:]}
    graph = of(Node("n", "Case", ("x",), NAMES), r0=wide, **functions)
    sized_by_values(graph, graph.nodes, ["x"])
