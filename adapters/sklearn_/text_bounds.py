"""How long texts may be: what is searched in one go holds the interpreter, what is padded to one length takes memory.

A vectorizer finds all words of a text at once: 15 million characters held everybody else for 2.8 s. An array of texts
of one width is as wide as the longest of them: a text of 200 kB among 2,000 short ones would take 1.6 GB.
"""

from __future__ import annotations

from itertools import groupby
from typing import Any
from unicodedata import combining

import numpy as np

from adapters.base import Array, InvalidInput, LoadError, Parameter, Parameters, Tensors
from adapters.sklearn_.parts import holds_a

LONGEST = 1_000_000  #: characters of a text, unless the option says otherwise
_WIDEST = 256 << 20  #: bytes of an array of texts of one width
_CHARACTER = 4  #: bytes
_MOST_MARKS = 1000  #: that combine with one letter; text that may be streamed has 30 (UAX #15)
OPTION = "longest_text"
TEXT_OPTION = Parameter(
    OPTION, int, meaning=f"characters of one text to look for words in; {LONGEST:,} unless set; of more in a worker"
)


def longest_text(model: Any, options: Parameters) -> int:
    """Characters that a text may have for the model; 0: it looks for words in none.

    Raises:
        LoadError: the option is no length.
    """
    wanted = options.get(OPTION, LONGEST)
    if wanted < 1:
        raise LoadError(f"options.{OPTION} is {wanted}, which is no number of characters")
    return int(wanted) if holds_a(model, "CountVectorizer", "HashingVectorizer") else 0


def holds_long(longest: int) -> str:
    """Why a worker serves a model of such texts, for `Adapter.carries`."""
    if longest <= LONGEST:
        return ""
    return f"takes texts of {longest:,} characters (options.{OPTION}), each of which may hold a process for long"


def check_texts(tensors: Tensors, longest: int) -> None:
    """
    Raises:
        InvalidInput: one of them is longer.
    """
    for name, array in tensors.items():
        for where, text in np.ndenumerate(array) if array.dtype.kind == "O" else ():
            if isinstance(text, str) and len(text) > longest:
                raise InvalidInput(
                    f"{name}[{where[0]}] has {len(text):,} characters, the limit is {longest:,} (options.{OPTION})"
                )
            if isinstance(text, str) and len(text) > _MOST_MARKS and not text.isascii() and _is_heaped(text):
                raise InvalidInput(f"{name}[{where[0]}] has more than {_MOST_MARKS:,} accents on one letter")


def _is_heaped(text: str) -> bool:
    """Whether more marks combine with one letter than any writing has. `strip_accents` normalizes texts, for which
    Python sorts a letter's marks by exchanging neighbours: a million would hold the interpreter for hours.
    """
    return any(len(list(marks)) > _MOST_MARKS for is_mark, marks in groupby(map(bool, map(combining, text))) if is_mark)


def of_one_width(texts: Array) -> Array:
    """An array of objects as numpy's own texts.

    Raises:
        InvalidInput: it would be far more than was sent.
    """
    longest = max((len(text) for text in texts.flat if isinstance(text, str)), default=0)
    if longest * _CHARACTER * texts.size > _WIDEST:
        raise InvalidInput(
            f"a text of {longest:,} characters among {texts.size:,} would take "
            f"{longest * _CHARACTER * texts.size >> 20:,} MiB: send it alone, or fewer at a time"
        )
    return texts.astype(np.str_)
