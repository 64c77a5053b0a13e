"""What the filters, tests, functions and methods that a chat template calls may make, told before they are called.

At most, each character of what one is given becomes as long as all the rest of it: so much must be left of the budget.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

from adapters.huggingface_.template_budget import budget, written

#: what makes nothing that is longer than three times what it is given, or gives parts of it
_HARMLESS = frozenset(
    {
        "abs", "attr", "bool", "boolean", "callable", "capitalize", "casefold", "copy", "count", "d", "default",
        "defined", "divisibleby", "dictsort", "e", "endswith", "eq", "equalto", "escape", "even", "false", "filter",
        "find", "first", "float", "forceescape", "ge", "get", "greaterthan", "gt", "in", "int", "integer",
        "isalnum", "isalpha", "isdecimal", "isdigit", "islower", "isnumeric", "isspace", "istitle", "isupper",
        "items", "iterable", "keys", "last", "le", "length", "lessthan", "list", "lower", "lstrip", "lt", "map",
        "mapping", "max", "min", "ne", "none", "number", "odd", "partition", "random", "range",
        "reject", "rejectattr", "removeprefix", "removesuffix", "reverse", "rfind", "rindex", "round", "rpartition",
        "rsplit", "rstrip", "safe", "sameas", "select", "selectattr", "sequence", "sort", "split", "splitlines",
        "startswith", "string", "strip", "striptags", "swapcase", "test", "title", "trim", "true",
        "truncate", "undefined", "unique", "upper", "urlencode", "values", "wordcount",
    }
)  # fmt: skip
#: ... but writes what it is given
_WRITING = frozenset(
    {"capitalize", "e", "escape", "forceescape", "lower", "string", "striptags", "title", "trim", "upper"}
)
#: tests of what a value is, however long
OF_THE_KIND = frozenset(
    {
        "boolean", "callable", "defined", "false", "float", "integer", "iterable", "mapping", "none", "number",
        "sequence", "string", "true", "undefined",
    }
)  # fmt: skip
#: what puts texts, or the time, into a pattern
_PATTERNS = frozenset({"format", "format_map", "strftime_now"})
_LONGEST_DATE = 32
_WIDTHS = re.compile(r"\d+")  #: of a pattern that texts are put into
_FROM_ELSEWHERE = re.compile(r"%[#0\- +\d.]*\*|\{[^{}]*:[^{}]*\{")  #: a width that stands with the texts


def check_called(called: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> None:
    """The same of a method, or of one of the functions of all templates."""
    name = getattr(called, "__name__", "")
    if isinstance(called, type) or not isinstance(name, str) or name not in _HARMLESS:
        wrapped = getattr(called, "__wrapped__", called)  # `str.format` in the sandbox
        owner = getattr(wrapped, "__self__", None)
        owner = owner if isinstance(owner, str | bytes | int | float | list | tuple) else ""
        check_call(str(name), (owner, *args), kwargs)


def bounded(name: str, called: Callable[..., Any]) -> Callable[..., Any]:
    """A filter or a test that is counted, and what it may make told before."""
    harmless, writing = name in _HARMLESS, name in _WRITING

    @wraps(called)  # which keeps what Jinja marks it with: that it wants the context
    def counted(*args: Any, **kwargs: Any) -> Any:
        here = budget()
        here.step()
        if not harmless:
            check_call(name, args[1:] if hasattr(called, "jinja_pass_arg") else args, kwargs)
        elif writing and args and type(args[0]) is not str:
            here.check(written(args[0]))
        return here.made(called(*args, **kwargs))

    return counted


def check_call(name: str, given: Sequence[Any], named: dict[str, Any]) -> None:
    """That what it may make is within the budget."""
    here = budget()
    first, *rest = [*given, *named.values()] or [""]
    length = written(first)
    if name in _PATTERNS and isinstance(pattern := first or (rest or [""])[0], str):
        if _FROM_ELSEWHERE.search(pattern):
            here.refuse()
        length += sum(int(each[:12]) for each in _WIDTHS.findall(pattern)) + len(pattern) * _LONGEST_DATE
    if name == "replace" and len(rest) >= 2 and all(isinstance(each, str) for each in (first, *rest[:2])):
        here.check(length + first.count(rest[0]) * len(rest[1]))
        return
    here.check((length + 1) * (1 + sum(abs(each) if isinstance(each, int) else written(each) for each in rest)))


def product(operator: str, left: Any, right: Any) -> int:
    """Characters of what is multiplied."""
    if isinstance(left, int) and isinstance(right, int):
        bits = left.bit_length() * abs(right) if operator == "**" else left.bit_length() + right.bit_length()
        return bits // 8 if bits < 1 << 16 else bits << 32
    if operator == "**" or isinstance(left, float) or isinstance(right, float):
        return 0
    times, length = (abs(each) if isinstance(each, int) else written(each) for each in (left, right))
    return times * length
