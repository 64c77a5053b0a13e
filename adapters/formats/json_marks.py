"""Marks of JSON counted where they are JSON, and not letters of a text: brackets and commas of code in a chat are no
lists.

Text by text in Python would take longer than to read the JSON. Here a megabyte takes some milliseconds, in numpy, which
lets others run meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

_STEP = 1 << 20  #: bytes that are looked at at once: what is made of them takes some twenty times as much
_QUOTE, _BACKSLASH = ord('"'), ord("\\")


def count_outside(text: bytes, marks: Sequence[str], most: int) -> int:
    """How many of these marks are in no text; of quotation marks, those at its ends. No further than `most`."""
    wanted = [ord(mark) for mark in marks]
    found = 0
    inside = escapes = False  #: the part before ends within a text; its last character makes the next one a letter
    for at in range(0, len(text), _STEP):
        part = np.frombuffer(text, np.uint8, min(_STEP, len(text) - at), at)
        slashes = part == _BACKSLASH
        quotes = part == _QUOTE
        if escapes or slashes.any():
            run = _runs(slashes, escapes)
            quotes[0] &= not escapes
            quotes[1:] &= run[:-1] % 2 == 0
            escapes = bool(run[-1] % 2)
        within = np.logical_xor.accumulate(quotes) ^ inside
        for mark in wanted:
            found += int(np.count_nonzero(quotes if mark == _QUOTE else (part == mark) & ~within))
        if found > most:
            break
        inside = bool(within[-1])
    return found


def _runs(slashes: Any, before: bool) -> Any:
    """For each place how many backslashes in a row end there: an odd one makes a letter of what follows.

    `before`: there was such a one right before the first place.
    """
    places = np.arange(len(slashes))
    other = np.maximum.accumulate(np.where(slashes, -1, places))
    return places - other + np.where(other < 0, int(before), 0)
