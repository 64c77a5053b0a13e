"""Whether an answer is the one that a page shows: `...` is anything, numbers with a point are as near as it matters."""

from __future__ import annotations

import re

_PIECES = re.compile(r"(\.\.\.|…|-?\d+\.\d+(?:e[-+]?\d+)?|\s+)", re.IGNORECASE)
_NUMBER = r"(-?\d+(?:\.\d+)?(?:e[-+]?\d+)?)"
RELATIVE, ABSOLUTE = 1e-3, 1e-5


def is_shown(shown: str, answer: str, *, spaces: bool = True) -> bool:
    """Whether the page's text stands for this answer. Without `spaces` white space does not matter at all (JSON)."""
    pattern, numbers = "", []
    for piece in _PIECES.split(shown.strip()):
        if piece in ("...", "…"):
            pattern += ".*?"
        elif re.fullmatch(r"-?\d+\.\d+(?:e[-+]?\d+)?", piece, re.IGNORECASE):
            pattern += _NUMBER
            numbers.append(float(piece))
        elif piece.isspace():
            pattern += r"\s+" if spaces else ""
        else:
            pattern += re.escape(piece)
    found = re.fullmatch(pattern, answer.strip() if spaces else re.sub(r"\s+", "", answer), re.DOTALL)
    return found is not None and all(map(_near, numbers, map(float, found.groups())))


def _near(shown: float, came: float) -> bool:
    return abs(shown - came) <= max(ABSOLUTE, RELATIVE * abs(shown))
