"""What the pickle machine reads from and remembers in: frames as plain bytes, and a memory that is mostly a list."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

__all__ = ["Frames", "Memo"]


class Frames:
    """Protocol 4's frames before the file: reads come from the current one, and from the file where it is used up.

    As `pickle._Unframer` does it, over bytes and a place in them, which the machine's loop reads for itself.
    """

    __slots__ = ("_file_read", "_file_readline", "at", "data")

    def __init__(self, file_read: Callable[[int], bytes], file_readline: Callable[[], bytes]) -> None:
        self._file_read = file_read  #: which may be short at the file's end
        self._file_readline = file_readline
        self.data = b""  #: the current frame
        self.at = 0  #: where its next byte is

    def read(self, size: int) -> bytes:
        """
        Raises:
            UnpicklingError: the frame has some of these bytes, and not all.
            EOFError: the file ends before.
        """
        start, end = self.at, self.at + size
        if end <= len(self.data):
            self.at = end
            return self.data[start:end]
        if start < len(self.data):
            raise pickle.UnpicklingError("pickle exhausted before end of frame")
        return self._from_file(size)

    def _from_file(self, size: int) -> bytes:
        read = self._file_read(size)
        if len(read) < size:
            raise EOFError("an argument ends early")
        return read

    def readline(self) -> bytes:
        """
        Raises:
            UnpicklingError: the frame ends within the line.
            EOFError: the file does.
        """
        if not self.left():
            return self._file_readline()
        start, self.at = self.at, self.data.find(b"\n", self.at) + 1
        if not self.at:
            raise pickle.UnpicklingError("pickle exhausted before end of frame")
        return self.data[start : self.at]

    def load_frame(self, size: int) -> None:
        """
        Raises:
            UnpicklingError: the frame before is not used up.
            EOFError: the file ends before.
        """
        if self.left():
            raise pickle.UnpicklingError("beginning of a new frame before end of current frame")
        self.data, self.at = self._from_file(size), 0

    def leave_file(self) -> None:
        """Nothing more is read. Who gave the file's reader knows these frames: the two would wait for a collection."""
        del self._file_read, self._file_readline

    def left(self) -> bool:
        """Whether the current frame has bytes that were not read."""
        return self.at < len(self.data)


class Memo:
    """A pickle's memory, as a dictionary by numbers has it, at a tenth of its size: picklers number from 0."""

    __slots__ = ("far", "near")

    def __init__(self) -> None:
        self.near: list[Any] = []  #: by their numbers, which have no gap
        self.far: dict[int, Any] = {}  #: the others

    def __len__(self) -> int:
        return len(self.near) + len(self.far)

    def __setitem__(self, number: int, value: Any) -> None:
        if number == len(self.near):
            self.near.append(value)
            if self.far:
                self.far.pop(number, None)
        elif number < len(self.near):
            self.near[number] = value
        else:
            self.far[number] = value

    def __getitem__(self, number: int) -> Any:
        return self.near[number] if 0 <= number < len(self.near) else self.far[number]

    def replace(self, old: object, new: object) -> int:
        """Remember another in the place of the object itself, of the last such place; how many it has looked at."""
        for number in reversed(range(len(self.near))):
            if self.near[number] is old:
                self.near[number] = new
                return len(self.near) - number
        for number, value in self.far.items():
            if value is old:
                self.far[number] = new
                break
        return len(self)
