"""Frameworks' errors and the names in a model, as messages that an operator or a client reads in one line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from adapters.base import InvalidInput

#: characters of a framework's message that are shown
_MOST = 300

#: how XGBoost's messages begin: the time, and the place in its source
XGBOOST_PLACE = re.compile(r"\[[\d:]+\] \S+:\d+: ")


#: how the stacks begin that native libraries write into their messages: XGBoost and LightGBM, torch, glibc
_STACK = re.compile(
    r"\s*^\s*(Stack trace:|Exception raised from .+ \(most recent call first\):|C\+\+ CapturedTraceback:"
    r"|======= Backtrace: =+)",
    re.MULTILINE,
)
#: the part of a text that is too long that is shown of its beginning; errors name their cause at the end
_BEGINNING = 130


def brief(text: str, otherwise: str = "") -> str:
    """The text on one line of at most 300 characters, without its middle where it is longer; `otherwise` if empty."""
    text = " ".join(text.split()) or otherwise
    return text if len(text) <= _MOST else f"{text[:_BEGINNING]}...{text[_BEGINNING + 3 - _MOST :]}"


def without_stack(text: str) -> str:
    """The message of a native library, up to its stack trace."""
    match = _STACK.search(text)
    return text[: match.start()] if match else text


def first_line(error: BaseException, beginning: re.Pattern[str] | None = None) -> str:
    """The first line of an error's message, "" if it has none; without its `beginning`, of which nobody learns much.

    What follows is, in libraries that are not written in Python, a stack trace.
    """
    text = str(error).strip()
    if beginning and (match := beginning.match(text)):
        text = text[match.end() :].strip()
    return text.partition("\n")[0].strip()


def fault(message: str, client: bool) -> Exception:
    """What to raise when a model does not run: the client's fault (its inputs do not fit) or the model's own."""
    return InvalidInput(f"the model refuses the input: {message}") if client else RuntimeError(message)


def several(files: Iterable[str], way_out: str = "") -> str:
    """Why a directory with several models is not served; `way_out` is another one than to remove all but one."""
    return f"two candidate models: {' and '.join(files)}; keep one{way_out}"


def listed(names: Sequence[str], most: int = 5) -> str:
    """The names with commas between them: the first ones, and how many there are more."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
