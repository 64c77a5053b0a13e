"""TorchScript programs that call an operator in every way that somebody came up with: spelling by place.

A program is the records of an archive. Most of them torch cannot compile, or would not run; which is nobody's to know
beforehand, so that every one of them has to be refused where the operator is not known.
"""

from __future__ import annotations

import io
import random
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

Records = dict[str, bytes]


class Inner(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * 3.0


class Outer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = Inner()

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x) + 1.0


#: how an operator is called: with `{op}` its name and `{args}` its arguments
SPELLINGS: Mapping[str, str] = {
    "plain": "torch.{op}({args})",
    "ops": "ops.aten.{op}({args})",
    "prim": "ops.prim.{op}({args})",
    "alias": "f = torch.{op}\nf({args})",
    "alias of ops": "f = ops.aten.{op}\nf({args})",
    "alias of the namespace": "n = torch\nn.{op}({args})",
    "alias of a namespace": "n = ops.aten\nn.{op}({args})",
    "alias of all namespaces": "n = ops\nn.aten.{op}({args})",
    "two aliases": "f, g = torch.relu, torch.{op}\ng({args})",
    "in brackets": "(torch.{op})({args})",
    "namespace in brackets": "(torch).{op}({args})",
    "in a list": "[torch.{op}][0]({args})",
    "in a tuple": "(torch.{op}, 1)[0]({args})",
    "chosen": "(torch.{op} if True else torch.relu)({args})",
    "getattr": 'getattr(torch, "{op}")({args})',
    "getattr of ops": 'getattr(ops.aten, "{op}")({args})',
    "getattr in octal": 'getattr(torch, "{octal}")({args})',
    "getattr of a value": 'getattr(x, "{op}")({args})',
    "getattr in halves": 'getattr(torch, "{half}" "{rest}")({args})',
    "single quotes": "getattr(torch, '{op}')({args})",
    "method": "x.{op}({args})",
    "method with spaces": "x . {op} ({args})",
    "getattr of a value in halves": 'getattr(x, "{half}" "{rest}")({args})',
    "method of a list": "[x].{op}({args})",
    "line continued": "torch.{op}\\\n({args})",
    "line continued before": "torch.\\\n{op}({args})",
    "comment": "(torch.{op} # no\n({args}))",
    "type comment": "x = torch.relu(x) # type: (Tensor) -> Tensor\ntorch.{op}({args})",
    "spaces": "torch . {op} ({args})",
    "tabs": "torch\t.\t{op}\t({args})",
    "form feed": "torch\f.{op}({args})",
    "carriage return": "# no\rtorch.{op}({args})",
    "behind a string": 'y = """ " """\ntorch.{op}({args})\nz = """ " """',
    "behind a quote": "y = '\"'\ntorch.{op}({args})\nz = '\"'",
    "forked": "fork(torch.{op}, {args})",
    "comprehension": "[torch.{op}({args}) for i in range(1)]",
    "after a condition": "True and torch.{op}({args})",
    "in a format": '"%s" % torch.{op}({args})',
    "with": "with torch.{op}({args}):\n  pass",
    "assertion": "assert torch.{op}({args})",
    "returned": "return torch.{op}({args})",
    "keyword": "torch.add(x, x, alpha=torch.{op}({args}))",
    "unpacked": "torch.{op}(*[{args}])",
}


def _in_body(code: str) -> str:
    return outer(body=code)


def outer(declared: str = "", parameter: str = "", body: str = "", methods: str = "") -> str:
    return (
        "class Outer(Module):\n  __parameters__ = []\n  __buffers__ = []\n  training : bool\n"
        "  _is_full_backward_hook : Optional[bool]\n"
        f"  inner : {INNER}\n{_indent(declared, 2)}"
        f"  def forward(self: {OUTER},\n    x: Tensor{parameter}) -> Tensor:\n{_indent(body, 4)}"
        f"    inner = self.inner\n    return torch.add((inner).forward(x, ), 1.)\n{methods}"
    )


_PREFIX = "__torch__.tests.adapters.torch_.evasions"
INNER, OUTER = f"{_PREFIX}.Inner", f"{_PREFIX}.Outer"
_INNER_CLASS = (
    "class Inner(Module):\n  __parameters__ = []\n  __buffers__ = []\n  training : bool\n"
    "  _is_full_backward_hook : Optional[bool]\n"
    f"  def forward(self: {INNER},\n    x: Tensor) -> Tensor:\n    return torch.mul(x, 3.)\n"
)


def _indent(code: str, width: int) -> str:
    return "".join(f"{' ' * width}{line}\n" for line in code.splitlines())


def _expression(code: str) -> str:
    """Of a spelling what a declaration takes: one expression, be it over two lines."""
    return code if "\\\n" in code or code.startswith("(") else code.splitlines()[-1]


def method(owner: str, name: str, code: str, value: str = "x", argument: str = "", kind: str | None = None) -> str:
    """A method of `owner` that gives `value`."""
    kind = kind or {"None": "NoneType"}.get(value, "Tensor")
    more = f",\n    {argument}" if argument else ""
    return f"  def {name}(self: {owner}{more}) -> {kind}:\n{_indent(code, 4)}    return {value}\n"


_FREE = "def free(x: Tensor) -> Tensor:\n{}  return x\n"
_PLAIN = f"{_PREFIX}.Plain"
_NEW = f"p = {_PLAIN}.__new__({_PLAIN})\nq = (p).__init__()"
_TRUE = "torch.gt(torch.len(torch.size(x)), -1)"
_CLASS = "class Plain:\n"
_INIT = method(_PLAIN, "__init__", "pass", "None")


class Source(NamedTuple):
    """The parts of a program's code."""

    outer: str
    behind: str = ""  #: functions and classes
    inner: str = ""  #: more methods of the inner module


#: where it is called
PLACES: Mapping[str, Callable[[str], Source]] = {
    "body": lambda code: Source(_in_body(code)),
    "if": lambda code: Source(_in_body(f"if torch.eq(1, 1):\n{_indent(code, 2)}else:\n  pass")),
    "loop": lambda code: Source(_in_body(f"for i in range(1):\n{_indent(code, 2)}")),
    "closure": lambda code: Source(
        _in_body(f"def g():\n{_indent(code, 2)}  return torch.relu(x)\nh = fork(g)\nx = torch.wait(h)")
    ),
    "default of an argument": lambda code: Source(outer(parameter=f",\n    y: Any={_expression(code)}")),
    "default of a closure": lambda code: Source(
        _in_body(f"def g(y: Any={_expression(code)}):\n  return x\nh = fork(g)\nx = torch.wait(h)")
    ),
    "default that annotates": lambda code: Source(
        outer(parameter=f",\n    y: Tensor={_PREFIX}.annotate([])"),
        f"def annotate(x: List[int]) -> Tensor:\n  x = torch.ones([1])\n{_indent(code, 2)}  return x\n",
    ),
    "constant of a class": lambda code: Source(outer(declared=f"K : Final[Tensor] = {_expression(code)}")),
    "constant after a method": lambda code: Source(
        outer(methods=f"  def g(self: {OUTER}) -> int:\n      return 3\n  K : Final[Tensor] = {_expression(code)}\n")
    ),
    "attribute of a class": lambda code: Source(outer(declared=f"k = {_expression(code)}")),
    "statement of a class": lambda code: Source(outer(declared=code)),
    "method nobody calls": lambda code: Source(outer(methods=method(OUTER, "other", f"x = torch.ones([1])\n{code}"))),
    "function": lambda code: Source(_in_body(f"y = {_PREFIX}.free(x, )"), _FREE.format(_indent(code, 2))),
    "held function": lambda code: Source(_in_body(f"f = {_PREFIX}.free\ny = f(x, )"), _FREE.format(_indent(code, 2))),
    "class": lambda code: Source(
        _in_body(f"{_NEW}\nx = torch.add(x, torch.sum(p.t))"),
        f"{_CLASS}  t : Tensor\n" + method(_PLAIN, "__init__", f"x = torch.ones([1])\n{code}\nself.t = x", "None"),
    ),
    "__setstate__": lambda code: Source(
        outer(),
        inner=method(INNER, "__getstate__", "pass", "3", kind="int")
        + method(INNER, "__setstate__", f"x = torch.ones([1])\n{code}\nself.training = False", "None", "state: Any"),
    ),
    "__enter__": lambda code: Source(
        _in_body(f"{_NEW}\nwith p as y:\n  x = torch.add(x, torch.sum(y))"),
        _CLASS
        + _INIT
        + method(_PLAIN, "__enter__", f"x = torch.ones([1])\n{code}")
        + method(_PLAIN, "__exit__", "pass", "None", "a: Any, b: Any, c: Any"),
    ),
    "__lt__": lambda code: Source(
        _in_body(f"{_NEW}\n{_NEW.replace('p =', 's =').replace('(p)', '(s)')}\nr = [p, s]\ntorch.sort(r)"),
        _CLASS
        + _INIT
        + method(_PLAIN, "__lt__", f"x = torch.ones([1])\n{code}", _TRUE, f"other: {_PLAIN}", kind="bool"),
    ),
    "named tuple": lambda code: Source(
        outer(declared=f"p : Optional[{_PREFIX}.Pair]"),
        f"class Pair(NamedTuple):\n  a : Tensor = {_expression(code)}\n",
    ),
    "enumeration": lambda code: Source(
        outer(declared=f"p : Optional[{_PREFIX}.Kind]"), f"class Kind(Enum):\n  A = {_expression(code)}\n"
    ),
    "module": lambda code: Source(_in_body(f"y = {_PREFIX}.free(x, )"), f"{_FREE.format('')}{code}\n"),
}


def records() -> Records:
    """A sound program of two modules."""
    stream = io.BytesIO()
    torch.jit.save(torch.jit.script(Outer().eval()), stream)
    with zipfile.ZipFile(stream) as archive:
        return {name.partition("/")[2]: archive.read(name) for name in archive.namelist() if "debug_pkl" not in name}


CODE = "code/__torch__/tests/adapters/torch_/evasions.py"


def program(base: Records, operator: str, args: str, spelling: str, place: str) -> Records:
    """The sound program with a call of `operator` put into it."""
    octal = "".join(f"\\{ord(each):03o}" for each in operator)
    half = len(operator) // 2
    code = SPELLINGS[spelling].format(op=operator, args=args, octal=octal, half=operator[:half], rest=operator[half:])
    source = PLACES[place](code)
    return {**base, CODE: f"{_INNER_CLASS}{source.inner}{source.outer}{source.behind}".encode()}


_DAMAGE = (
    b" ", b"  ", b"\n", b"\n  ", b"\n    ", b"\\\n", b"#\n", b"\t", b"\r", b"\r\n", b"\f", b"\v", b"\0", b"\xa0",
    b"\xc2\xa0", b"(", b")", b'"', b"'", b'"""', b";", b".", b"0",
)  # fmt: skip


def mutations(base: Records, seed: int, count: int) -> Iterator[Records]:
    """Programs that save a file, in a random way and then damaged a little, at random."""
    rng = random.Random(seed)
    for _ in range(count):
        operator, args = rng.choice([("save", "x, 'MARK'"), ("save", 'x, "MARK"'), ("from_file", '"MARK", True, 8')])
        found = program(base, operator, args, rng.choice(list(SPELLINGS)), rng.choice(list(PLACES)))
        source = bytearray(found[CODE])
        for _ in range(rng.choice([1, 1, 2, 3])):
            at = rng.randrange(len(source))
            source[at:at] = rng.choice(_DAMAGE)
        yield {**found, CODE: bytes(source)}


def write(found: Records, path: Path) -> Path:
    """The archive, as torch's own writer lays it out."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = torch._C.PyTorchFileWriter(str(path))
    for name, data in found.items():
        if name not in (".data/serialization_id", "version", "byteorder"):  # it writes these itself
            writer.write_record(name, data, len(data))
    writer.write_end_of_file()
    return path
