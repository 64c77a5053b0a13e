"""A sequence in a slot, and who computes how many tokens in a step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from adapters.generation.engine import Generation
from adapters.generation.engine_thread import Submission
from adapters.generation.kv_blocks import CacheBlock
from adapters.generation.ragged_attention import DecodingRows, PackedRow, PromptPart, RaggedPart, forward
from adapters.generation.sampler import RowSampler


class SlotSequence:
    """One that runs. Of `ids`, prompt and answer, the first `length` stand in its row of the cache."""

    def __init__(self, request: Submission, vocabulary: int, device: Any) -> None:
        self.request = request
        generation = request.generation
        self.ids = list(generation.prompt)
        self.made: list[int] = []
        self.length = 0
        self.told = 0  #: of the prompt's tokens, where each is told
        self.block: CacheBlock | None = None
        self.row = 0
        self.sampler = RowSampler(generation, vocabulary, generation.prompt, device)

    @property
    def generation(self) -> Generation:
        return self.request.generation

    @property
    def left(self) -> int:
        """Tokens that it may still make."""
        return self.generation.max_tokens - len(self.made)

    @property
    def unread(self) -> int:
        """Tokens of its prompt, and of what it had made before it was put back, that are to be computed."""
        return len(self.ids) - self.length

    @property
    def tells_prompt(self) -> bool:
        """Whether each token of the prompt is told with its logprob: then none of it is taken from elsewhere."""
        return self.generation.prompt_logprobs


@dataclass(frozen=True, slots=True)
class Turn:
    """What one sequence computes in a step: the next `count` of its ids."""

    sequence: SlotSequence
    count: int
    decodes: bool  #: one token, in a block that is shared

    @property
    def wanted(self) -> int:
        """After how many of its last tokens the logits are wanted."""
        sequence = self.sequence
        if sequence.tells_prompt and not self.decodes:
            return self.count
        return int(sequence.length + self.count == len(sequence.ids))


def compute(model: Any, turns: Sequence[Turn]) -> list[Any]:
    """One forward; the logits that each turn wants: float32 [wanted, vocabulary].

    Changes nothing but rows of the cache that are not filled yet, so that it may be tried again.
    """
    parts: list[RaggedPart] = []
    ids: list[int] = []
    positions: list[int] = []
    wanted: list[int] = []
    number = 0
    while number < len(turns):
        sequence, block = turns[number].sequence, turns[number].sequence.block
        assert block is not None
        if turns[number].decodes:
            together = _neighbours(turns, number)
            lengths = [turn.sequence.length for turn in together]
            parts.append(DecodingRows(block, sequence.row, lengths, len(ids)))
            wanted.extend(range(len(ids), len(ids) + len(together)))
            ids.extend(turn.sequence.ids[-1] for turn in together)
            positions.extend(lengths)
            number += len(together)
        else:
            turn, begin = turns[number], sequence.length
            end = begin + turn.count
            parts.append(PromptPart(block, sequence.row, begin, end, len(ids)))
            ids.extend(sequence.ids[begin:end])
            positions.extend(range(begin, end))
            wanted.extend(range(len(ids) - turn.wanted, len(ids)))
            number += 1
    logits = forward(model, PackedRow(parts), ids, positions, wanted)
    return list(logits.split([turn.wanted for turn in turns]))


def _neighbours(turns: Sequence[Turn], first: int) -> list[Turn]:
    """The turns from the first one on that decode in neighbouring rows of its block."""
    block, row = turns[first].sequence.block, turns[first].sequence.row
    found = []
    for distance, turn in enumerate(turns[first:]):
        sequence = turn.sequence
        if not turn.decodes or sequence.block is not block or sequence.row != row + distance:
            break
        found.append(turn)
    return found
