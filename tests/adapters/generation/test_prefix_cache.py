"""Kept caches: the longest common beginning, the order of use, and room that is given up."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from adapters.generation.kv_blocks import CachePool, CacheShape, LayerShape
from adapters.generation.prefix_cache import SHORTEST, ComputedPrefix, PrefixCache, same_start

SHAPE = CacheShape((LayerShape(1, 1, 1),), torch.float32, torch.device("cpu"))
ROW = 32 * SHAPE.bytes_per_token


def ids(*parts: int) -> list[int]:
    """Sixteen of each number."""
    return [part for part in parts for _ in range(16)]


@pytest.fixture
def pool() -> CachePool:
    return CachePool(SHAPE, 3 * ROW)


@pytest.fixture
def cache(pool: CachePool) -> PrefixCache:
    return PrefixCache(pool)


def keep(cache: PrefixCache, pool: CachePool, *parts: int) -> None:
    cache.keep(ids(*parts), pool.allocate(1, 16 * len(parts)))


def found(cache: PrefixCache, *parts: int) -> int:
    """How many tokens of a prompt are kept."""
    longest = cache.longest(ids(*parts))
    return longest[1] if longest else 0


def test_the_longest_beginning_counts_and_never_the_last_token(cache: PrefixCache, pool: CachePool) -> None:
    keep(cache, pool, 1, 2)
    keep(cache, pool, 1, 3)
    assert found(cache, 1, 3, 4) == 32
    assert found(cache, 1, 5) == 16
    assert found(cache, 1, 2) == 31
    assert found(cache, 5) == 0


def test_few_tokens_are_not_worth_it(cache: PrefixCache, pool: CachePool) -> None:
    keep(cache, pool, 1)
    assert cache.longest([1] * SHORTEST) is None
    assert cache.longest([1] * (SHORTEST + 1)) is not None


def test_those_that_run_count_too(cache: PrefixCache, pool: CachePool) -> None:
    running = ComputedPrefix(np.asarray(ids(7, 8)), pool.allocate(4, 64), row=3)
    assert cache.longest(ids(7, 9), [running]) == (running, 16)


def test_the_one_not_used_for_longest_is_given_up_first(cache: PrefixCache, pool: CachePool) -> None:
    for part in (1, 2, 3):
        keep(cache, pool, part, part)
    assert found(cache, 1, 9) == 16
    pool.allocate(1, 32)
    assert [found(cache, part, 9) for part in (1, 2, 3)] == [16, 0, 16]
    assert pool.allocated == pool.limit
    pool.allocate(1, 32)
    assert len(cache) == 1


def test_what_is_continued_is_kept_once(cache: PrefixCache, pool: CachePool) -> None:
    keep(cache, pool, 1)
    keep(cache, pool, 1, 2)
    assert len(cache) == 1
    assert found(cache, 1, 9) == 16
    cache.clear()
    assert (len(cache), pool.allocated) == (0, 0)


def test_nothing_is_kept_beyond_the_limit(cache: PrefixCache, pool: CachePool) -> None:
    keep(cache, pool, *range(9))
    assert (len(cache), pool.allocated) == (0, 0)


def test_how_much_two_have_in_common() -> None:
    one = np.asarray([1, 2, 3])
    assert same_start(one, one) == 3
    assert same_start(one, one[:2]) == 2
    assert same_start(one, one[::-1]) == 0
