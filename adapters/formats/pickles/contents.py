"""`inspect` a pickle file, and `load` it: the two ways into this package."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapters.base import LoadError
from adapters.formats.pickles.loading import Loading
from adapters.formats.pickles.policy import Refused
from adapters.formats.pickles.records import Found, Made, Name, max_steps
from adapters.formats.pickles.scan import Scan
from adapters.formats.pickles.stream import Unreadable, opened

__all__ = ["Contents", "inspect", "load"]


@dataclass(frozen=True)
class Contents:
    """What a pickle holds: names, not objects."""

    top: str  #: the dotted class of the top object; `dict`, `list`, `str`, ... for Python's own
    names: tuple[str, ...]  #: every global that it names, dotted, in order
    refused: str = ""  #: why it may not be loaded, beginning with the file's name; "" when it may
    sklearn_version: str | None = None
    n_features: int | None = None
    steps: tuple[tuple[str, str], ...] = ()  #: a pipeline's steps: name and dotted class
    fitted_on_frame: bool = False  #: it knows its columns by name

    def uses(self, library: str) -> bool:
        """Whether it names anything of that library."""
        return any(name.startswith(f"{library}.") for name in self.names)


def inspect(path: Path) -> Contents:
    """Read what a pickle or joblib file (plain or compressed) holds. Nothing in it is imported, called or built.

    Raises:
        Unreadable: it is empty, no pickle, damaged, cut short or a bomb.
    """
    found = Found(limit=max_steps(path.stat().st_size))
    top: Any = None
    try:
        with opened(path) as stream:
            scan = Scan(stream, found)
            top = scan.load()
            refused = found.refused()
            if not refused:
                scan.expect_end()
    except Refused as error:
        refused = str(error)
    except Unreadable as error:
        raise Unreadable(f"{path.name} {error}") from error
    except Exception as error:  # bytes that are no pickle can fail anywhere in the machine, and in a decompressor
        raise Unreadable(f"{path.name} {_damage(error)}") from error
    return _contents(top, found, f"{path.name} {refused}" if refused else "")


def load(path: Path, *, trusted: bool = False) -> Any:
    """Load the object in a pickle or joblib file, if the policy allows all that the file does.

    `trusted` lifts the policy: the file may then run any code.

    Raises:
        Refused: the file names or does what the policy does not allow; the message says what.
        LoadError: it cannot be loaded, with the cause.
    """
    try:
        if trusted:
            import joblib

            return joblib.load(path)
        with opened(path) as stream:
            loading = Loading(stream)
            model = loading.load()
            loading.expect_end()
            return model
    except LoadError as error:
        raise type(error)(f"{path.name} {error}") from error
    except Exception as error:  # whatever the libraries raise on a state that they do not understand
        why = str(error).partition("\n")[0].rstrip(":")  # scikit-learn goes on with two types of a hundred fields
        raise LoadError(f"{path.name} cannot be loaded: {type(error).__name__}: {why}") from error


def _damage(error: Exception) -> str:
    if isinstance(error, EOFError | struct.error) or "end of frame" in str(error):
        return "is cut short: it ends in the middle of a pickle"
    return f"is no pickle, or a damaged one ({type(error).__name__}: {error})"


def _contents(top: Any, found: Found, refused: str) -> Contents:
    steps = _state(top).get("steps")
    return Contents(
        _class(top),
        tuple(found.names),
        refused,
        found.version,
        _n_features(top),
        tuple(_steps(steps)) if isinstance(steps, list) else (),
        found.on_frame,
    )


def _class(value: Any) -> str:
    if isinstance(value, Name):
        return f"the name {value.name}"
    if isinstance(value, Made):
        return _RESULTS.get(value.name, value.name).removeprefix("builtins.")
    return "tuple" if isinstance(value, tuple) else type(value).__name__


#: what the functions make that a top object may be made by
_RESULTS = {
    "numpy._core.numeric._frombuffer": "numpy.ndarray",
    "numpy.core.numeric._frombuffer": "numpy.ndarray",
    "numpy._core.multiarray.scalar": "numpy.generic",
    "numpy.core.multiarray.scalar": "numpy.generic",
    "_codecs.encode": "bytes",
}


def _state(value: Any) -> dict[str, Any]:
    return value.state if isinstance(value, Made) and isinstance(value.state, dict) else {}


def _steps(steps: list[Any]) -> Iterator[tuple[str, str]]:
    for step in steps:
        if isinstance(step, tuple) and len(step) == 2 and isinstance(step[0], str):
            yield step[0], step[1] if isinstance(step[1], str) else _class(step[1])


def _n_features(value: Any) -> int | None:
    """Of the object, else of what its search found best or of its first step."""
    for _ in range(10):
        state = _state(value)
        count = state.get("n_features_in_")
        if isinstance(count, int):
            return count
        steps = state.get("steps")
        first = steps[0] if isinstance(steps, list) and steps else None
        value = first[1] if isinstance(first, tuple) and len(first) == 2 else state.get("best_estimator_")
    return None
