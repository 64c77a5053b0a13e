"""Pickles composed at random, opcode by opcode, in every spelling that an opcode has: sound ones, and others."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

#: names with arguments, as pickles of known libraries call them
_CALLS: tuple[tuple[str, str, str], ...] = (
    ("collections", "OrderedDict", "()"),
    ("collections", "deque", "list"),
    ("builtins", "set", "list"),
    ("builtins", "frozenset", "list"),
    ("builtins", "bytearray", "bytes"),
    ("_codecs", "encode", "latin"),
)
_CLASSES = (
    ("sklearn.linear_model._logistic", "LogisticRegression"),
    ("sklearn.preprocessing._data", "StandardScaler"),
    ("sklearn.preprocessing._function_transformer", "FunctionTransformer"),
    ("sklearn.utils._bunch", "Bunch"),
)
_HELD = (("numpy", "log1p"), ("numpy", "mean"), ("builtins", "int"), ("scipy.special", "expit"), *_CLASSES)
#: what no model's pickle may name
FORBIDDEN = (
    ("os", "system"), ("posix", "system"), ("builtins", "eval"), ("builtins", "exec"), ("builtins", "open"),
    ("builtins", "__import__"), ("subprocess", "Popen"), ("importlib", "import_module"), ("shutil", "os.system"),
    ("numpy", "load"), ("numpy", "fromfile"), ("numpy", "memmap"), ("numpy", "genfromtxt"), ("numpy", "savetxt"),
    ("joblib", "load"), ("joblib.memory", "Memory"), ("pandas", "read_pickle"), ("pathlib", "Path"),
    ("sklearn.datasets", "load_files"), ("sklearn.pipeline", "os"), ("operator", "attrgetter"), ("__main__", "Model"),
    ("sklearn.base", "BaseEstimator.__init__"), ("functools", "reduce"), ("types", "FunctionType"),
    ("code", "interact"),
)  # fmt: skip


#: what no pickle under the policy does; imports open and compile files, and are made beforehand
_ACTS = (
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.fork",
    "subprocess.",
    "socket.",
    "shutil.",
    "ctypes.",
    "pty.",
    "exec",
)
_seen: list[str] | None = None


@cache
def _listen() -> None:
    """For the rest of the process: a hook cannot be taken away. What pickles name is imported before it listens."""
    import scipy.special  # noqa: F401
    import sklearn.linear_model
    import sklearn.pipeline
    import sklearn.preprocessing  # noqa: F401

    sys.addaudithook(_hook)


def _hook(event: str, _args: Any) -> None:
    if _seen is not None and event.startswith(_ACTS):
        _seen.append(event)


@contextmanager
def watched() -> Iterator[list[str]]:
    """The acts that Python audits while a pickle is loaded."""
    global _seen
    _listen()
    acts: list[str] = []
    _seen = acts
    try:
        yield acts
    finally:
        _seen = None


@dataclass
class Composer:
    """Writes one pickle; `forbidden` is what it names that it must not, and `acts` what it does."""

    random: random.Random
    hostile: bool
    protocol: int = 4
    forbidden: list[str] = field(default_factory=list)
    memo: list[int] = field(default_factory=list)

    def pickle(self) -> bytes:
        """A model's pickle: an estimator whose state is made up."""
        self.protocol = self.random.choice([2, 3, 4, 5])
        body = self._object(4)
        if self.hostile and not self.forbidden:
            body = self._thrown_away() + body
        if self.protocol >= 4 and self.random.random() < 0.5:
            body = b"\x95" + (len(body) + 1).to_bytes(8, "little") + body
        return b"\x80" + bytes([self.protocol]) + body + b"."

    def _thrown_away(self) -> bytes:
        """A forbidden name whose value nobody keeps, or only the memo does."""
        return self._forbidden() + self.random.choice([b"0", b"q\xfa0", b"(1", b"\x850", b"(]10"])

    def _forbidden(self) -> bytes:
        module, name = self.random.choice(FORBIDDEN)
        self.forbidden.append(f"{module}.{name}")
        named = self._name(module, name)
        return self.random.choice([named, named + b")R", named + self._text("id") + b"\x85R", named + b")\x81"])

    def _value(self, depth: int) -> bytes:
        if self.hostile and self.random.random() < 0.1:
            return self._forbidden()
        simple: list[Callable[[], bytes]] = [self._number, self._word, self._bytes, self._held_name, self._known]
        if depth <= 0:
            return self.random.choice(simple)()
        nested = [self._list, self._tuple, self._dict, self._object, self._call, self._set]
        return self.random.choice([lambda: self.random.choice(nested)(depth - 1), *simple])()

    def _number(self) -> bytes:
        value = self.random.randrange(256)
        return self.random.choice([
            b"K" + bytes([value]), b"M" + bytes([value, 1]), b"J" + value.to_bytes(4, "little"), b"I%d\n" % value,
            b"L%dL\n" % value, b"\x8a\x01" + bytes([value]), b"G" + bytes(8), b"F1.5\n", b"N", b"\x88", b"\x89",
        ])  # fmt: skip

    def _word(self) -> bytes:
        return self._text(self.random.choice(["steps", "a", "n_features_in_", "b", "os", "system", "x" * 99]))

    def _text(self, text: str) -> bytes:
        data = text.encode()
        ways = [b"X" + len(data).to_bytes(4, "little") + data, b"V" + data + b"\n"]
        if self.protocol >= 4:
            ways += [b"\x8c" + bytes([len(data)]) + data, b"\x8d" + len(data).to_bytes(8, "little") + data]
        return self.random.choice(ways)

    def _bytes(self) -> bytes:
        data = bytes(self.random.randrange(256) for _ in range(self.random.choice([0, 3, 40])))
        if self.protocol < 3:
            return self._word()
        ways = [b"C" + bytes([len(data)]) + data, b"B" + len(data).to_bytes(4, "little") + data]
        if self.protocol >= 4:
            ways.append(b"\x8e" + len(data).to_bytes(8, "little") + data)
        if self.protocol >= 5:
            ways.append(b"\x96" + len(data).to_bytes(8, "little") + data)
        return self.random.choice(ways)

    def _name(self, module: str, name: str) -> bytes:
        ways = [b"c" + f"{module}\n{name}\n".encode()]
        if self.protocol >= 4:
            ways.append(self._text(module) + self._text(name) + b"\x93")
            ways.append(self._text(module) + b"q\xf0" + self._text(name) + b"q\xf100h\xf0h\xf1\x93")
        return self.random.choice(ways)

    def _held_name(self) -> bytes:
        return self._name(*self.random.choice(_HELD))

    def _known(self) -> bytes:
        """A value that is kept in the memo, or one from there."""
        if self.memo and self.random.random() < 0.6:
            index = self.random.choice(self.memo)
            return self.random.choice([b"h" + bytes([index]), b"j" + index.to_bytes(4, "little"), b"g%d\n" % index])
        index = len(self.memo)
        if index > 200:
            return self._number()
        value = self._number()
        self.memo.append(index)
        return value + self.random.choice([b"q" + bytes([index]), b"r" + index.to_bytes(4, "little"), b"p%d\n" % index])

    def _values(self, depth: int, most: int = 4) -> list[bytes]:
        return [self._value(depth) for _ in range(self.random.randint(0, most))]

    def _list(self, depth: int) -> bytes:
        values = self._values(depth)
        one_by_one = b"]" + b"".join(value + b"a" for value in values)
        return self.random.choice([one_by_one, b"](" + b"".join(values) + b"e", b"(" + b"".join(values) + b"l"])

    def _tuple(self, depth: int) -> bytes:
        values = self._values(depth)
        if len(values) <= 3 and self.random.random() < 0.5:
            return b"".join(values) + [b")", b"\x85", b"\x86", b"\x87"][len(values)]
        return b"(" + b"".join(values) + b"t"

    def _dict(self, depth: int) -> bytes:
        pairs = [self._word() + self._value(depth) for _ in range(self.random.randint(0, 3))]
        one_by_one = b"}" + b"".join(pair + b"s" for pair in pairs)
        return self.random.choice([one_by_one, b"}(" + b"".join(pairs) + b"u", b"(" + b"".join(pairs) + b"d"])

    def _set(self, depth: int) -> bytes:
        if self.protocol < 4:
            return self._list(depth)
        items = b"".join(self.random.choice([self._number, self._word])() for _ in range(3))
        return self.random.choice([b"\x8f(" + items + b"\x90", b"(" + items + b"\x91"])

    def _call(self, depth: int) -> bytes:
        module, name, takes = self.random.choice(_CALLS)
        numbers = b"](" + b"".join(self._number() for _ in range(3)) + b"e\x85"
        taken = {
            "()": b")",
            "list": numbers,
            "bytes": b")",
            "latin": self._text("abc") + self._text("latin1") + b"\x86",
        }
        return self._name(module, name) + taken[takes] + b"R"

    def _object(self, depth: int) -> bytes:
        made = self._name(*self.random.choice(_CLASSES[:3])) + self.random.choice([b")\x81", b"\x29\x81"])
        return made + self._dict(depth) + b"b" if self.random.random() < 0.8 else made
