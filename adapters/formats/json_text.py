"""JSON of a model's files, counted before it is read: what it comes to in memory has little to do with its length.

Python makes an object of some eighty bytes of two brackets. A list of empty lists of 256 MB, which an archive packs
into 250 KB, would take six gigabytes of the server's own process before anything of the model was tried.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from adapters.formats.json_marks import count_outside

__all__ = ["MOST_LISTS", "MOST_VALUES", "TooMuchJson", "check", "check_parts", "loads"]

#: lists and objects; the largest tokenizers have half a million, and an index of weights three
MOST_LISTS = 1_000_000
#: values, as commas tell; the largest vocabularies and indexes have two million
MOST_VALUES = 4_000_000
_STEP = 1 << 20  #: bytes, or characters, that are counted at once: others may run in between


class TooMuchJson(ValueError):
    """There is more in it than any model's files hold."""


def loads(text: bytes | str, *, most_values: int = MOST_VALUES, **how: Any) -> Any:
    """`json.loads`, of a text that comes to some hundred megabytes at most beside itself.

    Of a `str` marks within texts are counted, too: few have them by the million.

    Raises:
        TooMuchJson: it would come to more.
        ValueError, RecursionError: as `json.loads`.
    """
    check(text, most_values)
    return json.loads(text, **how)


def check(text: bytes | str, most_values: int = MOST_VALUES) -> None:
    """Count, for those who read it themselves.

    Raises:
        TooMuchJson
    """
    _bound(text, ("[", "{"), MOST_LISTS, "lists and objects")
    _bound(text, (",",), most_values, "values")


def check_parts(text: bytes | str, most_lists: int, most_values: int, most_texts: int) -> None:
    """Count lists and objects, values and keys, and texts.

    Raises:
        TooMuchJson
    """
    _bound(text, ("[", "{"), most_lists, "lists and objects")
    _bound(text, (",", ":"), most_values, "values")
    _bound(text, ('"',), most_texts, "texts", marks_of_each=2)


def _bound(text: bytes | str, marks: tuple[str, ...], most: int, what: str, marks_of_each: int = 1) -> None:
    if len(text) <= most:
        return
    found = 0
    for at in range(0, len(text), _STEP):
        for mark in marks:
            found += _count(text, mark, at)
        if found > most * marks_of_each:
            break
    else:
        return
    if isinstance(text, str) or count_outside(text, marks, most * marks_of_each) > most * marks_of_each:
        raise TooMuchJson(f"it holds more than {most} {what}")


def _count(text: bytes | str, mark: str, at: int) -> int:
    if isinstance(text, str):
        return text.count(mark, at, at + _STEP)
    part = np.frombuffer(text, np.uint8, min(_STEP, len(text) - at), at)
    return int(np.count_nonzero(part == ord(mark)))  # a tenth of the time of `bytes.count`
