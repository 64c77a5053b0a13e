"""Where keys and values of sequences are kept: blocks of rows of one capacity, so that rows share one attention call.

Capacities rise in quarters of an octave, so sequences of one block differ by less than 25 % in length, and that is what
padding costs at most. The rows of a class lie without holes: whoever leaves is replaced by the last one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import torch

#: below it, all share one class: their attention costs next to nothing, and calls cost something
SMALLEST_CAPACITY = 128
#: tokens that the rows of a new block hold together, at most; one row where a row is longer
BLOCK_TOKENS = 8192
BLOCK_ROWS = 16


def capacity_of(tokens: int) -> int:
    """The capacity of the class that holds so many tokens."""
    if tokens <= SMALLEST_CAPACITY:
        return SMALLEST_CAPACITY
    step = 1 << ((tokens - 1).bit_length() - 3)
    return -(-tokens // step) * step


@dataclass(frozen=True, slots=True)
class LayerShape:
    """Of one layer's keys and values."""

    heads: int
    key_size: int
    value_size: int


@dataclass(frozen=True, slots=True)
class CacheShape:
    """Of a model's whole cache."""

    layers: tuple[LayerShape, ...]
    dtype: torch.dtype
    device: torch.device

    @property
    def bytes_per_token(self) -> int:
        numbers = sum(layer.heads * (layer.key_size + layer.value_size) for layer in self.layers)
        return numbers * int(self.dtype.itemsize)


class Occupant(Protocol):
    """Who has a row of a block: `length` tokens of it are filled."""

    length: int
    block: CacheBlock | None
    row: int


@dataclass(eq=False, slots=True)
class CacheBlock:
    """Keys and values of some sequences: of each layer [rows, heads, capacity, size]; zero where nothing was written.

    What is beyond a row's length is masked in attention, but a value that is no number would come through a mask.
    """

    shape: CacheShape
    rows: int
    capacity: int
    occupants: list[Occupant] = field(default_factory=list)
    keys: list[torch.Tensor] = field(init=False)
    values: list[torch.Tensor] = field(init=False)

    def __post_init__(self) -> None:
        import torch

        def empty(heads: int, size: int) -> torch.Tensor:
            of_layer = (self.rows, heads, self.capacity, size)
            return torch.zeros(of_layer, dtype=self.shape.dtype, device=self.shape.device)

        self.keys = [empty(layer.heads, layer.key_size) for layer in self.shape.layers]
        self.values = [empty(layer.heads, layer.value_size) for layer in self.shape.layers]

    @property
    def size(self) -> int:
        """Bytes."""
        return self.rows * self.capacity * self.shape.bytes_per_token

    def fill(self, row: int, source: CacheBlock, source_row: int, length: int) -> None:
        """Make a row hold the first `length` tokens of another's, and nothing else."""
        for mine, theirs in zip([*self.keys, *self.values], [*source.keys, *source.values], strict=True):
            mine[row, :, :length] = theirs[source_row, :, :length]
            mine[row, :, length:] = 0


class CachePool:
    """All blocks of a model. `make_room(bytes)` is asked before more is allocated than `limit` (bytes) allows."""

    def __init__(self, shape: CacheShape, limit: int) -> None:
        self.shape = shape
        self.limit = limit
        self.allocated = 0  #: bytes
        self.make_room: Callable[[int], None] = lambda size: None
        self._classes: dict[int, list[CacheBlock]] = {}

    def bytes_for(self, tokens: int) -> int:
        return capacity_of(tokens) * self.shape.bytes_per_token

    def longest(self) -> int:
        """Tokens of the longest row that the limit allows."""
        tokens = self.limit // self.shape.bytes_per_token
        if tokens < SMALLEST_CAPACITY:
            return 0
        step = 1 << max(tokens.bit_length() - 3, 0)
        return tokens // step * step

    def allocate(self, rows: int, capacity: int) -> CacheBlock:
        """A block of its own, or a smaller one where the limit does not allow so many rows.

        Where not even one fits, others' blocks lose the rows that nobody has. Then all together are no larger than
        what their occupants may grow to, which is what whoever admits them has to keep below the limit.
        """
        per_row = capacity * self.shape.bytes_per_token
        self.make_room(rows * per_row)
        if self.allocated + rows * per_row > self.limit:
            rows = 1
            if self.allocated + per_row > self.limit:
                self._trim()
        block = CacheBlock(self.shape, rows, capacity)
        self.allocated += block.size
        return block

    def shared_blocks(self) -> Iterator[CacheBlock]:
        """Those of sequences that were placed among others."""
        for blocks in self._classes.values():
            yield from blocks

    def drop(self, block: CacheBlock) -> None:
        self.allocated -= block.size

    def place_alone(self, occupant: Occupant, tokens: int) -> None:
        """Give it a block of its own that holds so many tokens: while its prompt is read, it shares no call."""
        self._settle(occupant, self.allocate(1, capacity_of(tokens)))

    def place_among_others(self, occupant: Occupant, tokens: int) -> None:
        """Move it to a row that holds so many tokens, in a block of its class."""
        assert occupant.block is not None
        capacity = capacity_of(tokens)
        blocks = self._classes.setdefault(capacity, [])
        if not blocks or len(blocks[-1].occupants) == blocks[-1].rows:
            rows = max(1, min(BLOCK_ROWS, BLOCK_TOKENS // capacity))
            if rows == 1 and occupant.block.capacity == capacity:  # it has such a block already
                blocks.append(occupant.block)
                return
            blocks.append(self.allocate(rows, capacity))
        self._settle(occupant, blocks[-1])

    def leave(self, occupant: Occupant) -> None:
        """Free its row; the last row of its class moves there, and an empty block is given back."""
        block, row = occupant.block, occupant.row
        assert block is not None
        blocks = self._classes.get(block.capacity, [])
        if block in blocks:
            last_block = blocks[-1]
            last = last_block.occupants.pop()
            if last is not occupant:
                block.fill(row, last_block, last.row, last.length)
                block.occupants[row] = last
                last.block, last.row = block, row
            if not last_block.occupants:
                blocks.pop()
                self.drop(last_block)
        else:
            self.drop(block)
        occupant.block = None

    def take(self, occupant: Occupant) -> CacheBlock:
        """What it has computed, as a block of its own with one row; it has no row afterwards."""
        block, length = occupant.block, occupant.length
        assert block is not None
        if block.capacity == capacity_of(length) and block not in self._classes.get(block.capacity, []):
            block.occupants.clear()
            occupant.block = None
            return block
        kept = self.allocate(1, length)
        kept.fill(0, block, occupant.row, length)
        self.leave(occupant)
        return kept

    def _trim(self) -> None:
        """Make the last block of each class as small as its occupants allow."""
        for blocks in self._classes.values():
            if not blocks or len(blocks[-1].occupants) == blocks[-1].rows:
                continue
            old = blocks.pop()
            new = CacheBlock(self.shape, len(old.occupants), old.capacity)
            for row, each in enumerate(old.occupants):
                new.fill(row, old, row, each.length)
                each.block = new
            new.occupants.extend(old.occupants)
            blocks.append(new)
            self.allocated += new.size - old.size

    def _settle(self, occupant: Occupant, block: CacheBlock) -> None:
        row = len(block.occupants)
        if occupant.block is not None:
            block.fill(row, occupant.block, occupant.row, occupant.length)
            self.leave(occupant)
        block.occupants.append(occupant)
        occupant.block, occupant.row = block, row
        if self.allocated > self.limit:  # for the moment of a move there were two rows of it
            self._trim()
