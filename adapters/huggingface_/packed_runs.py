"""Which rows the packed row of this thread holds, and where: what attention has to know of them (`packed_rows`)."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate, groupby

import torch


class NotPacked(Exception):
    """The model's attention is one that packed rows have none of."""


@dataclass(frozen=True, slots=True)
class Run:
    """`count` rows of `length` tokens each, from `start` of the packed row on."""

    start: int
    count: int
    length: int

    def of(self, states: torch.Tensor) -> torch.Tensor:
        """[1, heads, total, size] to [count, heads, length, size]."""
        if self.count == 1:
            return states[:, :, self.start : self.start + self.length]
        own = states[0, :, self.start : self.start + self.count * self.length]
        return own.unflatten(1, (self.count, self.length)).transpose(0, 1)


class _Current(threading.local):
    runs: Sequence[Run] = ()
    starts: Sequence[int] = ()  #: where each of several rows begins, if its first token alone counts


current = _Current()


@contextmanager
def packed(lengths: Sequence[int], first: bool) -> Iterator[None]:
    """Within it, this thread's packed row holds rows of these lengths; `first`: the first token of each counts."""
    found, start = [], 0
    for length, same in groupby(lengths):
        count = len(list(same))
        found.append(Run(start, count, length))
        start += count * length
    current.runs = found
    current.starts = [0, *accumulate(lengths[:-1])] if first and len(lengths) > 1 else ()
    try:
        yield
    finally:
        current.runs = current.starts = ()


def runs() -> Sequence[Run]:
    """
    Raises:
        NotPacked: there are none, for the model is asked in its own way.
    """
    if not current.runs:
        raise NotPacked("the model is asked otherwise than by packed rows")
    return current.runs
