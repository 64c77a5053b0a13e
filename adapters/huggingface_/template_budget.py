"""How much a chat template may make of one conversation: texts, steps and time, in one account.

A template is a program of the model's: one line of it doubles a text thirty times, or counts to a thousand millions.
What is spent here is counted where it is made (see `template_environment`), and before it is where that can be told.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Set, ValuesView
from contextlib import contextmanager
from typing import Any

from jinja2 import TemplateRuntimeError
from jinja2.utils import Namespace

_MOST_MADE = 1 << 26  #: characters, for a conversation of one word
_TIMES = 16  #: ... for each that a conversation has, and as many more as it has parts: so often some templates read it
_MOST_EVER = 1 << 30  #: ... in all
_STEP = 64  #: characters that a step counts for: it may keep as much
_ELEMENT = 16  #: ... and an element of a list
_LONGEST_NUMBER = 1 << 16  #: bits
_MOST_SECONDS = 10.0  #: of the processor; the longest conversations of real templates take a tenth
_FEW = 2000  #: parts of a value that are counted without a look for what stands in it twice
_BETWEEN = 64  #: steps between two looks at the clock


class TooMuch(TemplateRuntimeError):
    """The message says what the template takes, and the way out."""


class Budget:
    """Of one rendering."""

    __slots__ = ("_all", "_given", "_steps", "_until", "left")

    def __init__(self, given: Any = None) -> None:
        """`given`: what the template is given, which is looked at where a usual conversation's budget does not do."""
        self.left = self._all = _MOST_MADE
        self._given = given
        self._until = time.thread_time() + _MOST_SECONDS
        self._steps = _BETWEEN

    def step(self) -> None:
        """One more turn of a loop, or call of something.

        Raises:
            TooMuch
        """
        self.left -= _STEP
        self._steps -= 1
        if self._steps <= 0 or self.left < 0:
            self._look()

    def _look(self) -> None:
        self.check(0)
        self._steps = _BETWEEN
        if time.thread_time() > self._until:
            raise TooMuch(
                f"the model's chat template takes more than {_MOST_SECONDS:g} seconds of a processor for these "
                "messages: send fewer and shorter ones, or give the model the template that it was made with"
            )

    def spend(self, characters: int) -> None:
        """
        Raises:
            TooMuch
        """
        self.left -= characters
        if self.left < 0:
            self.check(0)

    def check(self, characters: int) -> None:
        """That so many can still be made.

        Raises:
            TooMuch
        """
        if characters > self.left and self._given is not None:
            size, parts = _extent(self._given)
            more = min(_MOST_EVER - _MOST_MADE, (size + _STEP * parts) * (_TIMES + parts))
            self._given, self._all, self.left = None, self._all + more, self.left + more
        if characters > self.left:
            self.refuse()

    def made(self, value: Any) -> Any:
        """The value, which has just been made, and is counted.

        Raises:
            TooMuch
        """
        if type(value) is str or isinstance(value, str | bytes):
            self.spend(len(value))
        elif isinstance(value, list | tuple | Mapping | Set):
            self.spend(_ELEMENT * len(value))
        elif isinstance(value, int) and value.bit_length() > _LONGEST_NUMBER:
            self.refuse()
        return value

    def refuse(self) -> None:
        """
        Raises:
            TooMuch
        """
        raise TooMuch(
            f"the model's chat template makes more than {self._all} characters of these messages, its steps counted "
            f"as {_STEP} each: send fewer and shorter ones, or give the model the template that it was made with"
        )


_here = threading.local()


@contextmanager
def opened(given: Any = None) -> Iterator[None]:
    """A budget for all that is rendered within, on this thread."""
    before = getattr(_here, "budget", None)
    _here.budget = Budget(given)
    try:
        yield
    finally:
        _here.budget = before


def budget() -> Budget:
    """This thread's."""
    found: Budget | None = getattr(_here, "budget", None)
    if found is None:  # what a template left behind is called outside of its rendering
        found = _here.budget = Budget()
    return found


def written(value: Any) -> int:
    """Characters that a value takes where it is written as text: what stands in it twice is written twice."""
    if isinstance(value, str):
        return len(value)
    small = _of_json(value)
    return _extent(value)[0] if small is None else small


def _of_json(value: Any) -> int | None:
    """Characters of what is made of a few lists, objects and texts alone, each read wherever it stands; else None."""
    characters, waiting, left = 0, [value], _FEW
    while waiting:
        each = waiting.pop()
        kind = type(each)
        if kind is str:
            characters += len(each) + 2
        elif kind is dict or kind is list:
            left -= 1 + len(each)
            if left < 0:
                return None
            waiting += each
            if kind is dict:
                waiting += each.values()
        elif kind is int:
            characters += 4 + each.bit_length() // 3
        elif each is None or kind is bool or kind is float:
            characters += 24
        else:
            return None
    return characters


def _extent(value: Any, seen: dict[int, tuple[int, int]] | None = None) -> tuple[int, int]:
    """Characters and parts of a value; each container is looked into once, however often it stands in others."""
    if isinstance(value, str | bytes):
        return len(value), 1
    inner = _inner(value)
    if inner is None:
        return (value.bit_length() // 3 if isinstance(value, int) else 8), 1
    seen = {} if seen is None else seen
    if (known := seen.get(id(value))) is not None:
        return known
    seen[id(value)] = 0, 0  # of one that holds itself: its writer says so
    characters = parts = 1
    for each in inner:
        more = (len(each), 1) if type(each) is str else _extent(each, seen)
        characters, parts = characters + more[0] + 2, parts + more[1]
    seen[id(value)] = characters, parts
    return characters, parts


def _inner(value: Any) -> Iterable[Any] | None:
    """What a container is written with; None: it is none."""
    if isinstance(value, Mapping):
        return (each for pair in value.items() for each in pair)
    if isinstance(value, list | tuple | Set | ValuesView):
        return value
    if isinstance(value, Namespace):
        return _inner(object.__getattribute__(value, "_Namespace__attrs"))
    return None
