"""Splitting texts into words, and words into runs of words, as torchtext did."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

_RULES = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"\'", " '  "),
        (r"\"", ""),
        (r"\.", " . "),
        (r"<br \/>", " "),
        (r",", " , "),
        (r"\(", " ( "),
        (r"\)", " ) "),
        (r"\!", " ! "),
        (r"\?", " ? "),
        (r"\;", " "),
        (r"\:", " "),
        (r"\s+", " "),
    )
)


def basic_english(line: str) -> list[str]:
    """Lower-case words; punctuation marks stand alone."""
    line = line.lower()
    for pattern, replacement in _RULES:
        line = pattern.sub(replacement, line)
    return line.split()


def get_tokenizer(tokenizer: str = "basic_english") -> Callable[[str], list[str]]:
    """The tokenizer of that name; there is one."""
    if tokenizer != "basic_english":
        raise ValueError(f"tokenizer {tokenizer!r} is unknown: basic_english")
    return basic_english


def ngrams_iterator(token_list: Sequence[str], ngrams: int) -> Iterator[str]:
    """The words, then all runs of two, of three, ... up to `ngrams` words."""
    yield from token_list
    for size in range(2, ngrams + 1):
        for start in range(len(token_list) - size + 1):
            yield " ".join(token_list[start : start + size])
