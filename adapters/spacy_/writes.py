"""What a pipeline's components set on a `Doc`: as they declare it, and where they declare nothing, as their code says.

spaCy asks a component to list the attributes that it assigns, and does not check the list: its own span ruler sets
entities or spans as it is configured, and many components of other packages list nothing. Nothing is called here; of
Python functions the names in their bytecode are read.
"""

from __future__ import annotations

import dis
import inspect
from collections.abc import Iterator
from types import CodeType, FunctionType
from typing import Any

__all__ = ["assigned"]

#: names that a function stores to, on whatever object -> what they set
_STORED = {
    "ents": "doc.ents",
    "cats": "doc.cats",
    "lemma": "token.lemma",
    "lemma_": "token.lemma",
    "pos": "token.pos",
    "pos_": "token.pos",
    "tag": "token.tag",
    "tag_": "token.tag",
    "morph": "token.morph",
    "dep": "token.dep",
    "dep_": "token.dep",
    "head": "token.head",
    "is_sent_start": "token.is_sent_start",
    "sent_start": "token.is_sent_start",
}
#: names that a function only has to mention
_MENTIONED = {
    "set_ents": "doc.ents",
    "spans": "doc.spans",
    "cats": "doc.cats",
    "set_morph": "token.morph",
    "_": "doc._",
}
#: of code that cannot be read: compiled, and not spaCy's own
_ANYTHING = frozenset({"doc.ents", "doc.spans", "doc.cats", "doc._"})
_MOST_FUNCTIONS = 300


def assigned(nlp: Any) -> frozenset[str]:
    """spaCy's names (`doc.ents`, `token.tag`) of what the active components set; `doc._` for extension attributes."""
    found: set[str] = set()
    for name in nlp.pipe_names:
        meta, component = nlp.get_pipe_meta(name), nlp.get_pipe(name)
        if meta.factory == "attribute_ruler":
            found |= {f"token.{key.lower()}" for rule in component.patterns for key in rule["attrs"]}
        if hasattr(component, "annotate_ents") and hasattr(component, "key"):  # a span ruler, whatever it declares
            found |= {"doc.ents"} if component.annotate_ents else set()
            found |= {"doc.spans"} if component.key else set()
        else:
            found |= set(meta.assigns) or _written_by(component)
    if any("._." in each for each in found):
        found.add("doc._")
    return frozenset(found)


def _written_by(component: Any) -> frozenset[str]:
    package = _module(component).partition(".")[0]
    if package == "spacy":  # its own say all of it, or only merge and split tokens
        return frozenset()
    functions = list(_reached(component, package))
    if not functions:
        return _ANYTHING
    return frozenset(attribute for function in functions for attribute in _of_code(function.__code__))


def _module(component: Any) -> str:
    return str(getattr(component if inspect.isroutine(component) else type(component), "__module__", "") or "")


def _reached(component: Any, package: str) -> Iterator[FunctionType]:
    """The component's functions, and those of its package that they name."""
    waiting: list[Any] = [component if inspect.isroutine(component) else type(component)]
    seen: set[int] = set()
    while waiting and len(seen) < _MOST_FUNCTIONS:
        item = inspect.unwrap(waiting.pop())
        if id(item) in seen or str(getattr(item, "__module__", "") or "").partition(".")[0] != package:
            continue
        seen.add(id(item))
        if isinstance(item, FunctionType):
            yield item
            waiting += [item.__globals__[name] for name in _names(item.__code__) if name in item.__globals__]
            waiting += [cell.cell_contents for cell in item.__closure__ or () if callable(_content(cell))]
        elif inspect.isclass(item):
            members = [member for each in item.__mro__ for member in vars(each).values()]
            waiting += [getattr(member, "__func__", getattr(member, "fget", None) or member) for member in members]


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # it is empty
        return None


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _names(code: CodeType) -> set[str]:
    return {name for each in _codes(code) for name in each.co_names}


def _of_code(code: CodeType) -> Iterator[str]:
    for each in _codes(code):
        for instruction in dis.get_instructions(each):
            name = instruction.argval
            if instruction.opname == "STORE_ATTR" and name in _STORED:
                yield _STORED[name]
            elif instruction.opname in ("LOAD_ATTR", "LOAD_METHOD") and name in _MENTIONED:
                yield _MENTIONED[name]
