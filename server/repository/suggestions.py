"""The model that may have been meant by a name that there is not, among those that who asks may know of.

A name is compared without its case, with one kind of stroke for all (`-`, `_`, a space), and without the folders before
it, as public names have them (`org/model`). A look costs about a third of a microsecond a model, whatever was sent:
letters are compared as bits first, and only what differs by few is looked at closely.

Where the server asks for API keys, whoever answers a request says whose it is (`show_only`); of what comes from
elsewhere nobody is told a name.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from functools import lru_cache
from itertools import islice
from typing import NamedTuple, TypeAlias

#: whether somebody may know of the model of a name
Shown: TypeAlias = Callable[[str], bool]

_shown: ContextVar[Shown | None] = ContextVar("shown_models", default=None)

_LONGEST = 128  #: characters of a name that is compared at all
_KNOWN = 10_000  #: names that one is compared with
_CLOSE = 50  #: of them, those that are looked at closely
_EDITS = 2  #: letters that were left out, added or mistaken for others
_LIKENESS = 0.7  #: of difflib, where 1 is the same
_PART = 4  #: letters of a name that is a part of the other
_STROKES = str.maketrans("_ ", "--")


def show_only(shown: Shown) -> None:
    """From now on, in this task, somebody asks who may know of these models alone."""
    _shown.set(shown)


class Suggestions:
    """Of the models of one server."""

    def __init__(self, names: Callable[[], Iterable[str]], *, keyed: bool = False) -> None:
        """`keyed`: not everybody may know of every model."""
        self._names = names
        self._keyed = keyed

    def hint(self, name: str) -> str:
        """What is added to the news that there is no such model: the one that is meant, or nothing."""
        shown = _shown.get() if self._keyed else _all
        near = None if shown is None else nearest(name, self._names(), shown)
        return f"; did you mean {near!r}?" if near is not None else ""


def _all(name: str) -> bool:
    return True


class _Form(NamedTuple):
    """A name as it is compared."""

    text: str
    letters: int  #: a bit for each letter that is in it


def nearest(name: str, known: Iterable[str], shown: Shown = _all) -> str | None:
    """The known name that is most like it, if one is."""
    wanted = _form(name).text if len(name) <= _LONGEST else ""
    if not wanted:
        return None
    close = list(islice(filter(shown, _close(name, known)), _CLOSE))
    forms = {_form(each).text: each for each in reversed(close)}
    found = difflib.get_close_matches(wanted, forms, n=1, cutoff=_LIKENESS)
    if not found:  # a part of the other, the shorter difference first
        found = sorted((each for each in forms if _is_part(each, wanted)), key=lambda each: (len(each), each))
    return forms[found[0]] if found else None


def _close(name: str, known: Iterable[str]) -> Iterator[str]:
    """Those names that differ by few letters, or are a part of it, or it of them."""
    text, letters = _form(name)
    length = len(text)
    for each in islice(known, _KNOWN):
        other, its_letters = _known_form(each)
        if abs(len(other) - length) <= _EDITS:
            if (letters ^ its_letters).bit_count() <= 2 * _EDITS:
                yield each
        elif _is_part(other, text):
            yield each


def _is_part(one: str, other: str) -> bool:
    return min(len(one), len(other)) >= _PART and (one in other or other in one)


def _form(name: str) -> _Form:
    text = name.rstrip("/").rpartition("/")[2].lower().translate(_STROKES)
    letters = 0
    for letter in text:
        letters |= 1 << (ord(letter) & 63)
    return _Form(text, letters)


#: of models that there are; a client's names are none of its business
_known_form = lru_cache(maxsize=_KNOWN)(_form)
