"""What the scan and the load of a pickle share: Python's own pickle machine, without the doors that neither needs.

Both are the standard library's `_Unpickler` (which joblib's reader is made of too) and read the same bytes in the same
way; they differ only in what an opcode does.
"""

from __future__ import annotations

import _compat_pickle
import io
import pickle
from collections.abc import Callable
from typing import Any, ClassVar, NoReturn

from adapters.formats.pickles.policy import Refused
from adapters.formats.pickles.stream import Unreadable

__all__ = ["MAX_LINE", "Machine"]

#: a pickler closes a frame soon after 64 KiB
_MAX_FRAME = 16 * 2**20
#: protocol 0 writes an array as one line of text
MAX_LINE = 256 * 2**20


class Machine(pickle._Unpickler):
    """Python's pickle machine without extension codes, persistent ids and out-of-band buffers."""

    dispatch: ClassVar[dict[int, Callable[[Any], None]]]
    # what the base class keeps, which its published types do not say
    proto: int
    read: Callable[[int], bytes]
    readline: Callable[[], bytes]
    stack: list[Any]
    metastack: list[list[Any]]
    memo: dict[int, Any]
    append: Callable[[Any], None]
    pop_mark: Callable[[], list[Any]]
    _unframer: Any

    def __init_subclass__(cls) -> None:
        """The machine calls its methods through a table: let what a subclass overrides take effect.

        Raises:
            TypeError: a method of the subclass overrides nothing, so that nobody would ever call it.
        """
        if idle := [name for name in vars(cls) if not name.startswith("_") and not hasattr(super(cls, cls), name)]:
            raise TypeError(f"{cls.__name__} overrides nothing of the pickle machine with {', '.join(idle)}")
        cls.dispatch = {code: getattr(cls, method.__name__) for code, method in cls.dispatch.items()}

    def __init__(self, stream: io.BufferedReader) -> None:
        super().__init__(stream)
        self.stream = stream
        self._file_readline = self._line

    def _exactly(self, size: int) -> bytes:
        read = self.stream.read(size)
        if len(read) < size:
            raise EOFError("an argument ends early")
        return read

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

    def load_frame(self) -> None:
        size = int.from_bytes(self.read(8), "little")
        if size > _MAX_FRAME:
            raise Unreadable(f"is damaged: it claims a frame of {size} bytes")
        self._unframer.load_frame(size)

    def expect_end(self) -> None:
        """Raise Unreadable if anything follows the pickle."""
        frame = self._unframer.current_frame
        if (frame and frame.read(1)) or self.stream.read(1):
            raise Unreadable("holds more after its first object: keep one object in a file")

    def in_frame(self) -> bool:
        """Whether the next bytes come from the current frame, and not from the file."""
        frame = self._unframer.current_frame
        return frame is not None and frame.tell() < len(frame.getbuffer())

    def get_extension(self, code: int) -> NoReturn:
        raise Refused(f"uses the extension code {code}, which hides a name; it was not loaded")

    def persistent_load(self, pid: Any) -> NoReturn:
        raise Refused("uses a persistent id, which stands for an object outside the file; it was not loaded")

    def load_next_buffer(self) -> NoReturn:
        raise Unreadable("keeps its arrays outside the file (out-of-band buffers), where they cannot be found")
