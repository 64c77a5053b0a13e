"""Frameworks' errors and the names in a model, as messages that an operator or a client reads in one line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from adapters.base import InvalidInput

#: characters of a framework's message that are shown
_MOST = 300
#: characters of one that are looked at: it may repeat a client's text of megabytes, and patterns are searched in it
_READ = 20_000

#: what TensorFlow puts before the cause: where in the source of the model a node was made
_NODES = re.compile(
    r"Detected at node[^\n]*\n(?:[ \t][^\n]*\n|\n|File [^\n]*\n|<stack traces unavailable>\n?|Node: [^\n]*\n)*"
)
#: where the stack trace of a native library begins: of dmlc (XGBoost), torch, TensorFlow, glibc, absl, gdb
_TRACES = re.compile(
    r"^[^\S\n]*+(?:Stack trace:|Exception raised from |C\+\+ CapturedTraceback|Called From\b|Original stack trace"
    r"|\[bt\] \(\d+\)|=+ ?Backtrace|#0 |@ +0x[0-9a-f]|Current thread 0x)",
    re.MULTILINE,
)
#: an absolute path of a file, and its name; addresses of the web and dates are none
_PATH = re.compile(r"(?<![\w:/.>])/(?:[\w.@+~-]+/)+([\w.@+~-]*)")

#: how numpy shows one of its values within a list: np.str_('q'), np.float64(1.5)
_NUMPY = re.compile(r"\bnp\.(?:str_|bytes_|bool_?|datetime64|timedelta64|u?int\d+|float\d+|longdouble)\(([^()]*)\)")

#: how XGBoost's messages begin: the time, and the place in its source
XGBOOST_PLACE = re.compile(r"\[[\d:]+\] \S+:\d+: ")


def brief(text: str, otherwise: str = "") -> str:
    """The text on one line of at most 300 characters, without a stack trace; `otherwise` where it is empty."""
    return shortened(" ".join(without_trace(text).split()) or otherwise, _MOST)


def shortened(text: str, most: int) -> str:
    """The text in at most so many characters. The middle goes: an error's beginning says where, its end says why."""
    if len(text) <= most:
        return text
    beginning = most // 2
    return f"{text[:beginning]} ... {text[len(text) - (most - beginning - 5) :]}"


def without_trace(text: str) -> str:
    """A framework's message without stack traces of its native libraries, and without the names of numpy's types."""
    text = shortened(text, _READ)
    return _NUMPY.sub(r"\1", _TRACES.split(_NODES.sub("", text), maxsplit=1)[0].strip())


def without_paths(text: str) -> str:
    """The text with files by their names alone: where they lie on this machine is nothing to tell a client."""
    return _PATH.sub(r"\1", text)


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
