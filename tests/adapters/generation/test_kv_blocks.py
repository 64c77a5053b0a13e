"""Blocks of rows: classes of capacity, rows without holes, and bytes that are counted."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch

from adapters.generation.kv_blocks import (
    BLOCK_ROWS,
    SMALLEST_CAPACITY,
    CacheBlock,
    CachePool,
    CacheShape,
    LayerShape,
    capacity_of,
)

SHAPE = CacheShape((LayerShape(2, 4, 4), LayerShape(1, 8, 2)), torch.float32, torch.device("cpu"))
TOKEN = 4 * (2 * 8 + 10)


@dataclass(eq=False)
class Row:
    """Filled with a number of its own."""

    number: float = 0
    length: int = 0
    block: CacheBlock | None = None
    row: int = 0

    def write(self, length: int) -> None:
        assert self.block is not None
        self.length = length
        for each in (*self.block.keys, *self.block.values):
            each[self.row, :, :length] = self.number

    @property
    def is_whole(self) -> bool:
        """It has what was written, and zeros behind it."""
        assert self.block is not None
        assert self.block.occupants[self.row] is self
        rows = [each[self.row] for each in (*self.block.keys, *self.block.values)]
        return all((row[:, : self.length] == self.number).all() and not row[:, self.length :].any() for row in rows)


@pytest.fixture
def pool() -> CachePool:
    return CachePool(SHAPE, 1 << 30)


def placed(pool: CachePool, number: float, length: int = 5) -> Row:
    row = Row(number)
    pool.place_alone(row, length)
    row.write(length)
    pool.place_among_others(row, length + 1)
    return row


def test_classes_waste_less_than_a_quarter() -> None:
    assert [capacity_of(tokens) for tokens in (1, 128, 129, 160, 161, 257, 1025)] == [
        128,
        128,
        160,
        160,
        192,
        320,
        1280,
    ]
    for tokens in range(SMALLEST_CAPACITY, 5000):
        assert tokens <= capacity_of(tokens) < 1.25 * tokens
        assert capacity_of(capacity_of(tokens)) == capacity_of(tokens)


def test_sizes_are_counted(pool: CachePool) -> None:
    assert SHAPE.bytes_per_token == TOKEN
    assert pool.bytes_for(100) == 128 * TOKEN
    row = Row()
    pool.place_alone(row, 200)
    assert row.block is not None
    assert pool.allocated == row.block.size == 224 * TOKEN
    pool.leave(row)
    assert (pool.allocated, row.block) == (0, None)


def test_rows_of_one_class_lie_without_holes(pool: CachePool) -> None:
    rows = [placed(pool, number + 1.0) for number in range(BLOCK_ROWS + 3)]
    assert [len(block.occupants) for block in pool.shared_blocks()] == [BLOCK_ROWS, 3]
    for gone in (0, 7, BLOCK_ROWS + 1):
        pool.leave(rows[gone])
    left = [row for row in rows if row.block is not None]
    assert [len(block.occupants) for block in pool.shared_blocks()] == [BLOCK_ROWS]
    assert all(row.is_whole for row in left)
    assert pool.allocated == BLOCK_ROWS * 128 * TOKEN
    for row in left:
        pool.leave(row)
    assert (pool.allocated, list(pool.shared_blocks())) == (0, [])


def test_who_grows_moves_to_its_class_and_leaves_nothing_behind(pool: CachePool) -> None:
    first, second = placed(pool, 1.0, 128), placed(pool, 2.0, 100)
    second.write(128)
    pool.place_among_others(second, 129)
    assert second.block is first.block
    first.write(150)
    third = placed(pool, 3.0, 140)
    assert third.block is first.block
    pool.leave(first)
    assert second.is_whole
    assert third.is_whole
    newcomer = placed(pool, 4.0, 130)
    assert newcomer.block is second.block
    assert newcomer.is_whole, "what others wrote there is gone"


def test_a_row_that_fills_a_block_of_its_class_stays_in_it(pool: CachePool) -> None:
    row = Row(1.0)
    pool.place_alone(row, 9000)
    row.write(9000)
    block = row.block
    pool.place_among_others(row, 9001)
    assert row.block is block
    assert list(pool.shared_blocks()) == [block]
    assert pool.allocated == capacity_of(9000) * TOKEN


@pytest.mark.parametrize("shared", [False, True])
def test_what_was_computed_can_be_taken(pool: CachePool, shared: bool) -> None:
    row = Row(3.0)
    pool.place_alone(row, 150)
    row.write(20)
    if shared:
        pool.place_among_others(row, 21)
    kept = pool.take(row)
    assert row.block is None
    assert (kept.rows, kept.capacity) == (1, 20)
    assert (kept.keys[0] == 3.0).all()
    assert pool.allocated == kept.size


def test_who_was_alone_hands_its_block_over(pool: CachePool) -> None:
    row = Row(3.0)
    pool.place_alone(row, 150)
    row.write(150)
    block = row.block
    assert pool.take(row) is block
    assert row.block is None


def test_blocks_are_smaller_where_the_limit_is() -> None:
    asked = []
    pool = CachePool(SHAPE, 3 * 128 * TOKEN)
    pool.make_room = asked.append
    row = placed(pool, 1.0)
    assert asked == [128 * TOKEN, BLOCK_ROWS * 128 * TOKEN]
    assert row.block is not None
    assert row.block.rows == 1


def test_rows_that_nobody_has_are_given_back_before_the_limit_is_passed() -> None:
    pool = CachePool(SHAPE, (BLOCK_ROWS + 2) * 128 * TOKEN)
    rows = [placed(pool, number + 1.0) for number in range(3)]
    assert pool.allocated == BLOCK_ROWS * 128 * TOKEN
    large = Row(9.0)
    pool.place_alone(large, 1024)
    assert pool.allocated == (3 + 8) * 128 * TOKEN
    assert all(row.is_whole for row in rows)
    rows.append(placed(pool, 4.0))
    pool.leave(rows[0])
    assert all(row.is_whole for row in rows[1:])
