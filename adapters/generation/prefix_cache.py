"""Caches of finished sequences, for prompts that begin as they did: the next turn of a chat, a system prompt."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from adapters.generation.kv_blocks import CacheBlock, CachePool

Ids = npt.NDArray[np.int64]

#: fewer tokens are computed again sooner than looked after
SHORTEST = 16


@dataclass(eq=False, frozen=True, slots=True)
class ComputedPrefix:
    """Ids whose keys and values stand in a row, from its beginning."""

    ids: Ids
    block: CacheBlock
    row: int = 0


class PrefixCache:
    """What is kept, in the order of its last use. It lives in what a pool's limit leaves: whoever runs goes first."""

    def __init__(self, pool: CachePool) -> None:
        self._pool = pool
        self._kept: list[ComputedPrefix] = []
        pool.make_room = self._make_room

    def __len__(self) -> int:
        return len(self._kept)

    def longest(
        self, prompt: Sequence[int], running: Iterable[ComputedPrefix] = ()
    ) -> tuple[ComputedPrefix, int] | None:
        """Who shares the most tokens with a prompt, and how many.

        The prompt's last token never counts: it has to be computed, for what follows it.
        """
        ids = np.asarray(prompt[:-1], np.int64)
        best, length = None, SHORTEST - 1
        for each in (*self._kept, *running):
            shared = same_start(each.ids, ids)
            if shared > length:
                best, length = each, shared
        if best is None:
            return None
        if best in self._kept:
            self._kept.remove(best)
            self._kept.append(best)
        return best, length

    def keep(self, ids: Sequence[int], block: CacheBlock) -> None:
        """Keep a block of one row, if the limit allows it; what it continues is given up for it."""
        new = ComputedPrefix(np.asarray(ids, np.int64), block)
        for old in [old for old in self._kept if same_start(old.ids, new.ids) == len(old.ids)]:
            self._give_up(old)
        self._kept.append(new)
        self._make_room(0)

    def clear(self) -> None:
        for each in list(self._kept):
            self._give_up(each)

    def _make_room(self, size: int) -> None:
        while self._kept and self._pool.allocated + size > self._pool.limit:
            self._give_up(self._kept[0])

    def _give_up(self, prefix: ComputedPrefix) -> None:
        self._kept.remove(prefix)
        self._pool.drop(prefix.block)


def same_start(one: Ids, other: Ids) -> int:
    """How many ids two arrays have in common from their beginning."""
    shared = min(len(one), len(other))
    different = (one[:shared] != other[:shared]).nonzero()[0]
    return int(different[0]) if len(different) else shared
