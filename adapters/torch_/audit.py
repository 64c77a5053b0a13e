"""What a torch archive would run while it is loaded and afterwards, read before torch sees it.

**TorchScript** is a language of its own: no Python, no imports. Two of its operators reach files (`torch.save`,
`torch.from_file`); a program that names them is refused.

**Exported programs** are JSON, but `torch.export.load` evaluates parts of it: it unpickles weights, constants and
sample inputs without limits where the archive says so, gives expressions of sizes to sympy (which calls `eval`), writes
names into Python source that it executes, and follows any dotted name below `torch`. So each of these is read first:
no pickles but such as `weights_only` loads, expressions of arithmetic alone, names that are identifiers, operators of
torch's own libraries. The rule is about code; it is no sandbox for native kernels, which the trial process tries first.
"""

from __future__ import annotations

import ast
import io
import json
import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from adapters.base import LoadError

#: bytes of one record that are read here: code and descriptions, never tensors
MAX_RECORD = 256 << 20
_TRUST = "if you trust the file, set `trust: full` in its polyserve.yaml"


class Records:
    """An archive's records, read as torch itself reads them, so that both see the same."""

    def __init__(self, path: Path) -> None:
        import torch

        self._name = path.name
        self._size = path.stat().st_size
        self._reader = torch._C.PyTorchFileReader(str(path))

    @cached_property
    def names(self) -> list[str]:
        return list(self._reader.get_all_records())

    def read(self, name: str) -> bytes:
        """One record.

        Raises:
            LoadError: it is absent or far too large.
        """
        if name not in self.names:
            raise LoadError(f"{self._name} is damaged: it holds no {name}")
        data: bytes = self._reader.get_record(name)
        if len(data) > MAX_RECORD:
            raise LoadError(f"{self._name}: {name} holds {len(data)} bytes, the limit is {MAX_RECORD}")
        return data

    def json(self, name: str) -> Any:
        try:
            return json.loads(self.read(name))
        except (ValueError, RecursionError) as error:
            raise LoadError(f"{self._name} is damaged: {name} is not JSON") from error

    def refuse(self, what: str) -> LoadError:
        return LoadError(f"{self._name} {what}; it was not loaded: {_TRUST}")


# TorchScript

#: operators that read or write files
_FILES = re.compile(r"\b(from_file(?:_out)?|save|load_tensor)\b(?=\s*\()|[\"'](?:from_file|save|load_tensor)[\"']")
#: a namespace that is not followed by a name: held under another one, its operators could not be read off
_BARE = re.compile(r"(?<![\w.])(?:torch|ops|ops\s*\.\s*\w+)(?![\w]|\s*\.)")
_STRINGS = re.compile(r"\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*'")


def check_script(records: Records) -> None:
    """Refuse a TorchScript program whose code reaches files."""
    for name in records.names:
        if name.startswith("code/") and name.endswith(".py"):
            source = records.read(name).decode("utf-8", "replace")
            if found := _FILES.search(source):
                raise records.refuse(f"calls {found[0]} in {name}, which reaches files")
            if found := _BARE.search(_STRINGS.sub('""', source)):
                raise records.refuse(f"holds {found[0]} by another name in {name}")


# exported programs

_LIBRARIES = "aten|prims|prim|quantized|quantized_decomposed|higher_order|mkldnn|onednn|sparse|torchvision|torchaudio"
_BITWISE = "__(?:i|r)?(?:and|or|xor|lshift|rshift)__"
_OPERATORS = (
    re.compile(rf"torch\.ops\.(?:{_LIBRARIES})\.(?:(?!__)\w+|{_BITWISE})(?:\.(?!__)\w+)?"),
    re.compile(r"torch\.(?:_?sym_(?:int|float|ite|max|min|not|sum|sqrt)|sym_fresh_size)"),
    re.compile(r"_operator\.(?:add|sub|mul|truediv|floordiv|mod|pow|neg|pos|abs|eq|ne|lt|le|gt|ge|and_|or_|xor|not_|"
               r"lshift|rshift|getitem|truth|index|inv|invert)"),
    re.compile(r"math\.(?!_)\w+"),
)  # fmt: skip
_FILE_OPERATORS = re.compile(r"\.(?:from_file|save|load_tensor)\b")
_IDENTIFIER = re.compile(r"[A-Za-z_]\w*")
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


def check_exported(records: Records) -> None:
    """Refuse an exported program that would run anything but torch's own operators.

    Raises:
        LoadError: naming what it holds.
    """
    for name in records.names:
        if name.startswith("data/aotinductor/"):  # torch.export.load loads the libraries that it finds there
            raise records.refuse(f"holds native code ({name})")
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
        torch.load(io.BytesIO(data), weights_only=True, map_location="cpu")
    except Exception as error:
        raise records.refuse(f"holds a pickle ({name}) of more than tensors") from error


def _check_program(records: Records, program: Any, name: str) -> None:
    for key, value, parent in _entries(program):
        if key in ("expr_str", "as_expr") and isinstance(value, str):
            _check_expression(records, value)
        elif key == "as_operator" or (key == "target" and "inputs" in parent):
            _check_operator(records, value)
        elif key in ("name", "as_name", "class_fqn") and isinstance(value, str):
            _check_name(records, value, key == "class_fqn")
        elif key == "forward_arg_names":
            for item in value or ():
                _check_name(records, item)
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
    sound = isinstance(target, str) and any(pattern.fullmatch(target) for pattern in _OPERATORS)
    if not sound or _FILE_OPERATORS.search(target):
        raise records.refuse(f"calls {str(target)[:100]!r}, which is no operator of torch's own that computes")


def _check_name(records: Records, name: Any, dotted: bool = False) -> None:
    parts = str(name).split(".") if dotted else [str(name)]
    if name and not all(_IDENTIFIER.fullmatch(part) for part in parts):
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
    """How values are nested: only in Python's own containers; `named` keys become names of arguments."""
    try:
        for key, value, parent in _entries(json.loads(text)):
            if key == "type" and "children_spec" in parent and value is not None and value not in _TREES:
                raise records.refuse(f"takes or gives a {str(value)[:100]}: export it with tensors, tuples and dicts")
            if key == "context" and isinstance(value, str):
                context = json.loads(value)
                for item in context if named and isinstance(context, list) else ():
                    _check_name(records, item)
                if "__enum__" in value:
                    raise records.refuse("names an enumeration")
    except (ValueError, RecursionError) as error:
        raise records.refuse("describes its arguments in no JSON") from error
