"""What an ONNX file may do, before anything opens it: is every operator known, and who decides on sizes and times?

Operators are held against the list in `operators`, in every graph, branch, loop and function, whether it runs or not.
Then the values of the inputs are followed through the graph: where they decide how large a tensor becomes or how often
a loop runs, a request could hold a core for as long as it likes, and a worker serves the model.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from adapters.formats.protobuf import Malformed
from adapters.onnx_.nodes import Model, OnnxGraph, OnnxNode, Operator, read
from adapters.onnx_.operators import HOLD_GRAPHS, OF_SHAPES, OPERATORS, SIZED

#: metadata from which ONNX Runtime takes settings of its own, where an environment variable tells it to
SETTINGS = "ort_config"
#: how often all nodes are followed, and so many more: loops are followed twice, and those within them each time
_ROUNDS, _MORE = 4, 10_000
_DEEPEST = 50  #: functions that call each other; ONNX Runtime refuses those that call themselves


@dataclass(frozen=True, slots=True)
class Verdict:
    """What `audit` found; "" where there is nothing to say."""

    problem: str = ""  #: why the file is not served, in words that follow its name
    carries: str = ""  #: why it is served by a worker (`Match.carries`)


def audit(path: Path) -> Verdict:
    """Look through all that the file holds."""
    try:
        model = read(path)
        if SETTINGS in model.metadata:
            return Verdict(
                f"holds settings for ONNX Runtime ({SETTINGS} in its metadata), which are not followed: remove them; "
                "polyserve.yaml has options"
            )
        if offence := next(_offences(model), ""):
            return Verdict(offence)
        sized = _Values(model).sized()
    except (Malformed, RecursionError) as error:
        return Verdict(f"is damaged: {error}")
    if sized:
        return Verdict(
            carries=f"lets the values of a request decide how large tensors are or how long it runs ({sized})"
        )
    return Verdict()


def _offences(model: Model) -> Iterator[str]:
    for graph in chain([model.graph], model.training, *model.functions.values()):
        for node in _nodes(graph):
            if node.operator not in model.functions and node.operator[1] not in OPERATORS.get(node.operator[0], ()):
                yield (
                    f"uses the operator {shown(node.operator)}, which is not one of those that are known to compute "
                    "and nothing else; operators of custom libraries are never loaded"
                )
            elif node.graphs and node.operator not in HOLD_GRAPHS and node.operator not in model.functions:
                yield f"gives the operator {shown(node.operator)} a graph, which it does not take"


def shown(operator: Operator) -> str:
    """An operator in a message."""
    domain, name = (part.encode("utf-8", "backslashreplace").decode() for part in operator)
    text = f"{domain}:{name}" if domain else name
    return text if text.isprintable() and len(text) <= 100 else ascii(text)[:100]


def _nodes(graph: OnnxGraph) -> Iterator[OnnxNode]:
    """All nodes, however deep."""
    waiting = [graph]
    while waiting:
        here = waiting.pop()
        waiting += here.graphs
        for node in here.nodes:
            yield node
            waiting += node.graphs


class _Values:
    """Follows which tensors hold what a request sent, as opposed to what its shapes and the file alone decide."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._known: dict[tuple[int, tuple[bool, ...]], list[bool]] = {}  #: of bodies: its inputs' freedom -> outputs'
        self._found = ""
        self._depth = 0
        bodies = chain.from_iterable(model.functions.values())
        self._steps = _MORE + _ROUNDS * sum(1 for graph in [model.graph, *bodies] for _ in _nodes(graph))

    def sized(self) -> str:
        """The first operator whose result is as large, or takes as long, as the values of an input say; or ""."""
        graph = self._model.graph
        fixed = graph.constants if self._model.ir_version < 4 else set()  # later ones a request may replace
        self._run(graph, ChainMap({name: name not in fixed for name in graph.inputs}))
        return self._found

    def _run(self, graph: OnnxGraph, free: ChainMap[str, bool]) -> list[bool]:
        """Whether each output of the graph depends on values; `free` tells it of its inputs and the names outside."""
        self._depth += 1
        if self._depth > _DEEPEST:
            raise Malformed("its functions and graphs call each other too deep")
        for name in graph.constants:
            free.setdefault(name, False)
        for node in graph.nodes:
            self._steps -= 1
            if self._steps < 0:
                self._found = self._found or "its loops and branches are too many to follow"
            if self._found:
                break
            results = self._results(node, free)
            for index, name in enumerate(node.outputs):
                free[name] = results[min(index, len(results) - 1)] if results else False
        self._depth -= 1
        return [free.get(name, True) for name in graph.outputs]

    def _results(self, node: OnnxNode, free: ChainMap[str, bool]) -> list[bool]:
        inputs = [bool(name) and free.get(name, True) for name in node.inputs]
        if any(index < len(inputs) and inputs[index] for index in SIZED.get(node.operator, ())):
            self._found = shown(node.operator)
            return [True]
        if node.operator in self._model.functions:
            bodies = self._model.functions[node.operator]
            return _either([self._body(body, inputs) for body in bodies], any(inputs))
        if node.graphs:
            return self._inner(node, inputs, free)
        return [any(inputs) and node.operator not in OF_SHAPES]

    def _body(self, body: OnnxGraph, inputs: list[bool]) -> list[bool]:
        """The outputs of a function's body, which knows no names but its own."""
        given = tuple((*inputs, *[False] * len(body.inputs))[: len(body.inputs)])
        key = (id(body), given)
        if key not in self._known:
            for default in body.graphs:
                self._run(default, ChainMap(dict.fromkeys(default.inputs, True)))
            self._known[key] = self._run(body, ChainMap(dict(zip(body.inputs, given, strict=True))))
        return self._known[key]

    def _inner(self, node: OnnxNode, inputs: list[bool], free: ChainMap[str, bool]) -> list[bool]:
        """If, Loop, Scan and the like."""
        if node.operator[1] == "If":
            return _either([self._run(graph, free.new_child()) for graph in node.graphs], False)
        found: list[bool] = []
        for graph in node.graphs:
            if node.operator == ("", "Loop"):
                found += self._loop(graph, inputs, free)
            else:
                self._run(graph, free.new_child(dict.fromkeys(graph.inputs, any(inputs))))
                found.append(True)
        return [any(inputs) or any(found)]

    def _loop(self, graph: OnnxGraph, inputs: list[bool], free: ChainMap[str, bool]) -> list[bool]:
        """What is carried from one turn to the next; the first output says whether there is another turn."""
        carried = ([False, False, *inputs[2:]] + [False] * len(graph.inputs))[: len(graph.inputs)]
        for _ in range(len(carried) + 1):
            results = self._run(graph, free.new_child(dict(zip(graph.inputs, carried, strict=True))))
            after = [*carried[:2], *(old or new for old, new in zip(carried[2:], results[1:], strict=False))]
            after += carried[len(after) :]
            if after == carried or self._found:
                break
            carried = after
        if not self._found and results and results[0]:
            self._found = "Loop"
        return results


def _either(results: Iterable[list[bool]], otherwise: bool) -> list[bool]:
    """For each output whether any of the ways there depends on values."""
    ways = list(results)
    most = max(map(len, ways), default=0)
    return [any(way[min(i, len(way) - 1)] for way in ways if way) for i in range(most)] or [otherwise]
