"""What of a text that comes in pieces is held back: a mark may begin with it, or it may be white space at the end."""

from __future__ import annotations


def could_begin(text: str, mark: str) -> int:
    """Characters at the end that a mark may begin with: white space, then a part of the mark."""
    for length in range(min(len(mark) - 1, len(text)), 0, -1):
        if mark.startswith(text[len(text) - length :]):
            return len(text) - len(text[: len(text) - length].rstrip())
    return len(text) - len(text.rstrip())


class Trimmed:
    """A text without the white space at its ends, piece by piece."""

    def __init__(self) -> None:
        self._space = ""  #: that more text may follow
        self.begun = False

    @property
    def held(self) -> int:
        """Characters that wait for more."""
        return len(self._space)

    def add(self, piece: str) -> str:
        """What there is to tell."""
        text = self._space + piece
        if not self.begun:
            text = text.lstrip()
        kept = text.rstrip()
        self._space = text[len(kept) :]
        self.begun = self.begun or bool(kept)
        return kept
