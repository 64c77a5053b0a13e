"""What a TorchScript program would run, read before torch sees it, and once more after torch has compiled it.

TorchScript has no Python and no imports, but its operators reach files (`torch.save`, `torch.from_file`) and memory.
And loading runs code: it evaluates the defaults of arguments and the constants of classes, and calls `__setstate__`.
So a program passes three gates:

    names       only tokens as torch itself writes them, so that no difference between its reader and ours hides
                anything; what is spelt `torch.name` or `ops.namespace.name` is a known operator
    loading     in declarations, which torch evaluates, stand literals alone; beside a `__setstate__` nothing has the
                name of an unknown operator; constants bring no objects, and no native class but known ones
    graphs      once it is compiled: every node of every function (methods, hooks, what `with` and `sort` call) is of
                a known kind (`operators`), whatever the source looked like: aliases, methods of values, `getattr`

The lexer that this follows is torch's own, torch/csrc/jit/frontend/lexer.h; what is run when, import_source.cpp,
script_type_parser.cpp (`evaluateDefaults`) and import.cpp (`__setstate__`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence, Set
from typing import Any, NamedTuple, TypeAlias

from adapters.torch_ import operators
from adapters.torch_.records import Records, RefusedArchive

#: bytes of code in one archive; a network of a thousand layers has less than one million
MAX_CODE = 8 << 20

#: an escape in a string as torch prints it: of a quote, a control character, or in octal a byte that is not printable
_ESCAPE = rb"\\(?:[\\'\"abfnrtv]|0[0-3][0-7]|[2-3][0-7][0-7]|177)"
_TOKEN = re.compile(
    rb"(?P<space> +)|(?P<line>\n)"
    rb"|(?P<name>[A-Za-z_]\w*)"
    rb"|(?P<number>\d+(?:\.\d*)?(?:[eE][+-]?\d+)?j?(?![\w.]))"
    rb"|(?P<string>\"(?:[ !#-\[\]-~]|" + _ESCAPE + rb")*\"(?![\"']))"
    rb"|(?P<mark>[-+*/%<>=!&|^~()\[\]{},:.])",
    re.ASCII,
)
_BLANK = ("space", "line")
_OPENING, _CLOSING = (b"(", b"[", b"{"), (b")", b"]", b"}")
#: what may be called in a declaration, behind what it may stand
_BEFORE = (b"=", b"(", b"[", b"{", b",", b":")
_ANNOTATE = [[mark, b"annotate"] for mark in _BEFORE]
_DEVICE = [[mark, b"torch", b".", b"device"] for mark in _BEFORE]
#: what makes more than a literal of a declaration, beside calls and signs that are no numbers'
_OPERATIONS = frozenset(b"* / % < ! & | ^ ~ and or not in is if else for while lambda with".split())
_TYPES = ("name", b"__torch__")
#: what names of operators and types begin with
_NAMESPACES = (("name", b"torch"), ("name", b"ops"), _TYPES)
#: runs while a program is loaded, before there are graphs to look through
_SET_STATE = ("name", b"__setstate__")

#: an object of a class of the program's own, in a pickle
_OBJECT = re.compile(rb"c__torch__(?!\.torch\.classes\.)")
_CODE = re.compile(r"code/__torch__(?:/.+)?\.py")
#: a native class as pickles and sources spell it
_NATIVE = re.compile(rb"torch\.classes\.([\w.]+)(?:\n(\w+))?")

#: its kind, a group of `_TOKEN`, and its text
Token: TypeAlias = tuple[str, bytes]


class Line(NamedTuple):
    """A logical line: what stands in brackets does not end one."""

    indent: int
    tokens: Sequence[Token]


def is_code(name: str) -> bool:
    """Whether torch may read code from a record of this name; it does not mind how letters are written."""
    return name.casefold().startswith("code/") and not name.casefold().endswith(".debug_pkl")


def check_source(records: Records) -> None:
    """Refuse a program that would run anything while torch loads it, or that names operators which are not known.

    Raises:
        LoadError: naming what it holds, and where.
    """
    names = [name for name in records.names if is_code(name)]
    if "model.json" in map(str.casefold, records.names):
        raise records.refuse("is of TorchScript's first format, whose code may stand anywhere: save it again")
    if len({name.casefold() for name in names}) < len(names) or not all(map(_CODE.fullmatch, names)):
        raise records.refuse("holds code under names that torch does not give")
    if sum(map(records.size, names)) > MAX_CODE:
        raise records.refuse(f"holds more than {MAX_CODE >> 20} MiB of code, which is not looked through")
    sources = {name: _tokens(records, name) for name in names}
    unknown = _unknown_methods() if any(_SET_STATE in tokens for tokens in sources.values()) else frozenset()
    for name, tokens in sources.items():
        _check_names(records, name, tokens)
        if not all(map(_is_constant, _declarations(records, name, tokens))):
            raise records.refuse(f"declares something by more than literals in {name}, which runs while it is loaded")
        if unknown:
            _check_methods(records, name, tokens, unknown)
    if _OBJECT.search(records.read("constants.pkl")):  # operators on them would be their methods
        raise records.refuse("holds objects among its constants")
    for name in ("data.pkl", "constants.pkl"):
        for found in _NATIVE.finditer(records.read(name)):
            if (native := b".".join(filter(None, found.groups())).decode()) not in operators.CLASSES:
                raise records.refuse(f"brings an object of the native class {native}, which is not known")


def _unknown_methods() -> frozenset[str]:
    """The names of operators that are not known, as methods of values have them: without `aten::`."""
    import torch

    registered = {schema.name for schema in torch._C._jit_get_all_schemas()}
    return frozenset(kind.removeprefix("aten::") for kind in registered - operators.HARMLESS)


def _check_methods(records: Records, name: str, tokens: Sequence[Token], unknown: Set[str]) -> None:
    """Refuse what could be a method of a value that is an unknown operator: `__setstate__` runs unseen.

    Raises:
        RefusedArchive: a name behind a dot, or a string, which `getattr` takes for one, is such an operator's.
    """
    before = b""
    for kind, text in tokens:
        if kind in _BLANK:
            continue
        method = text.decode().strip('"') if kind == "string" or (kind == "name" and before == b".") else ""
        if method in unknown:
            raise records.refuse(f"has a __setstate__, which runs while it is loaded, and names {method!r} in {name}")
        before = text


def check_graphs(file: str, unit: Any) -> None:
    """Refuse a compiled program when a function of its compilation unit holds a node of a kind that is not known.

    Raises:
        LoadError: naming the kind and the function.
    """
    for function in unit.get_functions():
        for kind in sorted(_kinds_of(function.graph)):
            if kind not in operators.HARMLESS:
                raise RefusedArchive(
                    file, f"calls {operators.spelt(kind)} in {function.qualified_name}, {operators.UNKNOWN}"
                )


def _kinds_of(graph: Any) -> set[str]:
    """The kinds of all nodes of a graph: of its blocks, and of the graphs that are attributes of its nodes."""
    found, waiting = set[str](), [graph]
    while waiting:
        for node in waiting.pop().nodes():
            found.add(node.kind())
            waiting += node.blocks()
            for name in node.attributeNames():
                if node.kindOf(name) == "g":
                    waiting.append(node.g(name))
                elif node.kindOf(name) == "gs":
                    waiting += node.gs(name)
    return found


def _tokens(records: Records, name: str) -> list[Token]:
    """
    Raises:
        RefusedArchive: the source is spelt otherwise than torch does.
    """
    source = records.read(name)
    tokens, at, before = [], 0, ""
    while found := _TOKEN.match(source, at):
        kind = found.lastgroup or ""
        if kind == before == "string":  # torch makes one of them
            break
        tokens.append((kind, found[0]))
        at, before = found.end(), before if kind in _BLANK else kind
    if at < len(source):
        line = source.count(b"\n", 0, at) + 1
        raise records.refuse(f"is not written as torch writes it ({name}, line {line})")
    return tokens


def _check_names(records: Records, name: str, spaced: Sequence[Token]) -> None:
    """
    Raises:
        RefusedArchive: an operator or a native class is not known, or a namespace is held under another name.
    """
    tokens = [token for token in spaced if token[0] not in _BLANK]
    for index, token in enumerate(tokens):
        if token not in _NAMESPACES or (index and tokens[index - 1][1] == b"."):
            continue
        chain = _chain(tokens, index)
        if token != _TYPES:
            if _operator(chain) not in operators.HARMLESS:
                raise records.refuse(f"calls {'.'.join(chain)} in {name}, {operators.UNKNOWN}")
        elif chain[1:3] == ["torch", "classes"] and ".".join(chain[3:]) not in operators.CLASSES:
            raise records.refuse(f"uses the native class {'.'.join(chain[3:])} in {name}, which is not known")


def _chain(tokens: Sequence[Token], index: int) -> list[str]:
    """The names that dots join, from this one on."""
    chain = [tokens[index][1].decode()]
    while index + 2 < len(tokens) and tokens[index + 1][1] == b".":
        index += 2
        chain.append(tokens[index][1].decode())
    return chain


def _operator(chain: Sequence[str]) -> str:
    """The kind that `torch.name` or `ops.namespace.name` stands for; "" when it is neither."""
    if chain[0] == "torch" and len(chain) == 2:
        return f"aten::{chain[1]}"
    return f"{chain[1]}::{chain[2]}" if chain[0] == "ops" and len(chain) == 3 else ""


def _declarations(records: Records, name: str, tokens: Sequence[Token]) -> Iterator[Line]:
    """The lines that torch evaluates while it loads: all but statements in functions."""
    functions: list[int] = []  # indents of the functions that a line stands in
    for line in _logical_lines(records, name, tokens):
        functions = [indent for indent in functions if indent < line.indent]
        defines = line.tokens[0][1] == b"def"
        if defines or not functions:
            yield line
        if defines:
            functions.append(line.indent)


def _logical_lines(records: Records, name: str, tokens: Sequence[Token]) -> Iterator[Line]:
    line: list[Token] = []
    indent = depth = 0
    for token in (*tokens, ("line", b"\n")):
        kind, text = token
        if kind == "line" and depth == 0:
            if line:
                yield Line(indent, line)
            line, indent = [], 0
        elif kind == "space":
            indent += 0 if line else len(text)
        elif kind != "line":
            line.append(token)
            depth += (text in _OPENING) - (text in _CLOSING)
            if depth < 0:
                raise records.refuse(f"closes a bracket that is not open, in {name}")


def _is_constant(line: Line) -> bool:
    """Whether a declaration evaluates nothing but literals, `annotate(...)` and `torch.device(...)`."""
    texts = [b"", *(text for _, text in line.tokens), b""]
    kinds = ["", *(kind for kind, _ in line.tokens), ""]
    for index, text in enumerate(texts[1:-1], 1):
        before, after = texts[index - 1], texts[index + 1]
        if text == b"(" and not _may_open(texts, kinds, index):
            return False
        if text in _OPERATIONS or (text == b"=" == after):
            return False
        if text == b"-" and kinds[index + 1] != "number" and after not in (b">", b"inf"):
            return False
        if text == b"+" and (kinds[index - 1], kinds[index + 1]) != ("number", "number"):
            return False
        if text == b">" and before != b"-":
            return False
        if text in (b"[", b".") and (
            before in _CLOSING or texts[max(0, index - 3) : index - 1] == [b"CONSTANTS", b"."]
        ):
            return False
    return True


def _may_open(texts: Sequence[bytes], kinds: Sequence[str], index: int) -> bool:
    """Whether a bracket in a declaration groups, or lists arguments, and calls nothing but what makes constants."""
    groups = index == 1 or (kinds[index - 1] == "mark" and texts[index - 1] not in _CLOSING)
    heads = index == 3 and texts[1] in (b"def", b"class")
    makes = list(texts[index - 2 : index]) in _ANNOTATE or list(texts[max(0, index - 4) : index]) in _DEVICE
    return groups or heads or makes
