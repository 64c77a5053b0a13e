"""The pickle machine that only looks: a name stays a name, an object is a record of its class, arguments and state."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NoReturn

from adapters.formats.pickles.machine import MAX_LINE, SHORT, Machine
from adapters.formats.pickles.policy import (
    ARRAY_WRAPPERS,
    CHECK_ARRAY,
    GETATTR,
    PARTIAL,
    STR_METHODS,
    Use,
    dotted,
    judge,
)
from adapters.formats.pickles.records import (
    MAX_BYTES,
    MAX_HELD,
    MAX_STACKED,
    Found,
    Made,
    Name,
    count_of,
    layout_of,
    tuple_of,
)
from adapters.formats.pickles.stream import Unreadable, skip, take

__all__ = ["Scan"]

_INERT, _IDLE = Use.INERT, (Use.CLASS, Use.FUNCTION, Use.CONSTANT)  #: the latter are not called
_LONG = 2**14  #: texts and bytes from here on are no names, and are passed over
_LABEL = 120  #: characters of what a message shows
_LINE = 2**16  #: bytes of a line that are held
_LIST = 1000  #: tuples in a list that are kept, of a pipeline's steps, which are fewer
#: bytes of what is made, of an element of a tuple, and of a dictionary that keeps some
_OBJECT, _ELEMENT, _FILLED = 80, 24, 240
_REMEMBERED = 8  #: bytes of a place in the pickle's memory
#: what stands for every text and for all bytes that are passed over; a state leaves them as they are
_TEXT, _BYTES = Made("builtins.str"), Made("builtins.bytes")
#: ... and for numbers of numpy's, of which a vocabulary has one for each word, with their bytes in old pickles
_SCALARS = ("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar", "_codecs.encode")
_ALIKE = {name: Made(name) for name in _SCALARS}
_SHARED = (_TEXT, _BYTES, *_ALIKE.values())
#: what is kept of a state, so that a large dictionary takes no memory
_KEPT = frozenset(
    {"steps", "n_features_in_", "best_estimator_", "shape", "dtype", "numpy_array_alignment_bytes", "feature_names_in_"}
)
_VERSION, _COLUMNS = "_sklearn_version", "feature_names_in_"
#: functions whose result is of the class that their first argument names
_DTYPE = "numpy.dtype"  #: whose arguments are needed
_MAKERS = re.compile(r"_reconstructor|__newobj__|__newobj_ex__|_\w*reconstruct|newObj|_new_\w+|__pyx_unpickle_\w+")


def _is_str_method(names: tuple[Any, ...]) -> bool:
    return len(names) == 1 and isinstance(names[0], str) and names[0] in STR_METHODS


@lru_cache(maxsize=1024)  # as the policy's judgement of it
def _named(module: str, name: str) -> Name:
    return Name(dotted(module, name), judge(module, name), _MAKERS.fullmatch(name) is not None)


class _Opcodes(dict[int, Callable[[Any], None]]):
    """The methods for opcodes; there is none for what damage made of one."""

    def __missing__(self, code: int) -> NoReturn:
        raise Unreadable(f"is no pickle, or a damaged one: it has no opcode {code:#04x}")


class Scan(Machine):
    """Runs one pickle to its end in bounded steps and memory; `load` returns a stand-in for the top object."""

    dispatch = _Opcodes(Machine.dispatch)

    def __init__(self, stream: io.BufferedReader, found: Found, nested: bool = False) -> None:
        super().__init__(stream, found)
        self._found = found
        self._nested = nested
        self._cut = False  #: whether the line that was read last was longer than what was kept of it

    def check_held(self) -> None:
        """
        Raises:
            Unreadable: the scan would hold more than it needs for any model.
        """
        stacks = len(self.stack) + len(self.metastack) + sum(map(len, self.metastack))
        if stacks > MAX_STACKED:
            raise Unreadable(f"puts more than {MAX_STACKED:,} objects on its stack, as no model does")
        if stacks + len(self.memo) + self._found.in_tuples > MAX_HELD:
            raise Unreadable(f"holds more than {MAX_HELD:,} objects, as no model does")
        if self._found.weight + _REMEMBERED * len(self.memo) > MAX_BYTES:
            raise Unreadable(f"makes so many objects that what stands for them takes {MAX_BYTES >> 20} MiB")

    # names

    def find_class(self, module: str, name: str) -> Name:
        module, name = self.modern(module, name)
        named = (_named if len(module) + len(name) <= _LABEL else _named.__wrapped__)(module, name)
        self._found.name(named.name)
        if named.use is None:
            self._found.unlisted[named.name] = None
        elif named.name in (GETATTR, PARTIAL):
            self._found.held[named.name] = None
        self._found.weight += _OBJECT
        return named

    # making objects

    def load_reduce(self) -> None:
        args = self.stack.pop()
        self.append(self._call(self.stack.pop(), args))

    def _instantiate(self, maker: Any, args: list[Any]) -> None:
        """INST and OBJ, by which Python 2 made objects."""
        self._found.acts["makes an object with an opcode of Python 2"] = None
        self.append(self._call(maker, tuple(args)))

    def load_newobj(self) -> None:
        stack = self.stack
        stack.pop()
        cls = stack.pop()
        if type(cls) is not Name:
            self._found.acts["makes an object of what is no class"] = None
            stack.append(self._made("unknown"))
            return
        self._found.weight += _OBJECT
        stack.append(Made(cls.name, (), None, cls.use is _INERT))

    def load_newobj_ex(self) -> None:
        self.stack.pop()
        self.load_newobj()

    def _call(self, maker: Any, args: Any) -> Made:
        if not isinstance(maker, Name) or not isinstance(args, tuple):
            self._found.acts["calls an object that it made itself"] = None
            return self._made("unknown")
        first = args[0] if args else None
        if maker.name in (GETATTR, PARTIAL):
            self._guarded(maker.name, args)
        elif maker.use in _IDLE:
            self._found.acts[f"calls {maker.name}"] = None
        if maker.name in _ALIKE and maker.use is not _INERT:
            return _ALIKE[maker.name]
        if maker.of_first and isinstance(first, Name):
            return self._made(first.name, inert=first.use is _INERT)
        kept = args if maker.name == _DTYPE else ()
        return self._made(maker.name, kept, inert=maker.use is _INERT)

    def _made(self, name: str, args: tuple[Any, ...] = (), *, inert: bool = False) -> Made:
        self._found.weight += _OBJECT
        return Made(name, args, inert=inert)

    def _guarded(self, name: str, args: tuple[Any, ...]) -> None:
        """Let `getattr` and `partial` do what they are allowed for, and note whatever else they are to do."""
        first = args[0] if args else None
        of_inert = isinstance(first, Made) and first.inert
        of_texts = isinstance(first, Name) and first.name == "builtins.str" and _is_str_method(args[1:])
        check = isinstance(first, Name) and first.name == CHECK_ARRAY
        if (of_inert or of_texts) if name == GETATTR else check:
            self._found.held.pop(name, None)
        elif name == GETATTR and isinstance(first, Name) and len(args) > 1 and isinstance(args[1], str):
            self._found.unlisted[f"{name}({first.name}, {args[1]!r})"[:_LABEL]] = None
        else:
            self._found.unlisted[name] = None

    def load_build(self) -> None:
        state = self.stack.pop()
        target = self.stack[-1]
        if isinstance(target, Name):
            self._found.acts[f"changes {target.name}"] = None
        elif isinstance(target, Made) and target not in _SHARED:
            target.state = state
            if target.name in ARRAY_WRAPPERS:
                self._pass_array(state)
                self.stack[-1] = Made("numpy.ndarray")

    def _pass_array(self, state: Any) -> None:
        """Go over the array that follows joblib's stand-in for it: its bytes, or a pickle of its objects."""
        if not isinstance(state, dict) or self._nested:
            raise Unreadable("is damaged: an array without its shape")
        itemsize, of_objects = layout_of(state.get("dtype"))
        if of_objects:
            Scan(self.stream, self._found, nested=True).load()
            return
        if state.get("numpy_array_alignment_bytes") is not None:
            skip(self.stream, take(self.stream, 1)[0])
        skip(self.stream, count_of(state.get("shape")) * itemsize)

    # containers: only what `_KEPT` names is kept, and tuples in lists

    def load_empty_list(self) -> None:
        self._found.weight += _OBJECT
        self.append([])

    def load_list(self) -> None:
        items = self.pop_mark()
        self.load_empty_list()
        self._extend(items)

    def load_empty_dictionary(self) -> None:
        self._found.weight += _OBJECT
        self.append({})

    def load_append(self) -> None:
        value = self.stack.pop()
        self._extend([value])

    def load_appends(self) -> None:
        self._extend(self.pop_mark())

    def _extend(self, items: list[Any]) -> None:
        if type(kept := self.stack[-1]) is list:
            kept += [item for item in items if isinstance(item, tuple)][: _LIST - len(kept)]

    def load_setitem(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._update([key, value])

    def load_setitems(self) -> None:
        self._update(self.pop_mark())

    def load_dict(self) -> None:
        items = self.pop_mark()
        self.load_empty_dictionary()
        self._update(items)

    def _update(self, items: list[Any]) -> None:
        target, parts = self.stack[-1], iter(items)
        keeps = type(target) is dict
        for key, value in zip(parts, parts, strict=True):
            if type(key) is not str:
                continue
            if key == _VERSION and isinstance(value, str):
                self._found.version = self._found.version or value
            elif key in _KEPT:
                self._found.on_frame |= key == _COLUMNS
                if keeps:
                    self._found.weight += 0 if target else _FILLED
                    target[key] = value

    def load_empty_set(self) -> None:
        self.append(self._made("builtins.set"))

    def load_additems(self) -> None:
        self.pop_mark()

    def load_frozenset(self) -> None:
        self.pop_mark()
        self.append(self._made("builtins.frozenset"))

    def load_tuple(self) -> None:
        self._tuple(tuple(self.pop_mark()))

    def load_tuple1(self) -> None:
        self._tuple((self.stack.pop(),))

    def load_tuple2(self) -> None:
        second = self.stack.pop()
        self._tuple((self.stack.pop(), second))

    def load_tuple3(self) -> None:
        second, third = self.stack[-2:]
        del self.stack[-2:]
        self._tuple((self.stack.pop(), second, third))

    def _tuple(self, items: tuple[Any, ...]) -> None:
        found, size = self._found, len(items)
        found.in_tuples += size
        found.weight += _OBJECT + _ELEMENT * size
        self.append(tuple_of(items))

    # texts and bytes: long ones are passed over

    def load_short_binbytes(self) -> None:
        super().load_short_binbytes()  # type: ignore[misc]
        self._found.weight += SHORT + len(self.stack[-1])

    def load_binbytes(self) -> None:
        self._bytes(4)

    def load_binbytes8(self) -> None:
        self._bytes(8)

    def load_bytearray8(self) -> None:
        self._bytes(8)

    def load_binunicode(self) -> None:
        self._text(4)

    def load_binunicode8(self) -> None:
        self._text(8)

    def load_binstring(self) -> None:
        self._bytes(4)

    def load_short_binstring(self) -> None:
        super().load_short_binstring()  # type: ignore[misc]
        self._found.weight += SHORT + len(self.stack[-1])

    def load_long4(self) -> None:
        self._bytes(4)

    def load_string(self) -> None:
        self._text_line(super().load_string)  # type: ignore[misc]

    def load_unicode(self) -> None:
        self._text_line(super().load_unicode)  # type: ignore[misc]

    def _text_line(self, load: Callable[[], None]) -> None:
        """A text that ends with its line, as protocol 0 writes texts, and whole arrays."""
        self._cut, readline = False, self.readline
        line = readline()
        if self._cut:
            self.append(_TEXT)
            return
        self.readline = lambda: line
        self._found.weight += SHORT + len(line)
        try:
            load()
        finally:
            self.readline = readline

    def _line(self) -> bytes:
        """A line of the file; of a longer one than any name the beginning, and the rest is passed over."""
        line = self.stream.readline(_LINE)
        self._cut = not line.endswith(b"\n")
        if not self._cut:
            return line
        for _ in range(MAX_LINE // _LINE):
            part = self.stream.readline(_LINE)
            if part.endswith(b"\n"):
                return line + b"\n"
            if not part:
                break
        raise EOFError("a line ends early")

    def load_readonly_buffer(self) -> None:
        """Makes bytes read-only, which are not there."""

    def _bytes(self, width: int) -> None:
        self._pass(int.from_bytes(self.read(width), "little"))
        self.append(_BYTES)

    def _text(self, width: int) -> None:
        size = int.from_bytes(self.read(width), "little")
        if size < _LONG:
            self._found.weight += SHORT + size
            self.append(str(self.read(size), "utf-8", "surrogatepass"))
        else:
            self._pass(size)
            self.append(_TEXT)

    def _pass(self, size: int) -> None:
        if size < _LONG or self.in_frame():
            if len(self.read(size)) < size:
                raise EOFError
        else:
            skip(self.stream, size)
