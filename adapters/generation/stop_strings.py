"""Stop strings, found wherever the text is cut into pieces.

A piece that could be the beginning of one is held back: what was sent cannot be taken back.
"""

from __future__ import annotations

from collections.abc import Sequence


class StopStrings:
    """Looks for the first of some texts in one that comes in pieces."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = stops
        self._longest = max(map(len, stops), default=0)
        self._held = ""
        self.found = False  #: the text has come to its end

    def feed(self, piece: str) -> str:
        """The text that may be sent now; what stands before the stop string once that is found."""
        if not self._stops or self.found:
            return "" if self.found else piece
        text = self._held + piece
        if (end := self._first(text)) is not None:
            self.found, self._held = True, ""
            return text[:end]
        held = self._could_begin(text)
        self._held = text[len(text) - held :]
        return text[: len(text) - held]

    def flush(self) -> str:
        """What was held back, when nothing comes any more."""
        rest, self._held = self._held, ""
        return rest

    def _first(self, text: str) -> int | None:
        return min((at for stop in self._stops if (at := text.find(stop)) >= 0), default=None)

    def _could_begin(self, text: str) -> int:
        """The length of the longest end of the text that some stop string begins with."""
        for length in range(min(self._longest - 1, len(text)), 0, -1):
            tail = text[len(text) - length :]
            if any(stop.startswith(tail) for stop in self._stops):
                return length
        return 0
