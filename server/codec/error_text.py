"""How messages to a client name things: values, positions, the nearest known name. Bounded, whatever was sent.

Nothing here calls `repr` on a list or an object of the client's: Python gives up on deeply nested ones.
"""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

_LONGEST = 60  #: characters of a client's text that a message repeats
_COMPARED = 1000  #: known names that an unknown one is compared with: 10,000 would take the event loop 0.1 s


def quoted(text: str) -> str:
    """A client's text in quotes, cut where it is long."""
    return repr(shortened(text))


def shortened(text: str) -> str:
    """A client's text, cut where it is long."""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def as_word(value: Any) -> str:
    """What stands where a word of the client's has to be: the word in quotes, or what is there in its place."""
    return quoted(value) if isinstance(value, str) else described(value)


def described(value: Any) -> str:
    """A JSON value: short, with its type."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f"the string {quoted(value)}"
    if isinstance(value, int) and value.bit_length() > 128:
        return f"an integer of {value.bit_length()} bits"
    if isinstance(value, (int, float)):
        return repr(value)
    return "an object" if isinstance(value, dict) else "a list"


def at(field: str, where: Iterable[int]) -> str:
    """An element of a field: `instances[0][2]`."""
    return field + "".join(f"[{i}]" for i in where)


def shown(sizes: Sequence[int]) -> str:
    """A shape: `[2, 3]`, cut where it has many dimensions."""
    return str(list(sizes)) if len(sizes) <= 8 else f"[{', '.join(map(str, sizes[:8]))}, …]"


def resembling(name: str, known: Iterable[str], likeness: float = 0.6) -> str | None:
    """The known name that is most like it, if one is as like as that (1 is the same)."""
    near = difflib.get_close_matches(name[:_LONGEST], islice(known, _COMPARED), n=1, cutoff=likeness)
    return near[0] if near else None


def _looking_alike(name: str, known: Sequence[str]) -> str | None:
    """The known name that is the same but for accents: parts of their letters (as macOS has them), or on their own."""
    wanted = unicodedata.normalize("NFC", name[:_LONGEST])
    alike = (each for each in known[:_COMPARED] if unicodedata.normalize("NFC", each[:_LONGEST]) == wanted)
    return next(alike, None)


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint for an unknown name: the nearest known one, or all of them (the first ten)."""
    names = list(known)
    if not name.isascii() and (same := _looking_alike(name, names)) is not None:
        return f"did you mean {same!r}? It looks the same, and is written with other characters of Unicode"
    if (near := resembling(name, names)) is not None:
        return f"did you mean {near!r}?"
    listed = ", ".join(repr(n) for n in names[:10])
    return f"known: {listed}{f' and {len(names) - 10} more' if len(names) > 10 else ''}"
