"""Whether the values of a request decide how large a graph's tensors become or how long it runs.

The values of the inputs are followed through the graph, its functions, branches and loops, those of TensorFlow 1 and 2.
Where they reach an operation that makes as much as they say (`sized_operations`), or a loop's condition, a request of a
few bytes could hold a core or all memory, and a worker serves the model. A tensor's shape is no value: as large as what
was sent may be what is made of it.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from adapters.tensorflow_.graph import Function, Graph, Node
from adapters.tensorflow_.sized_operations import (
    BOUNDED,
    CALLS,
    CHOICES,
    COUNTS,
    DATASETS,
    HOLDS_STATE,
    OF_SHAPES,
    SIZED,
    STITCHES,
    WHILE,
    WRITES_NONE,
    WRITES_STATE,
)

PLACEHOLDERS = frozenset({"Placeholder", "PlaceholderV2", "PlaceholderWithDefault"})
#: how often all nodes are followed, and so many more: loops are followed until nothing changes
_ROUNDS, _MORE = 8, 20_000
_TOGETHER = 64  #: arguments and results that are as soon looked at as one node
_TOO_MANY = "its loops and branches are too many to follow"
_MOST_WAYS = 1_000_000  #: results of all ways together that are told apart
_DEEPEST = 60  #: functions that call each other

#: of each result of an operation whether it holds what a request sent; one stands for all
Results = tuple[bool, ...]


def sized_by_values(graph: Graph, wanted: Iterable[str], fed: Iterable[str]) -> str:
    """The first operation whose result is as large, or takes as long, as the values of an input say; or "".

    `wanted` are the tensors and operations that are run, `fed` those that requests give.
    """
    needed = _needed(graph.nodes, map(_node_of, wanted))
    flow = _Flow(graph, frozenset(map(_node_of, fed)), _MORE + _ROUNDS * _size(graph))
    flow.follow(needed)
    if flow.written and not flow.found:  # what a request wrote into a variable, a later one reads
        flow = _Flow(graph, flow.fed, flow.steps, state=True)
        flow.follow(needed)
    return flow.found


def sizes_of(operation: str) -> str:
    """Why a worker serves the model, for `Match.carries`."""
    if not operation:
        return ""
    return f"lets the values of a request decide how large tensors are or how long it runs ({operation})"


@dataclass
class _Flow:
    graph: Graph
    fed: frozenset[str]
    steps: int  #: how many nodes may still be looked at
    state: bool = False  #: variables hold what a request sent
    found: str = ""
    written: bool = False
    _known: dict[tuple[str, Results], Results] = field(default_factory=dict)
    _places: dict[str, dict[str, int]] = field(default_factory=dict)  #: by function: where each result stands
    _depth: int = 0

    def follow(self, needed: Sequence[Node]) -> None:
        self._scope(needed, {}, self.fed)
        for name in [name for name, function in self.graph.functions.items() if function.swappable]:
            if self._known:  # the optimizer may put it in another's place
                self._call(name, (True,) * len(self.graph.functions[name].arguments))

    def _scope(
        self, nodes: Sequence[Node], arguments: Mapping[str, bool], fed: Container[str] = ()
    ) -> dict[str, Results]:
        """The results of all nodes of a graph or of a function's body."""
        known: dict[str, Results] = {name: (given,) for name, given in arguments.items()}
        by_name = {node.name: node for node in nodes}
        kinds = {node.name: node.op for node in nodes}
        cyclic = any(node.op in ("NextIteration", "RefNextIteration") for node in nodes)
        changed = True
        while changed and not self.found:
            changed = False
            for node in nodes:
                self.steps -= 1 + len(node.inputs) // _TOGETHER
                if self.steps < 0:
                    self.found = self.found or _TOO_MANY
                if self.found:
                    break
                inputs = [self._value(name, known, kinds) for name in node.inputs if not name.startswith("^")]
                if node.op in COUNTS and len(inputs) > 1 and inputs[1]:
                    least = by_name.get(_node_of(node.inputs[1]))  # which of two counts is the smaller
                    inputs[1] = not (
                        least
                        and least.op == "Minimum"
                        and not all(self._value(each, known, kinds) for each in least.inputs)
                    )
                results = (True,) if node.name in fed else self._results(node, inputs)
                if results != known.get(node.name):
                    known[node.name] = results
                    changed = cyclic
        return known

    def _value(self, reference: str, known: Mapping[str, Results], kinds: Mapping[str, str]) -> bool:
        """Of "node", "node:1" and, within functions, "node:result:1"."""
        name, _, rest = reference.partition(":")
        results = known.get(name, (False,))
        if len(results) == 1 or not rest:
            return results[0]
        result, _, index = rest.rpartition(":")
        if kinds.get(name, "") in BOUNDED and result:
            place = next((place for place, named in BOUNDED[kinds[name]].items() if named == result), 0)
        elif result and kinds.get(name, "") in self.graph.functions:
            place = self._place(kinds[name], result)
        else:
            place = int(index) if index.isdecimal() and len(index) < 9 else 0
        if place < len(results):
            return results[place]
        self.steps -= len(results) // _TOGETHER
        return self.steps < 0 or any(results)

    def _place(self, function: str, result: str) -> int:
        """Which of a function's results that is: looked up, as a hundred thousand nodes may read as many results."""
        places = self._places.get(function)
        if places is None:
            results = self.graph.functions[function].results
            places = self._places[function] = {name: place for place, (name, _) in reversed([*enumerate(results)])}
        return places.get(result, 0)

    def _results(self, node: Node, inputs: Sequence[bool]) -> Results:
        given = any(inputs)
        decided = any(place < len(inputs) and inputs[place] for place in _deciding(node.op, len(inputs)))
        if decided or (given and any(word in node.op for word in DATASETS)):
            self.found = node.op
        if given and node.op.startswith(WRITES_STATE) and node.op not in WRITES_NONE:
            self.written = True
        if node.op in OF_SHAPES:
            return (False,)
        if self.state and any(word in node.op for word in HOLDS_STATE):
            return (True,)
        if node.op in BOUNDED:
            return tuple(given and place not in BOUNDED[node.op] for place in range(3))
        if node.op in self.graph.functions:
            return self._call(node.op, tuple(inputs))
        if node.functions:
            return self._higher(node, tuple(inputs))
        return (given,)

    def _higher(self, node: Node, inputs: Results) -> Results:
        """Operations that call functions."""
        names = dict.fromkeys(node.functions)
        if node.op in CALLS:
            return _either([self._call(name, inputs) for name in names])
        if node.op in CHOICES:
            rest = inputs[1:]
            ways = _either([self._call(name, rest) for name in names])
            return tuple(way or inputs[0] for way in ways) if inputs else ways
        if node.op in WHILE:
            return self._loop(node, inputs)
        given = any(inputs)
        called = [self._call(name, (given,) * self._arity(name)) for name in names]
        return (given or any(map(any, called)),)

    def _arity(self, name: str) -> int:
        function = self.graph.functions.get(name)
        return len(function.arguments) if function else 0

    def _loop(self, node: Node, inputs: Results) -> Results:
        """A condition gives one result, a body as many as it takes: their order in the file says nothing."""
        carried = inputs
        for _ in range(len(inputs) + 1):
            results = [self._call(name, carried) for name in node.functions]
            if any(len(each) == 1 and each[0] for each in results):
                self.found = self.found or node.op
            bodies = [each for each in results if len(each) == len(inputs)]
            after = tuple(any(way) for way in zip(carried, *bodies, strict=True))
            if after == carried or self.found:
                break
            carried = after
        return carried

    def _call(self, name: str, inputs: Results) -> Results:
        function = self.graph.functions.get(name)
        if function is None:
            return (any(inputs),)
        count = len(function.arguments)
        self.steps -= (len(inputs) + count + len(function.results)) // _TOGETHER
        if self.steps < 0:
            self.found = self.found or _TOO_MANY
            return (True,)
        given = (inputs + (any(inputs),) * (count - len(inputs)))[:count]
        if (name, given) not in self._known:
            self._known[name, given] = (True,) * max(1, len(function.results))  # for one that calls itself
            self._depth += 1
            if self._depth > _DEEPEST:
                self.found = self.found or "its functions call each other too deep"
            else:
                self._known[name, given] = self._body(function, given)
            self._depth -= 1
        return self._known[name, given]

    def _body(self, function: Function, given: Results) -> Results:
        nodes = _needed({node.name: node for node in function.nodes}, [node.name for node in function.nodes])
        known = self._scope(nodes, dict(zip(function.arguments, given, strict=True)))
        kinds = {node.name: node.op for node in nodes}
        return tuple(self._value(each, known, kinds) for _, each in function.results) or (any(given),)


def _deciding(op: str, inputs: int) -> Iterable[int]:
    return range((inputs + 1) // 2) if op in STITCHES else SIZED.get(op, ())


def _either(ways: Sequence[Results]) -> Results:
    """For each result whether any of the ways there holds values."""
    most = max(map(len, ways), default=1)
    if most * len(ways) > _MOST_WAYS:
        return (True,) * most
    return tuple(any(way[min(place, len(way) - 1)] for way in ways if way) for place in range(most))


def _node_of(tensor: str) -> str:
    return tensor.removeprefix("^").partition(":")[0]


def _size(graph: Graph) -> int:
    return len(graph.nodes) + sum(len(function.nodes) for function in graph.functions.values())


def _needed(nodes: Mapping[str, Node], wanted: Iterable[str]) -> list[Node]:
    """The nodes that are needed for those, each behind what it reads (but for the way back of a loop)."""
    found: dict[str, Node] = {}
    entered: set[str] = set()
    waiting = [(name, False) for name in wanted]
    while waiting:
        name, left = waiting.pop()
        if name not in nodes:
            continue
        if left:
            found[name] = nodes[name]
        elif name not in entered:
            entered.add(name)
            waiting.append((name, True))
            waiting += [(_node_of(each), False) for each in nodes[name].inputs]
    return list(found.values())
