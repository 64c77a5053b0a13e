"""Which versions of a model are served: `versions` and `labels` in its folder's `polyserve.yaml`.

versions: latest            # the default; or `latest: 3`, `all`, [1, 4]
labels: {stable: 1, canary: 2}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adapters.base import LoadError, ModelDir

#: digits of a version: a time stamp in nanoseconds has 19
_DIGITS = 20


@dataclass(frozen=True)
class VersionPolicy:
    """The `latest` so many, or those of `numbers`."""

    latest: int | None = 1  #: None: all
    numbers: tuple[int, ...] = ()

    def choose(self, present: Mapping[int, str]) -> dict[str, str]:
        """Version -> folder of those to be served, oldest first; `present` gives each number's folder.

        Raises:
            LoadError: one that is asked for by its number is not there.
        """
        if self.numbers:
            if missing := [number for number in self.numbers if number not in present]:
                held = ", ".join(map(str, sorted(present)))
                raise LoadError(f"polyserve.yaml: versions: {missing[0]} is not there; the folder holds {held}")
            wanted = sorted(self.numbers)
        else:
            wanted = sorted(present)
            wanted = wanted if self.latest is None else wanted[-self.latest :]
        return {str(number): present[number] for number in wanted}

    def spare(self, present: Mapping[int, str]) -> dict[str, str]:
        """Version -> folder of those that are too old to be served, newest first. Who names numbers spares none."""
        if self.numbers or self.latest is None:
            return {}
        return {str(number): present[number] for number in sorted(present)[: -self.latest][::-1]}


def numbered(directory: ModelDir) -> dict[int, str]:
    """The folders that are named by whole numbers; of two with one number (7, 007) the first."""
    found: dict[int, str] = {}
    for name in directory.dirs:
        if name.isascii() and name.isdecimal() and len(name) <= _DIGITS:
            found.setdefault(int(name), name)
    return found


def read_policy(value: Any) -> VersionPolicy:
    """The policy as `polyserve.yaml` says it.

    Raises:
        LoadError: it is none.
    """
    match value:
        case None | "latest":
            return VersionPolicy()
        case "all":
            return VersionPolicy(None)
        case {"latest": int(count)} if len(value) == 1 and type(count) is int and count > 0:
            return VersionPolicy(count)
        case {"specific": list(numbers)} if len(value) == 1:
            return _specific(numbers)
        case list():
            return _specific(value)
    raise LoadError(f"polyserve.yaml: versions: {value!r:.80} must be latest, latest: N, all, or a list of numbers")


def read_labels(value: Any) -> dict[str, str]:
    """Label -> version.

    Raises:
        LoadError: it is no mapping of names to whole numbers.
    """
    if value is None:
        return {}
    labels: dict[str, str] = {}
    for label, number in value.items() if isinstance(value, dict) else [(value, None)]:
        named = isinstance(label, str) and label and not label.isdecimal() and "/" not in label
        if not named or type(number) is not int or number < 0:
            raise LoadError(
                f"polyserve.yaml: labels: {label!r:.80}: {number!r:.80} must be a name and a version's number"
            )
        labels[label] = str(number)
    return labels


def _specific(numbers: list[Any]) -> VersionPolicy:
    if not numbers or not all(type(number) is int and number >= 0 for number in numbers):
        raise LoadError(f"polyserve.yaml: versions: {numbers!r:.80} must be a list of whole numbers, at least one")
    return VersionPolicy(None, tuple(dict.fromkeys(numbers)))
