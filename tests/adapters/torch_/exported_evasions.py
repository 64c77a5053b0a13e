"""Exported programs with something else in the place of a name, an operator or an expression: what by where.

A program is JSON in an archive. Every text in it, keys included, is a place; most of what is put there torch cannot
read, which is nobody's to know beforehand.
"""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

#: makes the folder RAN, wherever its text is evaluated or executed
RUNS = "__import__('os').mkdir('RAN')"

#: what is put in a text's place; `{old}` is what was there
PAYLOADS: Mapping[str, str] = {
    "expression": RUNS,
    "expression behind": "{old} + " + RUNS,
    "argument": "{old}=" + RUNS + ", y",
    "statement": "{old}\n    " + RUNS + "\n    y",
    "statement of one line": "{old}; " + RUNS + "; y",
    "closes a call": "{old}'); " + RUNS + "; ('",
    "closes a text": '{old}"); ' + RUNS + '; ("',
    "comment": "{old}: int = " + RUNS + " #",
    "lambda": f"(lambda: {RUNS})()",
    "sympy": f"Symbol({RUNS})",
    "format": "{{" + RUNS + "}}",
    "wide letters": "__ｉｍｐｏｒｔ__('os').mkdir('RAN')",
    "carriage return": "{old}\r" + RUNS,
    "form feed": "{old}\f" + RUNS,
    "line separator": "{old}\u2028" + RUNS,
    "function of os": "torch.serialization.os.mkdir",
    "function of a module": "torch.utils.cpp_extension.load_inline",
    "function that loads": "torch.load",
    "function of python": "builtins.exec",
    "function of operator": "_operator.methodcaller",
    "function of math's module": "math.__loader__.load_module",
    "operator that writes": "torch.ops.aten.save.default",
    "operator that maps a file": "torch.ops.aten.from_file.default",
    "operator that loads a library": "torch.ops.load_library",
    "operator of aten's module": "torch.ops.aten.__init__.__globals__",
    "packet's own": "torch.ops.aten.relu.op.__call__",
    "dunder": "__class__",
    "dunders": "a.__class__.__init__",
    "dotted": "{old}.__globals__",
    "self": "self",
    "torch": "torch",
    "python's own class": "builtins.eval",
    "pickled class": "os.system",
}

#: operators by their names, as JSON writes them (each is put in the place of an operator alone)
OPERATORS = (
    "torch.ops.aten.save.default", "torch.ops.aten.from_file.default", "torch.ops.aten.from_file",
    "torch.ops.aten.from_file.out", "torch .ops.aten.from_file.default", "torch.ops.aten.from_file.default ",
    "torch.ops.aten..from_file", "torch.ops.ATEN.from_file.default", "torch.ops.aten.relu.default.op",
    "torch.ops.aten.from_file\n.default", "\ttorch.ops.aten.from_file.default", "#torch.ops.aten.from_file.default",
    "torch.ops.aten.from_ﬁle.default", "torch._ops.ops.aten.from_file.default", "torch._C._jit_pass_inline",
    "torch.jit.load", "torch.hub.load", "torch.package.PackageImporter", "torch.ops.prim.PythonOp.default",
    "torch.ops.prim.rpc_async.default", "torch.ops.higher_order.inductor_compiled_code",
    "torch.ops.higher_order.triton_kernel_wrapper_functional", "torch.ops.higher_order.call_torchbind",
    "torch.ops.higher_order.effects", "torch.ops.inductor._alloc_from_pool.default", "torch.ops._c10d_functional.x",
    "torch.ops.profiler._record_function_enter_new.default", "torch.ops.debugprims.load_tensor.default",
    "torch.ops.aten.__getattr__", "torch.ops.__dict__", "torch.ops.classes", "torch.classes.load_library",
    "_operator.call", "operator.attrgetter", "math.sqrt.__self__", "builtins.open", "os.system", "open", "",
)  # fmt: skip


Path = tuple[str | int, ...]


def places(value: Any, path: Path = ()) -> Iterator[Path]:
    """Where in a document there are texts, and (with "" behind) names of members."""
    if isinstance(value, str):
        yield path
    elif isinstance(value, dict):
        for key, each in value.items():
            yield (*path, key, "")
            yield from places(each, (*path, key))
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from places(each, (*path, index))


def put(document: Any, path: Path, payload: str) -> Any:
    """A copy of the document with the payload in a place; texts that are JSON themselves get it as their first name."""
    changed = copy.deepcopy(document)
    here = changed
    renamed = path[-1] == ""
    *before, last = path[:-1] if renamed else path
    for step in before:
        here = here[step]
    old = str(last) if renamed else here[last]
    new = payload.replace("{old}", old if len(old) < 80 else "x").replace("{{", "{").replace("}}", "}")
    if renamed:
        here[new] = here.pop(last)
    else:
        here[last] = new
    return changed


def inner_documents(document: Any) -> Iterator[Path]:
    """Texts that hold JSON of their own: how arguments are nested."""
    for path in places(document):
        text = at(document, path)
        if path[-1] != "" and text[:1] in ("[", "{"):
            yield path


def at(document: Any, path: Path) -> Any:
    for step in path if path[-1] != "" else path[:-1]:
        document = document[step]
    return document


def evasions(document: Any) -> Iterator[tuple[str, Callable[[], Any]]]:
    """What makes each of them: every payload in every place, also within the JSON that texts hold."""
    for path in list(places(document)):
        for name, payload in PAYLOADS.items():
            yield f"{name} at {path}", partial(put, document, path, payload)
    for path in list(inner_documents(document)):
        inner = json.loads(at(document, path))
        for within in list(places(inner)):
            for name, payload in PAYLOADS.items():
                yield f"{name} at {within} of {path}", partial(_put_within, document, path, within, payload)


def _put_within(document: Any, path: Path, within: Path, payload: str) -> Any:
    return _set(document, path, json.dumps(put(json.loads(at(document, path)), within, payload)))


def _set(document: Any, path: Path, value: Any) -> Any:
    changed = copy.deepcopy(document)
    here = changed
    for step in path[:-1]:
        here = here[step]
    here[path[-1]] = value
    return changed


def mutations(document: Any, seed: int, count: int) -> Iterator[Any]:
    """Several payloads at once, at random, some of them moved to other members, some members copied to others."""
    rng = random.Random(seed)
    where = list(places(document))
    for _ in range(count):
        changed = document
        for _ in range(rng.choice([2, 2, 3, 5])):
            path = rng.choice(where)
            try:
                if rng.random() < 0.3:
                    moved = copy.deepcopy(at(document, rng.choice(where)))
                    changed = _set(changed, path if path[-1] != "" else path[:-1], moved)
                else:
                    changed = put(changed, path, rng.choice([*PAYLOADS.values()]))
            except (KeyError, IndexError, TypeError, AttributeError):
                continue  # an edit before has taken the place away
        yield changed


def operators_in(document: Any) -> Iterator[Path]:
    """Where a document names an operator."""
    for path in places(document):
        if str(at(document, path)).startswith("torch.ops.") and path[-1] in ("target", "as_operator"):
            yield path
