"""What a TorchScript program would run, read before torch sees it, and once more after torch has compiled it.

TorchScript has no Python and no imports, but its operators reach files (`torch.save`, `torch.from_file`) and memory.
And `torch.jit.load` runs code: it evaluates the defaults of arguments and the constants of classes, and it calls
`__setstate__`. So a program passes three gates:

    names        only tokens as torch itself writes them, so that no difference between its reader and ours hides
                 anything; what is spelt `torch.name` or `ops.namespace.name` is a known operator
    what no      in declarations, which torch evaluates, nothing is called; beside methods that it calls by itself
    graph shows  (`_UNSEEN`) nothing has the name of an unknown operator; no native class but known ones
    graphs       after loading: every node of every method, inlined, is of a known kind (`operators`), whatever the
                 source looked like: aliases, methods of values, `getattr`

The lexer that this follows is torch's own, torch/csrc/jit/frontend/lexer.h; what is run when, import_source.cpp,
script_type_parser.cpp (`evaluateDefaults`) and import.cpp (`__setstate__`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

from adapters.base import ModelDir
from adapters.torch_ import operators
from adapters.torch_.records import Records, Refused, without_torch

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
_OPENING, _CLOSING = (b"(", b"[", b"{"), (b")", b"]", b"}")
#: what may be called in a declaration, behind what it may stand
_BEFORE = (b"=", b"(", b"[", b"{", b",", b":")
_ANNOTATE = [[mark, b"annotate"] for mark in _BEFORE]
_DEVICE = [[mark, b"torch", b".", b"device"] for mark in _BEFORE]
_TYPES = ("name", b"__torch__")
#: what names of operators and types begin with
_NAMESPACES = (("name", b"torch"), ("name", b"ops"), ("name", b"print"), _TYPES)
#: methods that run without a node that calls them: while a program is loaded, by `with`, to sort
_UNSEEN = {("name", name) for name in (b"__setstate__", b"__enter__", b"__exit__", b"__lt__")}

#: an operator, in a hurry
_NAMED = re.compile(rb"\btorch\.(\w+)|\bops\.(\w+)\.(\w+)|\bprint\b")
_CLASSES = "__torch__.torch.classes."
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


def process_wide(model_dir: ModelDir, file: str) -> str:
    """What the program does to its whole process, in words, or "" when it touches nothing but tensors.

    A quick look at the source, that imports no torch. What it does not see, `check_graphs` refuses later.

    Raises:
        Refused: the source cannot be read.
    """
    sources = without_torch(model_dir, file, is_code, MAX_CODE)
    return operators.first_process_wide(_kind(found) for _, source in sources for found in _NAMED.finditer(source))


def _kind(found: re.Match[bytes]) -> str:
    builtin, space, name = (group and group.decode() for group in found.groups())
    return f"aten::{builtin}" if builtin else f"{space}::{name}" if space else "prim::Print"


def check_source(records: Records, may_touch_process: bool) -> None:
    """Refuse a program that would run anything while torch loads it, or that names operators which are not known.

    `may_touch_process` allows what `operators.PROCESS_WIDE` lists: the program is then to be served by a worker.

    Raises:
        LoadError: naming what it holds, and where.
    """
    names = [name for name in records.names if is_code(name)]
    if "model.json" in map(str.casefold, records.names):
        raise records.refuse("is of TorchScript's first format, whose code may stand anywhere: save it again")
    if len({name.casefold() for name in names}) < len(names) or not all(re.fullmatch(r"code/.*\.py", n) for n in names):
        raise records.refuse("holds code under names that torch does not give")
    if sum(map(records.size, names)) > MAX_CODE:
        raise records.refuse(f"holds more than {MAX_CODE >> 20} MiB of code, which is not looked through")
    sources = {name: _tokens(records, name) for name in names}
    unseen = {name.decode() for tokens in sources.values() for _, name in _UNSEEN.intersection(tokens)}
    for name, tokens in sources.items():
        _check_names(records, name, tokens, may_touch_process)
        if not all(map(_is_constant, _declarations(records, name, tokens))):
            raise records.refuse(f"calls something in a declaration in {name}, which runs while it is loaded")
        if unseen:
            _check_methods(records, name, tokens, min(unseen))
    for name in ("data.pkl", "constants.pkl"):
        for found in _NATIVE.finditer(records.read(name)):
            if (native := b".".join(filter(None, found.groups())).decode()) not in operators.CLASSES:
                raise records.refuse(f"brings an object of the native class {native}, which is not known")


def _check_methods(records: Records, name: str, tokens: Sequence[Token], unseen: str) -> None:
    """Refuse what could be a method of a value that is an unknown operator: `unseen` runs, and no graph shows it.

    Raises:
        Refused: a name behind a dot, or a string, which `getattr` takes for one, is such an operator's.
    """
    import torch

    registered = {schema.name.removeprefix("aten::") for schema in torch._C._jit_get_all_schemas()}
    before = b""
    for kind, text in tokens:
        method = text.decode().strip('"') if kind == "string" or (kind == "name" and before == b".") else ""
        if method in registered and f"aten::{method}" not in operators.HARMLESS:
            raise records.refuse(f"has an {unseen}, which cannot be looked through, and names {method!r} in {name}")
        before = text


def check_graphs(file: str, module: Any, may_touch_process: bool) -> None:
    """Refuse a compiled module when one of its methods, or its submodules', holds a node of a kind that is not known.

    `may_touch_process` as in `check_source`.

    Raises:
        LoadError: naming the kind and the method.
    """
    for path, part in module.named_modules():
        for method in part._c._method_names():
            graph = part._c._get_method(method).inlined_graph
            for kind in sorted(_kinds_of(graph)):
                if not operators.is_allowed(kind, may_touch_process):
                    place = f"{path}.{method}" if path else method
                    raise Refused(file, f"calls {operators.spelt(kind)} in {place}, {operators.UNKNOWN}")


def _kinds_of(graph: Any) -> set[str]:
    """The kinds of all nodes of a graph: of its blocks, and of the graphs that are attributes of its nodes."""
    found, waiting = set[str](), [graph]
    while waiting:
        for node in waiting.pop().nodes():
            if not _is_native_call(node):
                found.add(node.kind())
            waiting += node.blocks()
            for name in node.attributeNames():
                if node.kindOf(name) == "g":
                    waiting.append(node.g(name))
                elif node.kindOf(name) == "gs":
                    waiting += node.gs(name)
    return found


def _is_native_call(node: Any) -> bool:
    """Whether a node calls a method of a known native class. Others are inlined, unless nobody knows whose they are."""
    if node.kind() != "prim::CallMethod":
        return False
    return next(node.inputs()).type().annotation_str.removeprefix(_CLASSES) in operators.CLASSES


def _tokens(records: Records, name: str) -> list[Token]:
    """
    Raises:
        Refused: the source is spelt otherwise than torch does.
    """
    source = records.read(name)
    tokens, at = [], 0
    while found := _TOKEN.match(source, at):
        tokens.append((found.lastgroup or "", found[0]))
        at = found.end()
    if at < len(source):
        line = source.count(b"\n", 0, at) + 1
        raise records.refuse(f"is not written as torch writes it ({name}, line {line})")
    return tokens


def _check_names(records: Records, name: str, spaced: Sequence[Token], may_touch_process: bool) -> None:
    """
    Raises:
        Refused: an operator is not known, a namespace is held under another name, or a native class is not known.
    """
    tokens = [token for token in spaced if token[0] not in ("space", "line")]
    for index, token in enumerate(tokens):
        if token not in _NAMESPACES or (index and tokens[index - 1][1] == b"."):
            continue
        chain = _chain(tokens, index)
        if token != _TYPES:
            if not operators.is_allowed(_operator(chain), may_touch_process):
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
    """The kind that `torch.name`, `ops.namespace.name` or `print` stands for; "" when it is none of these."""
    if chain[0] == "print":
        return "prim::Print"
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
    """Whether a declaration calls nothing but what makes constants: `annotate(...)` and `torch.device(...)`."""
    texts = [text for _, text in line.tokens]
    for index, text in enumerate(texts):
        if text != b"(" or not index:
            continue
        is_group = line.tokens[index - 1][0] == "mark" and texts[index - 1] not in _CLOSING
        is_header = index == 2 and texts[0] in (b"def", b"class")
        makes_constant = texts[index - 2 : index] in _ANNOTATE or texts[max(0, index - 4) : index] in _DEVICE
        if not (is_group or is_header or makes_constant):
            return False
    return True
