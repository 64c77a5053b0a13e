"""What an exported program would run while it is loaded and afterwards, read before torch sees it.

Exported programs are JSON, but `torch.export.load` evaluates parts of it: it unpickles weights, constants and sample
inputs without limits where the archive says so, gives expressions of sizes to sympy (which calls `eval`), writes names
into Python source that it executes, and follows any dotted name below `torch`. So each of these is read first: no
records but those that torch writes, no pickles but such as `weights_only` loads, expressions of arithmetic alone, names
that are identifiers, operators that are known to be harmless (`operators`).
"""

from __future__ import annotations

import ast
import io
import json
import keyword
import re
from collections.abc import Iterator
from typing import Any

from adapters.base import LoadError
from adapters.torch_ import operators
from adapters.torch_.records import Records

#: torch.ops.namespace.name.overload
_OPERATOR = re.compile(r"torch\.ops\.(\w+)\.(\w+)(?:\.(\w+))?", re.ASCII)
#: the records of an archive as torch names them; torch finds them however their letters are written
_RECORD = re.compile(
    r"archive_format|archive_version|version|byteorder|\.data/(?:version|serialization_id)|models/[^/]+\.json|extra/.+|"
    r"data/(?:weights|constants)/[\w.-]+|data/sample_inputs/[^/]+\.pt"
)
_ARITHMETIC = (
    re.compile(r"torch\.(?:_?sym_(?:int|float|ite|max|min|not|sum|sqrt)|sym_fresh_size)"),
    re.compile(r"_operator\.(?:add|sub|mul|truediv|floordiv|mod|pow|neg|pos|abs|eq|ne|lt|le|gt|ge|and_|or_|xor|not_|"
               r"lshift|rshift|getitem|truth|index|inv|invert)"),
    re.compile(r"math\.(?!_)\w+"),
)  # fmt: skip
_IDENTIFIER = re.compile(r"[A-Za-z_]\w*", re.ASCII)
#: a size that is free: torch counts up to its number
_SYMBOL = re.compile(r"[A-Za-z_]+\d{0,6}", re.ASCII)
_PATH = re.compile(r"(?!__)\w+(?:\.(?!__)\w+)*", re.ASCII)
#: what is written into Python source as variables; other names are so as paths of attributes
_VARIABLES = ("name", "as_name", "forward_arg_names")
_TAKEN = ("self", "torch")
_TREES = {"builtins.tuple", "builtins.list", "builtins.dict", "collections.OrderedDict", "collections.deque"}

#: what sympy may be asked to build: its own arithmetic, and torch's
_FUNCTIONS = re.compile(
    "Symbol|Dummy|Integer|Rational|Float|Add|Mul|Pow|Mod|Max|Min|Abs|floor|ceiling|Equality|Eq|"
    "Unequality|Ne|GreaterThan|Ge|LessThan|Le|StrictGreaterThan|Gt|StrictLessThan|Lt|And|Or|Not|Xor|"
    "Piecewise|ExprCondPair|Tuple|FloorDiv|ModularIndexing|Where|PythonMod|CleanDiv|CeilToInt|"
    "FloorToInt|CeilDiv|LShift|RShift|PowByNatural|FloatPow|FloatTrueDiv|IntTrueDiv|"
    "IsNonOverlappingAndDenseIndicator|TruncToFloat|TruncToInt|RoundToInt|RoundDecimal|ToFloat|Identity"
)
_NODES = (
    ast.Expression, ast.Constant, ast.Name, ast.Load, ast.Call, ast.keyword, ast.BinOp, ast.UnaryOp, ast.Compare,
    ast.operator, ast.unaryop, ast.cmpop,
)  # fmt: skip
_LONGEST = 4000


def check(records: Records) -> None:
    """Refuse an exported program that would run anything but operators which are known to be harmless.

    Raises:
        LoadError: naming what it holds.
    """
    if len(set(map(str.casefold, records.names))) < len(records.names):
        raise records.refuse("holds two records of one name")
    for name in records.names:
        if name.startswith("data/aotinductor/"):  # torch loads the libraries that it finds there
            raise records.refuse(f"holds native code ({name})")
        if not _RECORD.fullmatch(name):
            raise records.refuse(f"holds {name[:100]!r}, which torch.export.save does not write")
        if name.startswith("models/"):
            _check_program(records, records.json(name), name)
        elif name.startswith(("data/weights/", "data/constants/")) and name.endswith(".json"):
            _check_payloads(records, records.json(name), name)
        elif name.startswith("data/sample_inputs/") or re.fullmatch(r"data/(weights|constants)/.*\.pt", name):
            _check_pickle(records, name)


def _check_payloads(records: Records, config: Any, name: str) -> None:
    entries = config.get("config") if isinstance(config, dict) else None
    if not isinstance(entries, dict):
        raise LoadError(f"{name} is damaged")
    for key, entry in entries.items():
        _check_name(records, key, dotted=True)
        path = str(entry.get("path_name"))
        if not path.startswith(("weight_", "tensor_")):  # custom_obj_ may bring TorchScript, opaque_obj_ any pickle
            raise records.refuse(f"keeps {key!r} as a pickle of any object")
        if entry.get("use_pickle"):
            _check_pickle(records, f"{name.rpartition('/')[0]}/{path}")


def _check_pickle(records: Records, name: str) -> None:
    """Torch would unpickle it without limits: see that it loads within them."""
    import torch

    data = records.read(name)
    if not data:
        return
    try:
        found = torch.load(io.BytesIO(data), weights_only=True, map_location="cpu")
    except Exception as error:
        raise records.refuse(f"holds a pickle ({name}) of more than tensors") from error
    # the indices of sparse ones are believed
    if any(isinstance(each, torch.Tensor) and each.layout is not torch.strided for each in _leaves(found)):
        raise records.refuse(f"holds a sparse tensor ({name})")


def _leaves(value: Any) -> Iterator[Any]:
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            waiting += item.values()
        elif isinstance(item, list | tuple):
            waiting += item
        else:
            yield item


def _check_program(records: Records, program: Any, name: str) -> None:
    for key, value, parent in _entries(program):
        if key in ("expr_str", "as_expr") and isinstance(value, str):
            _check_expression(records, value)
        elif key == "as_operator" or (key == "target" and "inputs" in parent):
            _check_operator(records, value)
        elif key in _VARIABLES or key.endswith(("name", "names", "fqn")):
            for item in value if isinstance(value, list) else (value,):
                _check_name(records, item, key not in _VARIABLES)
                if item in _TAKEN and "arg" not in parent:  # an operator's argument may be called `self`
                    raise records.refuse(f"calls a value {item!r}, which means something else")
        elif key == "range_constraints" and not all(map(_SYMBOL.fullmatch, value or ())):
            raise records.refuse("names a size by what is no symbol")
        elif key in ("in_spec", "out_spec") and isinstance(value, str):
            _check_tree(records, value, key == "in_spec")
    if not isinstance(program, dict) or "graph_module" not in program:
        raise LoadError(f"{name} is damaged: it holds no graph")


def _entries(value: Any) -> Iterator[tuple[str, Any, dict[str, Any]]]:
    """Every key of every object, at any depth, with its value and the object."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            yield from ((key, each, item) for key, each in item.items())
            waiting += item.values()
        elif isinstance(item, list):
            waiting += item


def _check_operator(records: Records, target: Any) -> None:
    """
    Raises:
        LoadError: it is no operator, or none that is known.
    """
    if not isinstance(target, str):
        raise records.refuse(f"calls {str(target)[:100]!r}, which is no operator")
    if any(pattern.fullmatch(target) for pattern in _ARITHMETIC):
        return
    named = _OPERATOR.fullmatch(target)
    if not named or f"{named[1]}::{named[2]}" not in operators.HARMLESS or not _is_operator(*named.groups()):
        raise records.refuse(f"calls {target[:100]!r}, {operators.UNKNOWN}")


def _is_operator(namespace: str, name: str, overload: str | None) -> bool:
    """Whether the names lead to an operator, and not to something that it has beside; true where nothing has them."""
    import torch

    try:
        found = getattr(getattr(torch.ops, namespace), name)
    except AttributeError:
        return True
    if operators.is_higher_order(found):
        return overload is None
    return operators.is_packet(found) and overload in (None, *found.overloads())


def _check_name(records: Records, name: Any, dotted: bool) -> None:
    """
    Raises:
        LoadError: what is written into Python source as a name is none.
    """
    sound = (_PATH if dotted else _IDENTIFIER).fullmatch(str(name)) and not keyword.iskeyword(str(name))
    if name and not sound:
        raise records.refuse(f"uses the name {str(name)[:100]!r}, which is no name in Python")


def _check_expression(records: Records, text: str) -> None:
    try:
        nodes = list(ast.walk(ast.parse(text, mode="eval"))) if len(text) <= _LONGEST else []
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        nodes = []
    calls = [node.func for node in nodes if isinstance(node, ast.Call)]
    known = all(isinstance(each, ast.Name) and _FUNCTIONS.fullmatch(each.id) for each in calls)
    plain = all(isinstance(node, _NODES) and _is_plain(node) for node in nodes)
    if not nodes or not known or not plain:
        raise records.refuse(f"holds the expression {text[:100]!r}, which is more than arithmetic")


def _is_plain(node: ast.AST) -> bool:
    if isinstance(node, ast.Constant):
        if isinstance(node.value, str):  # a symbol's name, or a number's digits
            return re.fullmatch(r"[\w.+-]{1,64}", node.value) is not None
        return isinstance(node.value, int | float)
    return not isinstance(node, ast.Name) or not node.id.startswith("__")


def _check_tree(records: Records, text: str, named: bool) -> None:
    """How values are nested: only in Python's own containers; `named` keys become names of arguments.

    Raises:
        LoadError: it is something else.
    """
    try:
        for key, value, parent in _entries(json.loads(text)):
            if key == "type" and "children_spec" in parent and value is not None and value not in _TREES:
                raise records.refuse(f"takes or gives a {str(value)[:100]}: export it with tensors, tuples and dicts")
            if key == "context" and value is not None:
                _check_context(records, json.loads(value), named)
    except (ValueError, TypeError, RecursionError) as error:
        raise records.refuse("describes its arguments in no JSON") from error


def _check_context(records: Records, context: Any, named: bool) -> None:
    """A container's own: nothing, the length of a deque, or the keys of a dict."""
    if context is None or isinstance(context, int):
        return
    if not isinstance(context, list) or not all(isinstance(key, str | int) for key in context):
        raise records.refuse(f"describes a container by {str(context)[:100]!r}, which are no keys")
    for key in context if named else ():
        _check_name(records, key, dotted=False)
