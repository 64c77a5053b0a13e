"""What the scan and the load of a pickle share: Python's own pickle machine, without the doors that neither needs.

Both are the standard library's `_Unpickler` (which joblib's reader is made of too) and read the same bytes in the same
way; they differ only in what an opcode does. The loop is ours, over a frame's bytes, and does the most frequent opcodes
by itself: reading each byte by a call, and each opcode by another, was half of what a small model took.
`test_machine_loop` holds the two ways against each other; to measure:

    python -m timeit -s "from adapters.formats.pickles import inspect as i; from pathlib import Path" "i(Path('FILE'))"
"""

from __future__ import annotations

import _compat_pickle
import io
import pickle
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NoReturn

from adapters.formats.pickles.frames import Frames, Memo
from adapters.formats.pickles.policy import Refused
from adapters.formats.pickles.stream import Unreadable

__all__ = ["MAX_LINE", "SHORT", "Machine", "Taken"]

#: a pickler closes a frame soon after 64 KiB
_MAX_FRAME = 16 * 2**20
#: protocol 0 writes an array as one line of text
MAX_LINE = 256 * 2**20
SHORT = 56  #: bytes of a text beside its letters
_CHECK = 2**14  #: steps between two looks at what is held

#: the opcodes that the loop does itself where they are whole within a frame: two thirds of a model's
_GET, _MEMOIZE, _TEXT, _BYTE = (
    code[0] for code in (pickle.BINGET, pickle.MEMOIZE, pickle.SHORT_BINUNICODE, pickle.BININT1)
)
#: their bytes with their arguments, and what reads these
_NUMBERS = {
    pickle.BININT[0]: (5, struct.Struct("<i").unpack_from),
    pickle.BININT2[0]: (3, struct.Struct("<H").unpack_from),
    pickle.BINFLOAT[0]: (9, struct.Struct(">d").unpack_from),
}
_WIDEST = 9
_CONSTANTS = {pickle.NONE[0]: None, pickle.NEWTRUE[0]: True, pickle.NEWFALSE[0]: False, pickle.EMPTY_TUPLE[0]: ()}
_INLINE = (_GET, _MEMOIZE, _TEXT, _BYTE, *_CONSTANTS, *_NUMBERS)
#: ... and those whose methods read nothing, whatever else they do
_PLAIN = b"".join(
    (
        pickle.MARK, pickle.POP, pickle.DUP, pickle.STACK_GLOBAL, pickle.REDUCE, pickle.NEWOBJ,
        pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3, pickle.EMPTY_LIST, pickle.EMPTY_DICT,
        pickle.APPEND, pickle.APPENDS, pickle.SETITEM, pickle.SETITEMS,
    )
)  # fmt: skip


@dataclass
class Taken:
    """What the pickles of one file take together."""

    weight: int = 0  #: bytes of what was made: of texts, and in a scan of what stands for objects
    limit: int = sys.maxsize  #: the steps that all pickles together may take
    steps: int = 0  #: those that they have taken


class Machine(pickle._Unpickler):
    """Python's pickle machine without extension codes, persistent ids and out-of-band buffers."""

    dispatch: ClassVar[dict[int, Callable[[Any], None]]]
    plain: ClassVar[dict[int, Callable[[Any], None]]]  #: what of it the loop calls at once
    # what the base class keeps, which its published types do not say
    proto: int
    read: Callable[[int], bytes]
    readline: Callable[[], bytes]
    stack: list[Any]
    metastack: list[list[Any]]
    append: Callable[[Any], None]
    pop_mark: Callable[[], list[Any]]

    def __init_subclass__(cls) -> None:
        """The machine calls its methods through a table: let what a subclass overrides take effect.

        Raises:
            TypeError: a method of the subclass overrides nothing, or what the loop does itself: it would not be called.
        """
        if idle := [name for name in vars(cls) if not name.startswith("_") and not hasattr(super(cls, cls), name)]:
            raise TypeError(f"{cls.__name__} overrides nothing of the pickle machine with {', '.join(idle)}")
        if inline := vars(cls).keys() & {cls.dispatch[code].__name__ for code in _INLINE}:
            raise TypeError(f"{cls.__name__} overrides {', '.join(inline)}, which the loop of the machine does itself")
        methods = {code: getattr(cls, method.__name__) for code, method in cls.dispatch.items()}
        cls.dispatch = type(cls.dispatch)(methods)
        cls.plain = {code: methods[code] for code in _PLAIN}

    def __init__(self, stream: io.BufferedReader, taken: Taken) -> None:
        super().__init__(stream)
        self.stream = stream
        self.taken = taken
        self.memo = Memo()
        self.frames = Frames(stream.read, self._line)

    def load(self) -> Any:
        """Run to the end, and return the top object.

        Raises:
            Unreadable: the pickle takes more steps than it may.
        """
        self.read, self.readline = self.frames.read, self.frames.readline
        self.metastack, self.stack, self.proto = [], [], 0
        self.append = self.stack.append
        try:
            self._run()
        except pickle._Stop as stop:  # type: ignore[attr-defined]
            return stop.value
        finally:
            self.frames.leave_file()

    def _run(self) -> None:
        """A step by its method, then those that the loop does itself, and so on: never ends but by an exception."""
        taken, frames, dispatch, near, far = self.taken, self.frames, self.dispatch, self.memo.near, self.memo.far
        plain, due, step = self.plain, 0, taken.steps
        while True:
            if step >= due:
                due = self._look(step)
            taken.steps = step + 1
            dispatch[frames.read(1)[0]](self)
            stack, append, data, at, step = self.stack, self.append, frames.data, frames.at, taken.steps
            # up to the last byte, whose argument may be outside; or where steps of a byte each would pass what is due
            last = len(data) - 1 if len(data) - 1 - at <= due - step else at + due - step
            while at < last:
                code = data[at]
                if code == _GET and (number := data[at + 1]) < len(near):
                    append(near[number])
                    at += 2
                elif code == _MEMOIZE and not far:
                    near.append(stack[-1])
                    at += 1
                elif code == _TEXT and (end := at + 2 + data[at + 1]) <= len(data):
                    append(data[at + 2 : end].decode("utf-8", "surrogatepass"))
                    taken.weight += SHORT + data[at + 1]
                    at = end
                elif code == _BYTE:
                    append(data[at + 1])
                    at += 2
                elif code in _CONSTANTS:
                    append(_CONSTANTS[code])
                    at += 1
                elif code in plain:
                    plain[code](self)
                    stack, append = self.stack, self.append
                    at += 1
                elif code in _NUMBERS and at + _WIDEST <= len(data):
                    width, unpack = _NUMBERS[code]
                    append(unpack(data, at + 1)[0])
                    at += width
                else:
                    break
                step += 1
            frames.at = at

    def _look(self, steps: int) -> int:
        """Look at what was taken by these steps; returns after how many to look again.

        Raises:
            Unreadable: it is more than any model needs.
        """
        limit = self.taken.limit
        if steps >= limit:
            raise Unreadable(f"takes more than {limit:,} steps to read, as no model of its size does")
        self.check_held()
        return min(steps - steps % _CHECK + _CHECK, limit)

    def check_held(self) -> None:
        """Raise Unreadable where more is held than any model needs: the scan's, which runs before anything is known."""

    def _line(self) -> bytes:
        line = self.stream.readline(MAX_LINE)
        if not line.endswith(b"\n"):
            raise EOFError("a line ends early")
        return line

    def modern(self, module: str, name: str) -> tuple[str, str]:
        """A global's full name today: protocols 0 to 2 spell Python 2's names, and a compiled module its last part."""
        if module == "_loss":  # so calls itself sklearn._loss._loss in scikit-learn 1.4 to 1.8
            return "sklearn._loss._loss", name
        if self.proto >= 3:
            return module, name
        if (module, name) in _compat_pickle.NAME_MAPPING:
            return _compat_pickle.NAME_MAPPING[module, name]
        return _compat_pickle.IMPORT_MAPPING.get(module, module), name

    def load_short_binunicode(self) -> None:
        size = self.read(1)[0]
        self.append(self.read(size).decode("utf-8", "surrogatepass"))
        self.taken.weight += SHORT + size

    def load_frame(self) -> None:
        size = int.from_bytes(self.read(8), "little")
        if size > _MAX_FRAME:
            raise Unreadable(f"is damaged: it claims a frame of {size} bytes")
        self.frames.load_frame(size)

    def expect_end(self) -> None:
        """Raise Unreadable if anything follows the pickle."""
        if self.frames.left() or self.stream.read(1):
            raise Unreadable("holds more after its first object: keep one object in a file")

    def in_frame(self) -> bool:
        """Whether the next bytes come from the current frame, and not from the file."""
        return self.frames.left()

    def get_extension(self, code: int) -> NoReturn:
        raise Refused(f"uses the extension code {code}, which hides a name; it was not loaded")

    def persistent_load(self, pid: Any) -> NoReturn:
        raise Refused("uses a persistent id, which stands for an object outside the file; it was not loaded")

    def load_next_buffer(self) -> NoReturn:
        raise Unreadable("keeps its arrays outside the file (out-of-band buffers), where they cannot be found")
