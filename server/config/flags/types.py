"""The types of settings: how the text of each is read, shown and described in the help.

A reader raises a ValueError whose message completes "--flag=text: ...".
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from server.text import printable

T = TypeVar("T")
S = TypeVar("S", bound=str)

_TRUE = ("true", "1", "yes", "y", "on", "t")
_FALSE = ("false", "0", "no", "n", "off", "f")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?", re.IGNORECASE | re.ASCII)
_ORIGIN = re.compile(r"(?:[a-z][a-z0-9+.-]*://[^\s/?#@]+|null)", re.ASCII)
_PREFIX = re.compile(r"(?:/[A-Za-z0-9._~-]+)+", re.ASCII)
_RANGE = re.compile(r"(\d{1,10})-(\d{1,10})", re.ASCII)
_DAY = 86400
_HEADER = re.compile(r"[a-z0-9!#$&'*+.^_`|~-]{1,100}", re.ASCII)
_CREDENTIALS = ("authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key")
_SECRET = re.compile(r"token|secret|password|api-?key|credential", re.ASCII)


@dataclass(frozen=True)
class Kind(Generic[T]):
    """The type of a setting."""

    read: Callable[[str], T]
    shape: str  #: how the help shows the value: PORT, true|false
    show: Callable[[T], str] = str
    alone: str | None = None  #: the text that a flag without a value stands for
    repeats: bool = False  #: the flag may come several times: `read` gets all texts, separated by line ends
    quote: Callable[[str], str] = str  #: a wrong text as a message may repeat it, without what is secret


def integer(shape: str, low: int, high: int | None = None, *, reason: str = "") -> Kind[int]:
    """A whole number within limits; `reason` says why they are so narrow."""
    allowed = f"at least {low}" if high is None else f"{low}" if low == high else f"between {low} and {high}"

    def read(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            raise ValueError(f"must be a whole number, {allowed}") from None
        if number < low or (high is not None and number > high):
            raise ValueError(f"must be {allowed}{reason and f': {reason}'}")
        return number

    return Kind(read, shape)


def seconds(*, zero: bool = False) -> Kind[float]:
    """A duration in seconds, above 0 (or from it) and up to a day (threads cannot wait for arbitrarily long)."""

    def read(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not (0 < number <= _DAY or (zero and number == 0)):
            raise ValueError(f"must be a number of seconds {'from' if zero else 'above'} 0, at most {_DAY}")
        return number

    return Kind(read, "SECONDS", show=lambda value: f"{value:g}")


def size() -> Kind[int]:
    """A number of bytes: 1048576, 1MiB (also 1Mi) or 1MB."""

    def read(text: str) -> int:
        parts = _SIZE.fullmatch(text)
        if parts is None:
            raise ValueError("must be a number of bytes, such as 1048576, 1MiB or 1MB")
        number, letter, binary = parts.groups()
        count = float(number) * (1024 if binary else 1000) ** " kmgt".index(letter.lower() or " ")
        if not 1 <= count < 2**63 or (binary and not letter):
            raise ValueError("must be at least 1 byte and fit 64 bits, such as 1048576, 1MiB or 1MB")
        return int(count)

    return Kind(read, "SIZE", show=_show_size)


def _show_size(count: int) -> str:
    for power, unit in ((4, "TiB"), (3, "GiB"), (2, "MiB"), (1, "KiB")):
        if count % 1024**power == 0:
            return f"{count // 1024**power}{unit}"
    return str(count)


def share() -> Kind[float]:
    """A share of something, from 0 (none) to 1 (all)."""

    def read(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not 0 <= number <= 1:
            raise ValueError("must be a share from 0 to 1, such as 0.01")
        return number

    return Kind(read, "SHARE", show=lambda value: f"{value:g}")


def header_names() -> Kind[tuple[str, ...]]:
    """Names of headers that carry no secrets."""

    def read(value: str) -> tuple[str, ...]:
        found = tuple(name.lower() for name in value.split())
        for name in found:
            if not _HEADER.fullmatch(name):
                raise ValueError(f"{printable(name)} must be the name of a header")
            if name in _CREDENTIALS or _SECRET.search(name):
                raise ValueError(f"{name} carries what clients prove themselves by, which is never logged")
        return found

    return Kind(read, "NAME", show=" ".join, repeats=True)


def switch() -> Kind[bool]:
    """true or false; the flag alone means true."""

    def read(text: str) -> bool:
        if text.lower() not in (*_TRUE, *_FALSE):
            raise ValueError("must be true or false")
        return text.lower() in _TRUE

    return Kind(read, "true|false", show=lambda value: str(value).lower(), alone="true")


def one_of(*choices: S) -> Kind[S]:
    """One of a few words."""
    by_name = {choice: choice for choice in choices}

    def read(text: str) -> S:
        if text not in by_name:
            raise ValueError(f"must be {', '.join(choices[:-1])} or {choices[-1]}")
        return by_name[text]

    return Kind(read, "|".join(choices))


def text(shape: str) -> Kind[str]:
    """Any text but an empty one."""

    def read(value: str) -> str:
        if not value.strip():
            raise ValueError("must not be empty")
        return value

    return Kind(read, shape)


def path_segment(shape: str) -> Kind[str]:
    """A name that can stand between two slashes of an address."""

    def read(value: str) -> str:
        if not value.isprintable() or set(value) & set("/?#% ") or value in ("", ".", ".."):
            raise ValueError("must be a name for an address: not empty, no space, none of / ? # %")
        return value

    return Kind(read, shape)


def route_prefix() -> Kind[str]:
    """What paths begin with: /openai, or nothing."""

    def read(value: str) -> str:
        found = value.strip().rstrip("/")
        if found and not _PREFIX.fullmatch(found):
            raise ValueError("must be a path, such as /openai, or empty")
        return found

    return Kind(read, "PATH")


def origins() -> Kind[tuple[str, ...]]:
    """Origins of web pages, as browsers name them, or * for all."""

    def read(value: str) -> tuple[str, ...]:
        found = tuple(value.split())
        for origin in found:
            if origin != "*" and not _ORIGIN.fullmatch(origin):
                raise ValueError(f"{origin} must be an origin, such as https://example.com (no path), or *")
        return found

    return Kind(read, "ORIGIN", show=" ".join, repeats=True)


def directory() -> Kind[Path]:
    """A directory of this machine, which need not exist yet."""

    def read(value: str) -> Path:
        if not value or "\0" in value:
            raise ValueError("must not be empty")
        if re.match(r"[a-z][a-z0-9+.-]*://", value, re.IGNORECASE):
            raise ValueError("must be a directory of this machine; remote storage has to be mounted or copied first")
        return Path(value)

    return Kind(read, "DIR")


def new_file() -> Kind[Path]:
    """A file of this machine that is made, in a folder which is there."""

    def read(value: str) -> Path:
        if not value or "\0" in value:
            raise ValueError("must not be empty")
        folder = Path(value).parent
        if not folder.is_dir():
            raise ValueError(f"must be a file in a folder that exists: there is no folder {printable(str(folder))}")
        return Path(value)

    return Kind(read, "FILE")


def directories() -> Kind[tuple[Path, ...]]:
    """Directories of this machine, which have to be there."""

    def read(value: str) -> tuple[Path, ...]:
        found = tuple(Path(path) for line in value.splitlines() for path in line.split(os.pathsep) if path)
        for path in found:
            if not path.is_dir():
                raise ValueError(f"{printable(str(path))} must be a directory of this machine")
        return found

    return Kind(read, "DIR", show=lambda paths: os.pathsep.join(map(str, paths)), repeats=True)


def user_ids() -> Kind[tuple[int, int] | None]:
    """A range of user ids, FIRST-LAST, or none."""

    def read(value: str) -> tuple[int, int] | None:
        if value.strip().lower() == "none":
            return None
        parts = _RANGE.fullmatch(value.strip())
        first, last = map(int, parts.groups()) if parts else (0, 0)
        if not 1000 <= first <= last < 2**32 - 2:
            raise ValueError("must be user ids, such as 50000-59999 (none below 1000), or none")
        return first, last

    return Kind(read, "FIRST-LAST|none", show=lambda ids: f"{ids[0]}-{ids[1]}" if ids else "none")


def existing_file() -> Kind[str]:
    """A file that can be read now."""

    def read(value: str) -> str:
        try:
            with Path(value).open("rb"):
                return value
        except (OSError, ValueError) as error:
            cause = error.strerror if isinstance(error, OSError) else str(error)
            raise ValueError(f"must be a file that can be read ({cause})") from error

    return Kind(read, "FILE")
